/** Rows that make one piece of text: a language string has an end, half a billion characters, and answers may be longer. */
const ROWS = 1024;

/** The text of many rows in pieces of bounded length, in order. */
export function* inPieces<T>(rows: readonly T[], render: (some: readonly T[]) => string): Generator<string> {
  for (let from = 0; from < rows.length; from += ROWS) yield render(rows.slice(from, from + ROWS));
}
