// make bench [BENCH=name]: runs the benchmark of this name, or all of them one after the other, each as a process of its own.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const BENCHMARKS = ['datapath', 'compile', 'flows'] as const;
const [wanted, ...options] = process.argv.slice(2);
const chosen = wanted === undefined ? BENCHMARKS : BENCHMARKS.filter((name) => name === wanted);
if (chosen.length === 0) {
  process.stderr.write(`Cannot run benchmark: found ${wanted}, wanted one of ${BENCHMARKS.join(', ')}\n`);
  process.exit(2);
}

for (const name of chosen) {
  const program = fileURLToPath(new URL(`${name}/main.js`, import.meta.url));
  const { status } = spawnSync(process.execPath, [program, ...options], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
