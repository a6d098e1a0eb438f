// bench/stitch: both views of made-up connections brought together: out of order, some lost, some twice, by clocks that differ by up to 5 s.
// What comes of it is held against what happened. Prints the tables and writes them to bench/RESULTS.md.
//   node bench/dist/stitch/main.js [--records 1000000] [--loss 0.02] [--duplicates 0.01] [--told 0.98] [--seed 1] [--batch 1000] [--no-write]
import { spawnSync } from 'node:child_process';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Stitcher } from '@ringfence/controller/flows/stitch/stitcher.js';
import { judge, RowStore } from '@ringfence/controller/flows/stitch/testing/judge.js';
import { ArrivalBlock, Traffic, type TrafficOptions } from '@ringfence/controller/flows/stitch/testing/traffic.js';
import { random } from '@ringfence/controller/policy/testing/random.js';
import { conditions, number, table } from '../flows/table.js';
import { writeSection } from '../results.js';
import type { IngestFigures } from './through-ingest.js';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    loss: { type: 'string', default: '0.02' },
    duplicates: { type: 'string', default: '0.01' },
    told: { type: 'string', default: '0.98' },
    seed: { type: 'string', default: '1' },
    batch: { type: 'string', default: '1000' },
    'no-write': { type: 'boolean', default: false },
  },
});
const HOSTS = 64;
const CONTAINERS = 24;
const PER_SECOND = 40_000;
const DELAY_MS = 10_000;

try {
  setPriority(-20);
} catch {
  process.stderr.write('runs beside other work: this user may not raise its priority\n');
}

const say = (what: string) => process.stderr.write(`${what} …\n`);
say('making traffic');
const options: TrafficOptions = {
  records: Number(values.records),
  hosts: HOSTS,
  containers: CONTAINERS,
  loss: Number(values.loss),
  duplicates: Number(values.duplicates),
  told: Number(values.told),
  perSecond: PER_SECOND,
  delayMs: DELAY_MS,
};
const traffic = new Traffic(random(Number(values.seed)), options);
say('the stitcher alone');
const alone = stitchAlone();
say('ingest, with the store on disk');
const ingested = throughIngest();

const { verdicts, counters } = alone;
const text = `# Stitching

${number(traffic.records)} records of ${number(traffic.connections.length)} connections between ${number(HOSTS * CONTAINERS)} workloads on ${HOSTS} hosts (every fourth behind a
gateway without an agent, all containers of one private range), clocks up to 5 s apart, ${Number(values.loss) * 100} % lost, ${Number(values.duplicates) * 100} % twice, one in ten up to
${DELAY_MS / 1000} s late; of ${Number(values.told) * 100} % of the translations hosts told. Seed ${values.seed}.
${conditions()} \`make bench BENCH=stitch\`, or \`node bench/dist/stitch/main.js --records ${values.records}\`.

What came of it, held against what happened:

${table(
  ['rows', 'connections of which both ends arrived', 'in one row', 'mistaken for another', 'told twice', 'miscounted'],
  [verdicts.rows, verdicts.both, verdicts.together, verdicts.mistaken, verdicts.doubled, verdicts.miscounted].map((n) =>
    number(n),
  ),
)}

${table(
  [
    'repetitions dropped',
    'given up in favour of the other end',
    'of these, whose other end was lost',
    'refused, source ambiguous: kept apart',
    'taken apart again',
    'overflowed',
  ],
  [
    counters.duplicates,
    counters.discarded,
    verdicts.missing,
    verdicts.keptApart,
    counters.contested,
    counters.overflowed,
  ].map((n) => number(n)),
)}

| | records/s | processor s for 1 M records | MiB |
|---|---:|---:|---:|
| stitcher and rows alone, one thread | ${number(alone.perSecond)} | ${number(alone.cpuPerMillion, 2)} | ${number(alone.mib)} |
| ingest: names, translations, stitcher, store on disk (both threads; no gRPC) | ${number(ingested.perSecond)} | ${number(ingested.cpuPerMillion, 2)} | ${number(ingested.mib)} |

${number(traffic.records / ingested.batches)} records to a batch; rows told for one kept: ${number(ingested.written / Math.max(1, ingested.kept), 2)}; those that were replaced within seconds are not stored. MiB: columns of the stitcher; what ingest's process grew by.
`;
process.stdout.write(text);
if (!values['no-write']) writeSection(text);

function stitchAlone() {
  const stitcher = new Stitcher({ mayBe: traffic.network.mayBe });
  const store = new RowStore();
  const block = new ArrivalBlock(1);
  let [spentMs, cpuUs] = [0, 0];
  for (let from = 0; from < traffic.records; from += block.rule.length) {
    block.reset();
    const to = Math.min(traffic.records, from + block.rule.length);
    traffic.fill(block, from, to);
    const nowMs = traffic.arrivalMs(to - 1);
    const [startedMs, cpu] = [performance.now(), process.cpuUsage()];
    stitcher.take(block, 0, to - from, nowMs);
    stitcher.expire(nowMs);
    store.drain(stitcher);
    spentMs += performance.now() - startedMs;
    const used = process.cpuUsage(cpu);
    cpuUs += used.user + used.system;
  }
  stitcher.expire(traffic.arrivalMs(traffic.records - 1) + 60_000);
  store.drain(stitcher);
  return {
    verdicts: judge(traffic, store),
    counters: stitcher.counters,
    perSecond: (traffic.records * 1000) / spentMs,
    cpuPerMillion: cpuUs / traffic.records,
    mib: stitcher.entries.bytes / 2 ** 20,
  };
}

function throughIngest(): IngestFigures {
  const program = fileURLToPath(new URL('through-ingest.js', import.meta.url));
  const { status, stdout } = spawnSync(
    process.execPath,
    [program, JSON.stringify(options), values.seed, values.batch],
    { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`Cannot measure ingest: found exit status ${status}`);
  return JSON.parse(stdout) as IngestFigures;
}
