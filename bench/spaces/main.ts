// bench/spaces: what a world of many address spaces costs the compiler, from nothing and per change of a view. Prints the tables and writes
// them to bench/RESULTS.md.
//   node bench/dist/spaces/main.js [--seed 1] [--rounds 60] [--sizes 1000x10000,10000x100000] [--no-write]
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { writeSection } from '../results.js';
import { report, type SizeResult } from './report.js';
import type { RunResult } from './run.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '60' },
    sizes: { type: 'string', default: '1000x10000,10000x100000' },
    'no-write': { type: 'boolean', default: false },
  },
});
const [seed, rounds] = [Number(values.seed), Number(values.rounds)];

async function runSize(text: string): Promise<SizeResult> {
  const [spaces = 0, workloads = 0] = text.split('x').map(Number);
  process.stderr.write(`${spaces} spaces, ${workloads} workloads, seed ${seed} …\n`);
  // The heap limit is far above what may be needed: a compiler that grows must show in the table, not end the run.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      '--expose-gc',
      '--max-old-space-size=8192',
      fileURLToPath(new URL('run.js', import.meta.url)),
      ...[spaces, workloads, seed, rounds].map(String),
    ],
    { maxBuffer: 64 * 2 ** 20 },
  );
  return { size: { spaces, workloads }, result: JSON.parse(stdout) as RunResult };
}

const results: SizeResult[] = [];
for (const size of values.sizes.split(',')) results.push(await runSize(size));
const text = report(results, { seed, rounds });
process.stdout.write(text);
if (!values['no-write']) writeSection(text);
