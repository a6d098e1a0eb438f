// The store while the controller's own clock is set.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FlowDatabase } from './database.js';
import { FlowKeeper } from './keeper.js';
import type { StoreSettings } from './messages.js';
import { syntheticBatch, syntheticMessage } from './synthetic.js';

const HOUR_MS = 3_600_000;
const START_MS = 500_000 * HOUR_MS;
vi.setConfig({ testTimeout: 60_000 });

let dir: string;
const open: FlowDatabase[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-flow-clock-'));
});
afterEach(() => {
  for (const database of open.splice(0)) database.close();
  rmSync(dir, { recursive: true, force: true });
});

async function opened(more: Partial<StoreSettings> = {}) {
  const file = join(dir, 'flows.duckdb');
  const database = new FlowDatabase({ file, days: 30, bytes: 2 ** 40, memoryBytes: 2 ** 28, ...more });
  open.push(database);
  await database.open('line');
  return database;
}

const batch = (sequence: number, more = {}) => ({
  ...syntheticBatch({
    firstId: 1 + sequence * 100,
    sequence: BigInt(sequence + 1),
    count: 100,
    startUs: START_MS * 1000,
  }),
  ...more,
});
const everything = { filter: FlowFilter.fromPartial({}), afterId: 0, limit: 1_000_000 };

test('after trouble storing goes on, also when the clock has gone back meanwhile', async () => {
  const database = await opened();
  const { verdict, ...broken } = batch(0).columns;
  expect(verdict).toBeDefined();
  expect(await database.commit([{ ...batch(0), columns: broken }], START_MS)).toBe(false);
  // Not at once: each attempt opens the file anew.
  expect(await database.commit([batch(1)], START_MS + 1)).toBe(false);
  expect(await database.commit([batch(2)], START_MS - HOUR_MS)).toBe(true);
  expect((await database.page(everything)).count).toBe(100);
});

test('rows that came just before the clock was set ahead are replaced all the same; later their hour closes', async () => {
  const file = join(dir, 'flows.duckdb');
  const keeper = new FlowKeeper({ file, days: 30, bytes: 2 ** 40, memoryBytes: 2 ** 28 });
  await keeper.open('line', START_MS);
  const records = async () =>
    (await keeper.ask((database) => database.graph({ filter: undefined, groupBy: [] }))).reduce(
      (sum, row) => sum + row.records,
      0,
    );
  const append = async (place: number, atMs: number, replaced: number[] = []) => {
    const made = syntheticMessage({
      firstId: 1 + place * 100,
      sequence: BigInt(place + 1),
      count: 100,
      startUs: START_MS * 1000,
    });
    // What is asked has all of it written.
    expect(
      await keeper.append(
        [{ ...made, freshEnds: place === 0 ? made.freshEnds : [], replaced: Float64Array.from(replaced) }],
        atMs,
      ),
    ).toBe(true);
    return records();
  };
  expect(await append(0, START_MS)).toBe(100);
  const setMs = START_MS + 3 * HOUR_MS;
  expect(await append(1, setMs)).toBe(200);
  await keeper.tick(setMs + 1000);
  // One row takes the place of one that came a moment ago.
  expect(await append(2, setMs + 2000, [5, 6])).toBe(298);
  const passed = [2, 4, 6].map((minutes) => setMs + minutes * 60_000);
  for (const atMs of passed) await keeper.tick(atMs);
  expect(await append(3, setMs + 7 * 60_000, [7, 150])).toBe(397);
  await keeper.close();
});

test('a clock that is wrong for a moment, at the start or later, costs no history', async () => {
  const file = join(dir, 'flows.duckdb');
  const settings = { file, days: 30, bytes: 2 ** 40, memoryBytes: 2 ** 28 };
  const wrongMs = START_MS + 40 * 24 * HOUR_MS;
  const first = new FlowKeeper(settings);
  await first.open('line', START_MS);
  const message = syntheticMessage({ firstId: 1, sequence: 1n, count: 100, startUs: START_MS * 1000 });
  expect(await first.append([message], START_MS)).toBe(true);
  await first.settle();
  await first.tick(wrongMs);
  await first.tick(START_MS + 1000);
  expect(first.status()).toMatchObject({ kept: 100, dropped: 0 });
  await first.close();
  const second = new FlowKeeper(settings);
  await second.open('line', wrongMs);
  await second.tick(wrongMs + 1000);
  expect(second.status()).toMatchObject({ kept: 100, dropped: 0 });
  for (let minutes = 2; minutes <= 6; minutes += 2) await second.tick(wrongMs + minutes * 60_000);
  expect(second.status()).toMatchObject({ kept: 0, dropped: 100 });
  await second.close();
});

test('a host whose clock says 1970, or another century, does not stretch the time that there is to look at', async () => {
  const database = await opened();
  expect(database.oldestUs()).toBe(0);
  for (const [sequence, startUs] of [0, START_MS * 1000, 2 ** 53 - 1e8].entries()) {
    const place = { firstId: 1 + sequence * 100, sequence: BigInt(sequence + 1), count: 100, startUs };
    expect(await database.commit([syntheticBatch(place)], START_MS + sequence * HOUR_MS)).toBe(true);
    // An hour of packets from far ahead begins no later than it ends.
    expect(database.oldestUs()).toBe((START_MS - 24 * HOUR_MS) * 1000);
  }
  const other = await opened({ file: join(dir, 'other.duckdb') });
  const ahead = syntheticBatch({ firstId: 1, sequence: 1n, count: 100, startUs: 2 ** 53 - 1e8 });
  expect(await other.commit([ahead], START_MS)).toBe(true);
  expect(other.oldestUs()).toBe((START_MS + HOUR_MS) * 1000);
});
