// bench/compile: what the compiler costs, from nothing and per change. Prints the tables and writes them to bench/RESULTS.md.
//   node bench/dist/compile/main.js [--seed 1] [--rounds 40] [--sizes 10000x1000,100000x10000] [--no-doubling] [--no-write]
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { writeSection } from '../results.js';
import { report, type SizeResult } from './report.js';
import type { RunResult } from './run.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '40' },
    sizes: { type: 'string', default: '10000x1000,100000x10000' },
    'no-doubling': { type: 'boolean', default: false },
    'no-write': { type: 'boolean', default: false },
  },
});
const [seed, rounds] = [Number(values.seed), Number(values.rounds)];

async function runSize(text: string): Promise<SizeResult> {
  const [workloads = 0, rules = 0] = text.split('x').map(Number);
  process.stderr.write(`${workloads} workloads, ${rules} rules, seed ${seed} …\n`);
  // The heap limit is far above what may be needed: a compiler that grows must show in the table, not end the run.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      '--expose-gc',
      '--max-old-space-size=8192',
      fileURLToPath(new URL('run.js', import.meta.url)),
      ...[workloads, rules, seed, rounds, values['no-doubling'] ? 0 : 1].map(String),
    ],
    { maxBuffer: 64 * 2 ** 20 },
  );
  return { size: { workloads, rules }, result: JSON.parse(stdout) as RunResult };
}

const results: SizeResult[] = [];
for (const size of values.sizes.split(',')) results.push(await runSize(size));
const text = report(results, { seed, rounds });
process.stdout.write(text);
if (!values['no-write']) writeSection(text);
