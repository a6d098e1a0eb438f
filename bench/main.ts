// make bench [BENCH=name]: runs the benchmark of this name, or all of them one after the other, each as a process of its own.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const BENCHMARKS: readonly (readonly [name: string, program: string, ...options: string[]])[] = [
  ['datapath', 'datapath'],
  ['compile', 'compile'],
  ['flows', 'flows'],
  ['agent', 'agent'],
  ['stitch', 'stitch'],
  ['tag', 'tag'],
];
/** Parts of a benchmark by a name of their own. */
const PARTS: typeof BENCHMARKS = [
  ['latency', 'flows', '--only', 'latency'],
  ['ingest', 'flows', '--only', 'ingest'],
  ['outage', 'flows', '--only', 'outage'],
];
const [wanted, ...options] = process.argv.slice(2);
const chosen = wanted === undefined ? BENCHMARKS : [...BENCHMARKS, ...PARTS].filter(([name]) => name === wanted);
if (chosen.length === 0) {
  const names = [...BENCHMARKS, ...PARTS].map(([name]) => name).join(', ');
  process.stderr.write(`Cannot run benchmark: found ${wanted}, wanted one of ${names}\n`);
  process.exit(2);
}

for (const [, name, ...own] of chosen) {
  const program = fileURLToPath(new URL(`${name}/main.js`, import.meta.url));
  const { status } = spawnSync(process.execPath, [program, ...own, ...options], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
