import { sanitize } from '../text/sanitize.js';
import type { Style, Tone } from '../text/style.js';
import { displayWidth, pad, wrap } from '../text/width.js';

/** One line of a description of one thing. A field without values is left out; more values go on lines of their own. */
export interface Field {
  label: string;
  values: readonly string[];
  tone?: Tone;
}

/** A field with one value; empty and undefined leave it out. */
export function field(label: string, value: string | undefined, tone?: Tone): Field {
  return { label, values: value === undefined || value === '' ? [] : [value], tone };
}

/** Labels in one column, values in the next, wrapped at `room`: what is said of one thing is never cut. */
export function renderFields(fields: readonly Field[], style: Style, room: number): string {
  const shown = fields.filter(({ values }) => values.length > 0);
  const width = Math.max(0, ...shown.map(({ label }) => displayWidth(label)));
  const lines = shown.flatMap(({ label, values, tone }) =>
    values
      .flatMap((value) => wrap(sanitize(value), Math.max(20, room - width - 2)))
      .map((text, index) => `${style('dim', pad(index === 0 ? label : '', width))}  ${style(tone, text)}`),
  );
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}

/** `label<TAB>value` lines, one for each value. */
export function compactFields(fields: readonly Field[]): string {
  return fields.flatMap(({ label, values }) => values.map((value) => `${label}\t${sanitize(value)}\n`)).join('');
}
