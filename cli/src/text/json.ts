// JSON as scripts get it: field names are part of the interface; enums are lower-case words, addresses text, times RFC 3339.

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
