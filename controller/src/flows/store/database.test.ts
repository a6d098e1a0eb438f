// The store by itself: what leaves, what stays as a rollup, what a copy holds.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FlowDatabase } from './database.js';
import type { StoreSettings } from './messages.js';
import { syntheticBatch } from './synthetic.js';

const HOUR_MS = 3_600_000;
const START_MS = 500_000 * HOUR_MS;
vi.setConfig({ testTimeout: 60_000 });

let dir: string;
const open: FlowDatabase[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-flow-db-'));
});
afterEach(() => {
  for (const database of open.splice(0)) database.close();
  rmSync(dir, { recursive: true, force: true });
});

async function opened(more: Partial<StoreSettings> = {}) {
  const file = join(dir, 'flows.duckdb');
  const database = new FlowDatabase({ file, days: 2, bytes: 2 ** 40, memoryBytes: 2 ** 28, ...more });
  open.push(database);
  return { database, ...(await database.open('line')) };
}

const everything = { filter: FlowFilter.fromPartial({}), afterId: 0, limit: 1_000_000 };
const graph = { filter: FlowFilter.fromPartial({}), groupBy: ['role'] };

test('hours older than the bound leave whole; their rollup goes on counting in the graph', async () => {
  const { database } = await opened();
  for (let hour = 0; hour < 72; hour += 6) {
    const nowMs = START_MS + hour * HOUR_MS;
    const batch = syntheticBatch({
      firstId: 1 + hour * 100,
      sequence: BigInt(hour + 1),
      count: 600,
      startUs: nowMs * 1000,
    });
    expect(await database.commit([batch], nowMs)).toBe(true);
  }
  const status = database.status();
  expect(status.kept + status.dropped).toBe(12 * 600);
  expect(status).toMatchObject({ kept: 9 * 600, dropped: 3 * 600, lost: 0 });
  const { count, columns } = await database.page(everything);
  expect(count).toBe(9 * 600);
  expect(columns.id?.[0]).toBe(1801);
  const records = (await database.graph(graph)).reduce((sum, row) => sum + row.records, 0);
  expect(records).toBe(12 * 600);
  const since = BigInt(START_MS + 7 * HOUR_MS) * 1000n;
  const later = await database.graph({ ...graph, filter: FlowFilter.fromPartial({ sinceUs: since }) });
  expect(later.reduce((sum, row) => sum + row.records, 0)).toBe(10 * 600);
});

test('the oldest hours leave above the bound in bytes; the newest stays', async () => {
  const { database } = await opened({ bytes: 12 * 2 ** 20 });
  const stored = 8 * 60_000;
  for (let hour = 0; hour < 8; hour += 1) {
    const nowMs = START_MS + hour * HOUR_MS;
    const place = { firstId: 1 + hour * 60_000, sequence: BigInt(hour + 1), startUs: nowMs * 1000 };
    expect(await database.commit([syntheticBatch({ ...place, count: 60_000 })], nowMs)).toBe(true);
  }
  await database.tick(START_MS + 8 * HOUR_MS);
  const { kept, dropped, bytes } = database.status();
  expect(kept + dropped).toBe(stored);
  expect(dropped).toBeGreaterThan(0);
  expect(kept).toBeGreaterThanOrEqual(60_000);
  expect(bytes <= 12 * 2 ** 20 || kept === 60_000).toBe(true);
});

test('opened again: ids go on above a gap, runs are known, the line stays; a copy opens the same on a line of its own', async () => {
  const { database } = await opened();
  const loss = [9n, 1n, 2n, 0n, 3n, 0n, 600n];
  const batch = { ...syntheticBatch({ firstId: 1, sequence: 7n, count: 600, startUs: START_MS * 1000 }), loss };
  expect(await database.commit([batch], START_MS)).toBe(true);
  const copy = join(dir, 'copy.duckdb');
  // Left by a process that was killed while it wrote.
  writeFileSync(`${copy}.partial`, 'half');
  await database.backup(copy);
  // What is there stays as it is.
  await expect(database.backup(copy)).rejects.toThrow('wanted a new file');
  await expect(database.backup(join(dir, 'nowhere', 'copy.duckdb'))).rejects.toThrow();
  expect(await database.commit([{ ...batch, firstId: 601, sequence: 8n }], START_MS)).toBe(true);
  database.close();
  const lines = new Set<string>();
  for (const [file, kept, sequence] of [
    [join(dir, 'flows.duckdb'), 1200, 8n],
    [copy, 600, 7n],
  ] as const) {
    const again = await opened({ file });
    expect(again.firstId).toBe(1_000_001);
    expect(again.marks).toMatchObject([{ hostId: 'h1', sequence, loss: { eventsProduced: 9n, recordsSent: 600n } }]);
    expect(again.status).toMatchObject({ kept });
    lines.add(again.status.line);
    expect((await again.database.page(everything)).count).toBe(kept);
    again.database.close();
  }
  // Ids of the one say nothing of the other's.
  expect(lines).toContain('line');
  expect(lines.size).toBe(2);
  expect(readdirSync(dir).filter((name) => name.startsWith('copy'))).toEqual(['copy.duckdb']);
});

