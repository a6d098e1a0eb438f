/** Output formats, of every command. */
export const formats = ['table', 'compact', 'json', 'jsonl'] as const;

/** One of them. */
export type Format = (typeof formats)[number];

/** What each is for, for help and documentation. */
export const formatMeanings: Readonly<Record<Format, string>> = {
  table: 'columns that line up, cut to the width of the terminal (--wide: never cut)',
  compact: 'one line for each thing: cells between tabs, without heading, colour or cutting; flows: one dense line',
  json: 'one JSON document; streams: one document for each line, as jsonl',
  jsonl: 'one JSON document for each line',
};
