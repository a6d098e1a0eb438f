// JSON as scripts get it: field names are part of the interface; enums are lower-case words, addresses text, times RFC 3339.

import { inPieces } from './pieces.js';

/** V8 writes what this makes as is; the language library does not declare it yet. */
const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): unknown };

/** 64-bit integers become JSON numbers with all their digits; everything else as JSON.stringify has it. */
function exact(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? rawJSON(value.toString()) : value;
}

/** One line. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value, exact);
}

/** Indented, for people and files. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, exact, 2);
}

/** One line each, with its newline. */
export function jsonLines(values: readonly unknown[]): string {
  return values.map((value) => `${jsonLine(value)}\n`).join('');
}

/** What jsonText() says of `{ [name]: rows, ...extra }`, with a newline, in pieces: lists may be longer than one string. */
export function* jsonListPieces<T>(
  name: string,
  rows: readonly T[],
  json: (row: T) => unknown,
  extra: object = {},
): Generator<string> {
  if (rows.length === 0) return yield `${jsonText({ [name]: [], ...extra })}\n`;
  let opening = `{\n  ${jsonLine(name)}: [\n`;
  for (const piece of inPieces(rows, (some) => some.map((row) => indented(json(row), '    ')).join(',\n'))) {
    yield `${opening}${piece}`;
    opening = ',\n';
  }
  const members = Object.entries(extra).map(
    ([key, value]) => `,\n  ${jsonLine(key)}: ${indented(value, '  ').trimStart()}`,
  );
  yield `\n  ]${members.join('')}\n}\n`;
}

/** Every line of the value's text behind `space`. Texts in JSON hold no line breaks. */
function indented(value: unknown, space: string): string {
  return space + jsonText(value).replaceAll('\n', `\n${space}`);
}
