// Records through the controller's ingest, without gRPC: names of ends, translations, the stitcher, the store on disk. A process of its own,
// so that what the traffic was made of is not in its memory. Prints its figures as JSON.
//   node bench/dist/stitch/through-ingest.js <traffic options as JSON> <seed> <batch>
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EndResolver } from '@ringfence/controller/flows/ends.js';
import { Followers } from '@ringfence/controller/flows/followers.js';
import { MemoryHistory } from '@ringfence/controller/flows/history.js';
import { FlowIngest } from '@ringfence/controller/flows/ingest.js';
import { Traffic, type TrafficOptions } from '@ringfence/controller/flows/stitch/testing/traffic.js';
import { DuckArchive } from '@ringfence/controller/flows/store/duck-archive.js';
import { random } from '@ringfence/controller/policy/testing/random.js';
import { fleetSource } from './fleet-source.js';
import { uploadsOf } from './uploads.js';

export interface IngestFigures {
  readonly perSecond: number;
  readonly cpuPerMillion: number;
  /** Resident memory beyond what was there before the first batch, MiB. */
  readonly mib: number;
  readonly kept: number;
  readonly written: number;
  readonly batches: number;
}

/** Records that are not stored yet, before more are taken. */
const PENDING_MAX = 100_000;

const [options = '{}', seed = '1', batch = '1000'] = process.argv.slice(2);
const figures = await throughIngest(prepare(JSON.parse(options) as TrafficOptions, Number(seed), Number(batch)));
process.stdout.write(`${JSON.stringify(figures)}\n`);

function prepare(traffic: TrafficOptions, from: number, records: number) {
  const made = new Traffic(random(from), traffic);
  return { source: fleetSource(made), uploads: uploadsOf(made, records) };
}

async function throughIngest({ source, uploads }: ReturnType<typeof prepare>): Promise<IngestFigures> {
  const dir = mkdtempSync(join(tmpdir(), 'rf-bench-stitch-'));
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
      ends: new EndResolver(source.ends),
      archive,
      translations: source.translations,
      resolver: source.resolver,
      nowMs: () => nowMs,
    });
    const run = Buffer.alloc(16, 1);
    const sequences = new Map<string, bigint>();
    const rssBefore = process.memoryUsage.rss();
    const [startedMs, cpu] = [performance.now(), process.cpuUsage()];
    let taken = 0;
    for (const { hostId, columns, arrivedMs } of uploads) {
      const sequence = (sequences.get(hostId) ?? 0n) + 1n;
      sequences.set(hostId, sequence);
      taken += columns.count;
      nowMs = arrivedMs;
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
      mib: (process.memoryUsage.rss() - rssBefore) / 2 ** 20,
      kept,
      written: history.writtenTotal,
      batches: uploads.length,
    };
  } finally {
    await archive.close();
    rmSync(dir, { recursive: true, force: true });
  }
}
