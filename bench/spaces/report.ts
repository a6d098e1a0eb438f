import { cpus, loadavg } from 'node:os';
import { mebibytes, quantile, table, whole } from '../compile/report.js';
import { CHANGES, type ChangeName } from './changes.js';
import type { WorldSize } from './fleet.js';
import type { RunResult } from './run.js';

export interface SizeResult {
  readonly size: WorldSize;
  readonly result: RunResult;
}

const sizeText = ({ spaces, workloads }: WorldSize) => `${whole(spaces)} × ${whole(workloads)}`;

function changeRow(name: ChangeName, { size, result }: SizeResult): string[] {
  const costs = result.changes[name];
  const of = (pick: 'ms' | 'cpuMs' | 'agents', share: number) =>
    quantile(
      costs.map((cost) => cost[pick]),
      share,
    );
  const mean = costs.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / costs.length;
  return [
    `${sizeText(size)}, ${CHANGES[name]}`,
    of('ms', 0.5).toFixed(2),
    of('ms', 0.95).toFixed(2),
    of('cpuMs', 0.5).toFixed(2),
    mean.toFixed(2),
    whole(of('agents', 0.5)),
  ];
}

/** The section: the whole world by size, then what one change of a view costs. */
export function report(results: readonly SizeResult[], run: { seed: number; rounds: number }): string {
  const full = results.map(({ size, result: { full: cost } }) => [
    sizeText(size),
    whole(cost.hosts),
    whole(cost.identities),
    whole(cost.bindings),
    whole(cost.mappings),
    (cost.ms / 1000).toFixed(2),
    (cost.cpuMs / 1000).toFixed(2),
    mebibytes(cost.inputHeapBytes),
    mebibytes(cost.heapBytes),
    mebibytes(cost.peakRssBytes),
  ]);
  const changes = (Object.keys(CHANGES) as ChangeName[]).flatMap((name) =>
    results.map((each) => changeRow(name, each)),
  );
  return `# bench/spaces

${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}, Node ${process.versions.node}, load average ${loadavg()[0]?.toFixed(1)} at the end (what is above 1 is others'
work on the same processors: wall times are then far too long, processor times somewhat). Seed ${run.seed}, ${run.rounds} changes of each kind. Sizes are
spaces × workloads. One command: \`make bench BENCH=spaces\`. How to read it: bench/README.md.

## Everything from nothing

${table(['', 'hosts', 'identities', 'bindings sent', 'mappings sent', 's', 'processor s', 'input heap MiB', 'heap MiB', 'peak RSS MiB'], full)}

## One change of a view, until the deltas of all agents are there

${table(['', 'ms median', 'ms p95', 'processor ms median', 'mean', 'agents'], changes)}
`;
}
