import { inPieces } from './pieces.js';
import { sanitize } from './sanitize.js';
import type { Style, Tone } from './style.js';
import { displayWidth, pad, truncate } from './width.js';

/** One column over rows of `T`. */
export interface Column<T> {
  /** Heading, upper case by convention. */
  title: string;
  /** Plain text of the cell; never with colour. Control characters in it are made visible. */
  cell(row: T): string;
  /** Meaning of the cell, for colour. */
  tone?(row: T): Tone | undefined;
  align?: 'left' | 'right';
  /** May shrink to this many columns when the terminal is narrow; a column without it keeps its width. */
  shrinkTo?: number;
  /** Left out of the compact form. */
  tableOnly?: boolean;
}

const gap = '  ';
const ellipsisOnly = 1;

/**
 * Column widths that fit into `room` columns: the widest of those that may shrink gives first. When nothing can shrink further
 * the widths add up to more than `room`, and the last cells run over the edge instead of vanishing.
 */
export function fitWidths(
  natural: readonly number[],
  shrinkTo: readonly (number | undefined)[],
  room: number,
): number[] {
  const widths = [...natural];
  const total = () => widths.reduce((sum, width) => sum + width, 0) + gap.length * (widths.length - 1);
  let excess = total() - room;
  while (excess > 0) {
    let widest = -1;
    for (const [index, width] of widths.entries()) {
      const least = Math.max(shrinkTo[index] ?? Number.POSITIVE_INFINITY, ellipsisOnly);
      if (width > least && (widest < 0 || width > (widths[widest] ?? 0))) widest = index;
    }
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess--;
  }
  return widths;
}

/** A table with headings, cells lined up, at most `room` columns wide where cells may shrink (Infinity: never). */
export function renderTable<T>(columns: readonly Column<T>[], rows: readonly T[], style: Style, room: number): string {
  return [...tablePieces(columns, rows, style, room)].join('');
}

/** renderTable() in pieces, in order: tables may be longer than one string. */
export function* tablePieces<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  style: Style,
  room: number,
): Generator<string> {
  const cellsOf = (row: T) => columns.map((column) => sanitize(column.cell(row)));
  const natural = columns.map((column) => displayWidth(column.title));
  for (const row of rows) {
    for (const [index, cell] of cellsOf(row).entries())
      natural[index] = Math.max(natural[index] ?? 0, displayWidth(cell));
  }
  const widths = fitWidths(
    natural,
    columns.map((column) => column.shrinkTo),
    room,
  );
  yield `${renderHeading(columns, widths, style)}\n`;
  const rendered = (row: T) => `${line(columns, widths, cellsOf(row), (column) => column.tone?.(row), style)}\n`;
  yield* inPieces(rows, (some) => some.map(rendered).join(''));
}

/** One line of a table that streams: widths are known before the rows. Without `cut`, a longer cell moves the rest of its line. */
export function renderLine<T>(
  columns: readonly Column<T>[],
  widths: readonly number[],
  row: T,
  style: Style,
  cut: boolean,
): string {
  const cells = columns.map((column) => sanitize(column.cell(row)));
  const least = cut ? widths : widths.map((width, index) => Math.max(width, displayWidth(cells[index] ?? '')));
  return line(columns, least, cells, (column) => column.tone?.(row), style);
}

/** The heading of a table whose widths are known. */
export function renderHeading<T>(columns: readonly Column<T>[], widths: readonly number[], style: Style): string {
  return line(
    columns,
    widths,
    columns.map((column) => column.title),
    () => 'dim',
    style,
  );
}

function line<T>(
  columns: readonly Column<T>[],
  widths: readonly number[],
  cells: readonly string[],
  toneOf: (column: Column<T>) => Tone | undefined,
  style: Style,
): string {
  const last = columns.length - 1;
  const parts = columns.map((column, index) => {
    const width = widths[index] ?? 0;
    const text = truncate(cells[index] ?? '', width);
    const padded = index === last && column.align !== 'right' ? text : pad(text, width, column.align);
    // Colour goes on the text alone, so that padding is never underlined or inverted.
    const start = padded.indexOf(text);
    return padded.slice(0, start) + style(toneOf(column), text) + padded.slice(start + text.length);
  });
  return parts.join(gap).trimEnd();
}

/** Rows for other programs: cells between tabs, no heading, no colour, nothing cut. */
export function renderCompact<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const shown = columns.filter((column) => !column.tableOnly);
  return rows.map((row) => `${shown.map((column) => sanitize(column.cell(row)) || '-').join('\t')}\n`).join('');
}
