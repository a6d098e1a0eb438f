// The store by itself: writing, and questions over what is written.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowDatabase } from '@ringfence/controller/flows/store/database.js';
import { syntheticBatch } from '@ringfence/controller/flows/store/synthetic.js';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';

const BATCH = 100_000;
const WORKLOADS = 1000;
const HOURS = 10;
const HOUR_MS = 3_600_000;
const START_MS = 500_000 * HOUR_MS;

export async function stored(records: number) {
  const dir = mkdtempSync(join(tmpdir(), 'rf-bench-store-'));
  const database = new FlowDatabase({
    file: join(dir, 'flows.duckdb'),
    days: 30,
    bytes: 2 ** 40,
    memoryBytes: 512 * 2 ** 20,
  });
  try {
    await database.open('bench');
    const perHour = Math.ceil(records / HOURS / BATCH);
    let [sequence, writingMs] = [0, 0];
    for (let hour = 0; hour < HOURS; hour += 1) {
      const nowMs = START_MS + hour * HOUR_MS;
      for (let i = 0; i < perHour; i += 1) {
        const place = { firstId: 1 + sequence * BATCH, sequence: BigInt(sequence + 1), startUs: nowMs * 1000 };
        const batch = syntheticBatch({ ...place, count: BATCH, workloads: WORKLOADS });
        sequence += 1;
        const before = performance.now();
        if (!(await database.commit([batch], nowMs))) throw new Error(database.status().problem);
        writingMs += performance.now() - before;
      }
    }
    // One more hour with a little, so that all the others are closed and rolled up.
    const nowMs = START_MS + HOURS * HOUR_MS;
    const last = { firstId: 1 + sequence * BATCH, sequence: BigInt(sequence + 1), startUs: nowMs * 1000 };
    await database.commit([syntheticBatch({ ...last, count: 1000, workloads: WORKLOADS })], nowMs);
    // An hour is rolled up some minutes after its end: until then its rows may be replaced.
    await database.tick(nowMs + HOUR_MS / 6);
    const total = database.status().kept;
    const groupBy = ['role', 'app'];
    const everything = FlowFilter.fromPartial({});
    const rollupMs = await time(() => database.graph({ filter: everything, groupBy }));
    // A filter that rollups cannot answer, and that leaves nothing out: every record is read.
    const all = FlowFilter.fromPartial({ kinds: [1, 2, 3, 4, 5] });
    const recordsMs = await time(() => database.graph({ filter: all, groupBy }));
    const one = FlowFilter.fromPartial({ either: { workloads: ['h7/w7'] } });
    const newestMs = await time(async () => {
      const afterId = await database.startOfNewest(one, 1000);
      await database.page({ filter: one, afterId, limit: 16_384 });
    });
    return {
      records: total,
      workloads: WORKLOADS,
      hours: HOURS + 1,
      writtenPerSecond: (sequence * BATCH * 1000) / writingMs,
      bytesPerRecord: database.status().bytes / total,
      rollupMs,
      recordsMs,
      newestMs,
      residentMib: process.memoryUsage.rss() / 2 ** 20,
    };
  } finally {
    database.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function time(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}