test('a clock that goes back loses and reorders nothing', async () => {
  const { database } = await opened();
  for (const [sequence, hour] of [5, 3, 6].entries()) {
    const nowMs = START_MS + hour * HOUR_MS;
    const place = { firstId: 1 + sequence * 100, sequence: BigInt(sequence + 1), startUs: nowMs * 1000 };
    expect(await database.commit([syntheticBatch({ ...place, count: 100 })], nowMs)).toBe(true);
  }
  const { columns } = await database.page(everything);
  expect([...(columns.id ?? [])].map(Number)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
});

test('a batch that cannot be stored is a gap as soon as something can be, with what was missing before it', async () => {
  const { database } = await opened();
  const place = (sequence: number) => ({ firstId: 1 + sequence * 100, sequence: BigInt(sequence + 1), count: 100 });
  const batch = (sequence: number) => syntheticBatch({ ...place(sequence), startUs: START_MS * 1000 });
  const ring = { hop: 'ring', hostId: 'h1', count: 3, fromUs: START_MS * 1000, untilUs: START_MS * 1000 + 5 };
  expect(await database.commit([{ ...batch(0), gaps: [ring] }], START_MS)).toBe(true);
  const { verdict, ...broken } = batch(1).columns;
  expect(verdict).toBeDefined();
  expect(await database.commit([{ ...batch(1), columns: broken, gaps: [ring] }], START_MS + 1)).toBe(false);
  expect(await database.commit([batch(2)], START_MS + 10_000)).toBe(true);
  const kept = await database.gaps(undefined);
  expect(kept.map(({ hop, count, beforeId }) => [hop, count, beforeId])).toEqual([
    ['ring', 3, 1],
    ['ring', 3, 201],
    ['store', 100, 201],
  ]);
  expect(kept[2]?.fromUs).toBeGreaterThanOrEqual(START_MS * 1000);
  expect((await database.page({ ...everything, afterId: 1 })).gaps.map(({ beforeId }) => beforeId)).toEqual([201, 201]);
  expect((await database.page({ ...everything, limit: 50 })).gaps.map(({ beforeId }) => beforeId)).toEqual([1]);
});

test('a row is replaced while its hour is open, also from the next hour on; closed, it counts once', async () => {
  const { database } = await opened();
  const late = START_MS + HOUR_MS - 1000;
  const place = { startUs: late * 1000, count: 100 };
  expect(await database.commit([syntheticBatch({ ...place, firstId: 1, sequence: 1n })], late)).toBe(true);
  const next = { ...syntheticBatch({ ...place, firstId: 101, sequence: 2n }), replaced: Float64Array.from([1, 2, 3]) };
  expect(await database.commit([next], late + 30_000)).toBe(true);
  expect(database.status().kept).toBe(197);
  expect(Number((await database.page(everything)).columns.id?.[0])).toBe(4);
  // An id that was written and replaced in one go, and one that is not there.
  const both = {
    ...syntheticBatch({ ...place, firstId: 201, sequence: 3n }),
    replaced: Float64Array.from([201, 9999]),
  };
  expect(await database.commit([both], late + 31_000)).toBe(true);
  expect(database.status().kept).toBe(296);
  await database.tick(late + 600_000);
  const records = (await database.graph(graph)).reduce((sum, row) => sum + row.records, 0);
  expect(records).toBe(296);
  // The first hour is closed now: what is in it stays.
  const closed = { ...syntheticBatch({ ...place, firstId: 301, sequence: 4n }), replaced: Float64Array.from([4, 102]) };
  expect(await database.commit([closed], late + 601_000)).toBe(true);
  expect(database.status().kept).toBe(395);
});

test('an hour that is open is rolled up as far as nothing in it is replaced any more, and counts the same', async () => {
  const { database } = await opened();
  const perBatch = 1000;
  const at = (n: number) => START_MS + n * 60_000;
  // Ids leave room, as they do when rows were replaced before they were stored.
  const idOf = (n: number) => 1 + n * 100_000;
  for (let n = 0; n < 30; n += 1) {
    const place = { firstId: idOf(n), sequence: BigInt(n + 1), startUs: at(n) * 1000, count: perBatch };
    expect(await database.commit([syntheticBatch(place)], at(n))).toBe(true);
  }
  const partial = (file: FlowDatabase) =>
    file.graph(graph).then((rows) => rows.reduce((sum, row) => sum + row.records, 0));
  expect(await partial(database)).toBe(30 * perBatch);
  const before = await database.graph(graph);
  // What is rolled up stays, what is newer goes.
  const last = { firstId: idOf(30), sequence: 31n, startUs: at(30) * 1000, count: perBatch };
  const replaced = Float64Array.from([idOf(1), idOf(29), idOf(29) + 1]);
  expect(await database.commit([{ ...syntheticBatch(last), replaced }], at(30))).toBe(true);
  expect(database.status().kept).toBe(31 * perBatch - 2);
  expect(await partial(database)).toBe(31 * perBatch - 2);
  expect((await database.graph(graph)).length).toBeGreaterThanOrEqual(before.length);
  // A filter that cuts the hour, and one that rollups do not know, read the records.
  const sinceUs = BigInt(at(15)) * 1000n;
  const half = await database.graph({ ...graph, filter: FlowFilter.fromPartial({ sinceUs }) });
  const { columns, count } = await database.page({ ...everything, filter: FlowFilter.fromPartial({ sinceUs }) });
  expect(half.reduce((sum, row) => sum + row.records, 0)).toBe(count);
  expect(Number(columns.id?.[0])).toBeLessThanOrEqual(idOf(15));
  database.close();
  const again = await opened();
  expect(await partial(again.database)).toBe(31 * perBatch - 2);
  await again.database.tick(START_MS + HOUR_MS + 1000);
  const next = { firstId: idOf(40), sequence: 40n, startUs: START_MS * 1000 + HOUR_MS * 1000, count: perBatch };
  expect(await again.database.commit([syntheticBatch(next)], START_MS + HOUR_MS + 2000)).toBe(true);
  await again.database.tick(START_MS + HOUR_MS + 600_000);
  expect(await partial(again.database)).toBe(32 * perBatch - 2);
});

test('a day that is over is rolled up as a whole, and read so where all of it is asked for', async () => {
  const { database } = await opened();
  for (let hour = 0; hour < 60; hour += 1) {
    const nowMs = START_MS + hour * HOUR_MS;
    const place = { firstId: 1 + hour * 100, sequence: BigInt(hour + 1), startUs: nowMs * 1000, count: 100 };
    expect(await database.commit([syntheticBatch(place)], nowMs)).toBe(true);
  }
  const sum = async (file: FlowDatabase, since: number, until = 0) => {
    const [sinceUs, untilUs] = [since, until].map((hour) => BigInt(hour === 0 ? 0 : START_MS + hour * HOUR_MS) * 1000n);
    const rows = await file.graph({ ...graph, filter: FlowFilter.fromPartial({ sinceUs, untilUs }) });
    return rows.reduce((all, { records }) => all + records, 0);
  };
  // Its parts say the same as the whole, whatever hour the asked time begins or ends with; two days were over, two of the hours have left.
  expect(await sum(database, 0)).toBe(6000);
  for (const hour of [1, 3, 4, 5, 15, 16, 17, 27, 28, 29, 41, 55]) {
    expect(await sum(database, hour)).toBe(6000 - 100 * hour);
    expect(await sum(database, 0, hour)).toBe(100 * hour);
  }
  database.close();
  const again = await opened();
  expect(await sum(again.database, 0)).toBe(6000);
  expect(await sum(again.database, 20, 47)).toBe(2700);
  const { wholeDays } = await again.database.rollups();
  expect(wholeDays).toBeGreaterThanOrEqual(2);
});
