// Tables of results as Markdown.
import { cpus, loadavg } from 'node:os';

/** A number as people read it. */
export function number(value: number, digits = 0): string {
  return value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

/** Rows below a heading; the cells are right aligned. */
export function table(heading: readonly string[], ...rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(heading), line(heading.map(() => '---:')), ...rows.map(line)].join('\n');
}

/** What the figures were taken on. */
export function conditions(): string {
  const [one] = cpus();
  const load = loadavg()[0] ?? 0;
  return `${cpus().length} × ${one?.model.trim() ?? 'processor'}, Node ${process.versions.node}, load average ${number(load, 1)} at the end.`;
}
