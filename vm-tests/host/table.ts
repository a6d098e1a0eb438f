// Kernel × check, as text.
import type { CheckLine, Line } from '../guest/report.js';

export interface Column {
  readonly series: string;
  readonly lines: readonly Line[];
  /** Why the guest gave no more; '' when all is there. */
  readonly problem: string;
}

const WORDS = { ok: 'ok', fallback: 'fallback', failed: 'FAILED' } as const;

/** A check that another kernel ran and this one did not is "-" when its kernel cannot have it, and a failure of its boot otherwise. */
export function renderTable(columns: readonly Column[]): string {
  const checks = [
    ...new Set(columns.flatMap(({ lines }) => lines.flatMap((l) => (l.kind === 'check' ? [l.check] : [])))),
  ];
  const rows = checks.map((check) => [check, ...columns.map((column) => word(column, check))]);
  const table = [['check', ...columns.map((column) => column.series)], ...rows];
  const widths = table[0]?.map((_, i) => Math.max(...table.map((row) => row[i]?.length ?? 0))) ?? [];
  return table
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** One line for each thing that is not plainly ok, failures last. */
export function renderNotes(columns: readonly Column[]): string {
  const of = (status: CheckLine['status']) =>
    columns.flatMap(({ series, lines }) =>
      checksOf(lines)
        .filter((line) => line.status === status)
        .map((line) => `${series.padEnd(5)} ${WORDS[status].padEnd(8)} ${line.check}: ${line.detail}`),
    );
  const broken = columns
    .filter(({ problem }) => problem !== '')
    .map((c) => `${c.series.padEnd(5)} FAILED   boot: ${c.problem}`);
  return [...of('fallback'), ...of('failed'), ...broken].join('\n');
}

export function hasFailure(columns: readonly Column[]): boolean {
  return columns.some((c) => c.problem !== '' || checksOf(c.lines).some((line) => line.status === 'failed'));
}

function checksOf(lines: readonly Line[]): CheckLine[] {
  return lines.filter((line) => line.kind === 'check');
}

function word(column: Column, check: string): string {
  const line = checksOf(column.lines).find((each) => each.check === check);
  if (line !== undefined) return WORDS[line.status];
  return column.problem === '' ? '-' : '?';
}
