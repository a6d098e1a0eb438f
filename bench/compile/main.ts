// bench/compile: what the compiler costs, from nothing and per change. Prints the tables and writes them to bench/RESULTS.md.
//   node bench/dist/compile/main.js [--seed 1] [--rounds 200] [--sizes 10000x1000,100000x10000] [--no-doubling] [--no-write]
import { parseArgs } from 'node:util';
import { writeSection } from '../results.js';
import { runPair } from './pair.js';
import { report, type SizeResult } from './report.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '200' },
    sizes: { type: 'string', default: '10000x1000,100000x10000' },
    'no-doubling': { type: 'boolean', default: false },
    'no-write': { type: 'boolean', default: false },
  },
});
const [seed, rounds] = [Number(values.seed), Number(values.rounds)];

async function runSize(text: string): Promise<SizeResult> {
  const [workloads = 0, rules = 0] = text.split('x').map(Number);
  process.stderr.write(`${workloads} workloads, ${rules} rules, seed ${seed} …\n`);
  const size = { workloads, rules };
  return { size, result: await runPair(size, seed, rounds, !values['no-doubling']) };
}

const results: SizeResult[] = [];
for (const size of values.sizes.split(',')) results.push(await runSize(size));
const text = report(results, { seed, rounds });
process.stdout.write(text);
if (!values['no-write']) writeSection(text);
