// The store while the controller's own clock is set.
import { mkdtempSync, rmSync } from 'node:fs';
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
