import { cpus, loadavg } from 'node:os';
import { CHANGES, type ChangeName } from './changes.js';
import type { FleetSize } from './fleet.js';
import type { RunResult } from './pair.js';

export interface SizeResult {
  readonly size: FleetSize;
  readonly result: RunResult;
}

/** The value below which this share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** A Markdown table; the first column to the left, the others to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const size = header.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(size[i] ?? 0) : cell.padStart(size[i] ?? 0))).join(' | ')} |`;
  return [line(header), `|${size.map((n) => '-'.repeat(n + 2)).join('|')}|`, ...rows.map(line)].join('\n');
}

export const whole = (value: number) => Math.round(value).toLocaleString('en-US');
export const mebibytes = (bytes: number) => whole(bytes / 2 ** 20);
const sizeText = ({ workloads, rules }: FleetSize) => `${whole(workloads)} × ${whole(rules)}`;
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function changeRow(name: ChangeName, { size, result }: SizeResult): string[] {
  const costs = result.changes[name];
  const cpu = costs.map(({ cpuMs }) => cpuMs);
  const wall = costs.map(({ ms }) => ms);
  const twice = result.doubled?.[name].map(({ cpuMs }) => cpuMs);
  const ratios = twice?.map((cpuMs, i) => cpuMs / (cpu[i] ?? Number.NaN)) ?? [];
  return [
    `${sizeText(size)}, ${CHANGES[name]}`,
    quantile(wall, 0.5).toFixed(2),
    quantile(wall, 0.95).toFixed(2),
    quantile(cpu, 0.5).toFixed(2),
    (sum(cpu) / cpu.length).toFixed(2),
    whole(
      quantile(
        costs.map(({ agents }) => agents),
        0.5,
      ),
    ),
    twice === undefined ? '' : quantile(twice, 0.5).toFixed(2),
    twice === undefined ? '' : quantile(ratios, 0.5).toFixed(2),
    twice === undefined ? '' : (sum(twice) / sum(cpu)).toFixed(2),
  ];
}

/** The section: full compile by size, then what one change costs, also when the fleet beside it doubles. */
export function report(results: readonly SizeResult[], run: { seed: number; rounds: number }): string {
  const full = results.map(({ size, result: { full: cost } }) => [
    sizeText(size),
    whole(cost.hosts),
    whole(cost.identities),
    whole(cost.sets),
    whole(cost.bindings),
    (cost.ms / 1000).toFixed(2),
    (cost.cpuMs / 1000).toFixed(2),
    mebibytes(cost.heapBytes),
    mebibytes(cost.peakRssBytes),
  ]);
  const changes = results.flatMap((each) =>
    (Object.keys(CHANGES) as ChangeName[]).map((name) => changeRow(name, each)),
  );
  return `# bench/compile

${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}, Node ${process.versions.node}, load average ${loadavg()[0]?.toFixed(1)} at the end (what is above 1 is others'
work on the same processors: wall times are then far too long, processor times somewhat). Seed ${run.seed}, ${run.rounds} changes of each kind. Sizes are
workloads × rules. One command: \`make bench BENCH=compile\`. How to read it: bench/README.md.

## Everything from nothing

${table(['', 'hosts', 'identities', 'policy sets', 'bindings sent', 's', 'processor s', 'heap MiB', 'peak RSS MiB'], full)}

## One change, until the deltas of all agents are there

Processor times are the process's own, garbage collector and compiler threads included. The doubled fleet is another process that makes
the same changes in turn with the first. Ratio: the median over the pairs of doubled to single processor time, and the same of the sums.

${table(
  [
    '',
    'ms median',
    'ms p95',
    'processor ms median',
    'mean',
    'agents',
    'doubled: processor ms median',
    'ratio, median of pairs',
    'ratio of sums',
  ],
  changes,
)}
`;
}
