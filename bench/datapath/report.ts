import { cpus, release } from 'node:os';
import type { Load } from './measure.js';
import type { PacketCosts } from './packets.js';

export interface SizeResult {
  /** Members of the policy. */
  size: number;
  rows: ({ variant: string } & Record<Load, { rate: number; p50Us: number; ratio: number }>)[];
  costs: PacketCosts;
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const size = header.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(size[i] ?? 0) : cell.padStart(size[i] ?? 0))).join(' | ')} |`;
  return [line(header), `|${size.map((n) => '-'.repeat(n + 2)).join('|')}|`, ...rows.map(line)].join('\n');
}

const whole = (value: number) => Math.round(value).toLocaleString('en-US');
const ratio = (value: number) => value.toFixed(3);

/** The page: traffic by policy size and variant, then the program's own cost per packet. */
export function report(results: readonly SizeResult[], run: { rounds: number; seconds: number }): string {
  const traffic = results.flatMap(({ size, rows }) =>
    rows.map((row) => [
      `${whole(size)} members, ${row.variant}`,
      whole(row.rr.rate),
      String(row.rr.p50Us),
      ratio(row.rr.ratio),
      whole(row.crr.rate),
      ratio(row.crr.ratio),
      (row.bulk.rate / 1e9).toFixed(2),
      ratio(row.bulk.ratio),
    ]),
  );
  const packets = results.map(({ size, costs }) => [
    `${whole(size)} members`,
    ...[costs.established, costs.newAllowed, costs.newDenied, costs.floor].map((ns) => Math.round(ns).toString()),
  ]);
  return `# bench/datapath

Kernel ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}; ${run.rounds} rounds of ${run.seconds} s per load and
variant. Client and server share one processor, so that a rate is the whole cost of the path. Ratio: median over
pairs of neighbouring runs of the rate beside no enforcement (the first variant compares that with itself: its distance from
1 is the noise). One command: \`make bench\`. How to read it: bench/README.md.

## Traffic through one interface

${table(['', 'req/resp per s', 'p50 µs', 'ratio', 'new conn per s', 'ratio', 'Gbit/s', 'ratio'], traffic)}

## BPF_PROG_TEST_RUN, ns per packet at the workload's interface

${table(['', 'established', 'new allowed', 'new denied', 'harness floor'], packets)}

The floor is contained in the other figures.
`;
}
