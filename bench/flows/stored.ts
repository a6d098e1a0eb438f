// The store by itself: writing, and questions over what is written.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowDatabase } from '@ringfence/controller/flows/store/database.js';
import { syntheticBatch } from '@ringfence/controller/flows/store/synthetic.js';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';

const BATCH = 100_000;
const WORKLOADS = 1000;
/** Workloads that each one calls. */
const PEERS = 20;
const HOURS = 10;
/** Times that a question is asked. */
const REPEATED = 5;
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
    let [sequence, writingMs, nowMs] = [0, 0, START_MS];
    for (; sequence < HOURS * perHour; sequence += 1) {
      // Evenly over the hours: the last one is nearly over, and open still.
      nowMs = START_MS + Math.floor((sequence * HOUR_MS) / perHour);
      const place = { firstId: 1 + sequence * BATCH, sequence: BigInt(sequence + 1), startUs: nowMs * 1000 };
      const batch = syntheticBatch({ ...place, count: BATCH, workloads: WORKLOADS, peers: PEERS });
      const before = performance.now();
      if (!(await database.commit([batch], nowMs))) throw new Error(database.status().problem);
      writingMs += performance.now() - before;
      if (sequence % 50 === 0) process.stderr.write(`${(sequence + 1) * BATCH} records\n`);
    }
    // Says how large it is by now.
    await database.tick(nowMs);
    const total = database.status().kept;
    const groupBy = ['role', 'app'];
    const everything = FlowFilter.fromPartial({});
    const cpu = process.cpuUsage();
    const allMs = await median(() => database.graph({ filter: everything, groupBy }));
    const used = process.cpuUsage(cpu);
    const rows = await database.graph({ filter: everything, groupBy });
    const counted = rows.reduce((sum, row) => sum + row.records, 0);
    if (counted !== total)
      throw new Error(`Cannot account for records: found ${counted} in the graph, wanted ${total}`);
    // Begins in the middle of an hour, which is read record by record.
    const cut = FlowFilter.fromPartial({ sinceUs: BigInt(nowMs - 5.5 * HOUR_MS) * 1000n });
    const cutMs = await median(() => database.graph({ filter: cut, groupBy }));
    const shop = FlowFilter.fromPartial({
      source: { selector: { requirements: [{ dimension: 'role', operator: 1, values: ['web'] }] } },
    });
    const filteredMs = await median(() => database.graph({ filter: shop, groupBy }));
    const one = FlowFilter.fromPartial({ either: { workloads: ['h7/w7'] } });
    const newestMs = await time(async () => {
      const afterId = await database.startOfNewest(one, 1000);
      await database.page({ filter: one, afterId, limit: 16_384 });
    });
    return {
      records: total,
      workloads: WORKLOADS,
      hours: HOURS,
      perHour: perHour * BATCH,
      groups: WORKLOADS * PEERS * 3,
      writtenPerSecond: (sequence * BATCH * 1000) / writingMs,
      bytesPerRecord: database.status().bytes / total,
      allMs,
      allCpuMs: (used.user + used.system) / 1000 / REPEATED,
      cutMs,
      filteredMs,
      newestMs,
      residentMib: process.memoryUsage.rss() / 2 ** 20,
    };
  } finally {
    database.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Milliseconds. */
async function median(work: () => Promise<unknown>): Promise<number> {
  const took: number[] = [];
  for (let i = 0; i < REPEATED; i += 1) took.push(await time(work));
  return took.sort((a, b) => a - b)[REPEATED >> 1] ?? Number.NaN;
}

async function time(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}
