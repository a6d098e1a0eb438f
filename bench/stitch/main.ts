// bench/stitch: both views of made-up connections brought together: out of order, some lost, some twice, by clocks that differ by up to 5 s.
// What comes of it is held against what happened. Prints the tables and writes them to bench/RESULTS.md.
//   node bench/dist/stitch/main.js [--records 1000000] [--loss 0.02] [--duplicates 0.01] [--told 0.98] [--seed 1] [--batch 1000] [--no-write]
import { mkdtempSync, rmSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { EndResolver } from '@ringfence/controller/flows/ends.js';
import { Followers } from '@ringfence/controller/flows/followers.js';
import { MemoryHistory } from '@ringfence/controller/flows/history.js';
import { FlowIngest } from '@ringfence/controller/flows/ingest.js';
import { Stitcher } from '@ringfence/controller/flows/stitch/stitcher.js';
import { judge, RowStore } from '@ringfence/controller/flows/stitch/testing/judge.js';
import { ArrivalBlock, Traffic } from '@ringfence/controller/flows/stitch/testing/traffic.js';
import { DuckArchive } from '@ringfence/controller/flows/store/duck-archive.js';
import { random } from '@ringfence/controller/policy/testing/random.js';
import { conditions, number, table } from '../flows/table.js';
import { writeSection } from '../results.js';
import { fleetSource } from './fleet-source.js';
import { uploadsOf } from './uploads.js';

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
const HOSTS = 200;
const CONTAINERS = 12;
const PER_SECOND = 40_000;
const DELAY_MS = 10_000;
/** Batches that are not stored yet, before more are taken. */
const PENDING_MAX = 100_000;

try {
  setPriority(-20);
} catch {
  process.stderr.write('runs beside other work: this user may not raise its priority\n');
}

const say = (what: string) => process.stderr.write(`${what} …\n`);
say('making traffic');
const traffic = new Traffic(random(Number(values.seed)), {
  records: Number(values.records),
  hosts: HOSTS,
  containers: CONTAINERS,
  loss: Number(values.loss),
  duplicates: Number(values.duplicates),
  told: Number(values.told),
  perSecond: PER_SECOND,
  delayMs: DELAY_MS,
});
say('the stitcher alone');
const alone = stitchAlone();
say('ingest, with the store on disk');
const ingested = await throughIngest();

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
    'taken apart again',
    'overflowed',
  ],
  [counters.duplicates, counters.discarded, verdicts.missing, counters.contested, counters.overflowed].map((n) =>
    number(n),
  ),
)}

| | records/s | processor s for 1 M records | MiB |
|---|---:|---:|---:|
| stitcher and rows alone, one thread | ${number(alone.perSecond)} | ${number(alone.cpuPerMillion, 2)} | ${number(alone.mib)} |
| ingest: names, translations, stitcher, store on disk (both threads; no gRPC) | ${number(ingested.perSecond)} | ${number(ingested.cpuPerMillion, 2)} | ${number(ingested.mib)} |

Rows written for one kept: ${number(ingested.written / Math.max(1, ingested.kept), 2)}.
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

async function throughIngest() {
  const dir = mkdtempSync(join(tmpdir(), 'rf-bench-stitch-'));
  const { ends, translations, resolver } = fleetSource(traffic);
  const uploads = uploadsOf(traffic, Number(values.batch));
  const archive = await DuckArchive.open({
    file: join(dir, 'flows.duckdb'),
    days: 30,
    bytes: 2 ** 40,
    memoryBytes: 512 * 2 ** 20,
    now: () => Date.now(),
    onDeath: (error) => process.stderr.write(`${error.message}\n`),
  });
  try {
    const history = new MemoryHistory(100_000, archive.firstId);
    let nowMs = 0;
    const ingest = new FlowIngest({
      history,
      followers: new Followers(),
      ends: new EndResolver(ends),
      archive,
      translations,
      resolver,
      nowMs: () => nowMs,
    });
    const run = Buffer.alloc(16, 1);
    const sequences = new Map<string, bigint>();
    const [startedMs, cpu] = [performance.now(), process.cpuUsage()];
    let taken = 0;
    for (const { hostId, columns } of uploads) {
      const sequence = (sequences.get(hostId) ?? 0n) + 1n;
      sequences.set(hostId, sequence);
      taken += columns.count;
      nowMs = traffic.arrivalMs(Math.min(taken, traffic.records) - 1);
      const outcome = ingest.take(hostId, { run, sequence, flows: columns, loss: undefined, translations: undefined });
      if (!outcome.taken) throw new Error(`Cannot take a batch: found ${outcome.problem}`);
      if (ingest.pending > PENDING_MAX) await new Promise<void>((resolve) => ingest.whenSettled(resolve));
    }
    await new Promise<void>((resolve) => ingest.whenSettled(resolve));
    const seconds = (performance.now() - startedMs) / 1000;
    const used = process.cpuUsage(cpu);
    const { kept, lost } = archive.status();
    if (lost > 0) throw new Error(`Cannot account for rows: found ${lost} lost`);
    return {
      perSecond: taken / seconds,
      cpuPerMillion: (used.user + used.system) / taken,
      mib: process.memoryUsage.rss() / 2 ** 20,
      kept,
      written: history.writtenTotal,
    };
  } finally {
    await archive.close();
    rmSync(dir, { recursive: true, force: true });
  }
}
