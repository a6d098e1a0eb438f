// A small file system that fills up: records are lost and counted, nothing else; with room again, storing goes on.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { FlowDatabase } from './database.js';
import { FlowKeeper } from './keeper.js';
import { syntheticBatch, syntheticMessage } from './synthetic.js';

const dir = mkdtempSync(join(tmpdir(), 'rf-flow-full-'));
beforeEach(() => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'rf-flow-full', dir]);
});
afterEach(() => execFileSync('umount', ['-l', dir]));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const COUNT = 20_000;

test('disk full: counted as lost with a reason, and over when there is room', async () => {
  const database = new FlowDatabase({
    file: join(dir, 'flows.duckdb'),
    days: 30,
    bytes: 2 ** 40,
    memoryBytes: 2 ** 28,
  });
  await database.open('line');
  let [nowMs, sequence, stored, lost] = [1_800_000_000_000, 0n, 0, 0];
  const commit = async () => {
    sequence += 1n;
    nowMs += 3000;
    const firstId = 1 + Number(sequence - 1n) * COUNT;
    const ok = await database.commit(
      [syntheticBatch({ firstId, sequence, count: COUNT, startUs: nowMs * 1000 })],
      nowMs,
    );
    if (ok) stored += COUNT;
    else lost += COUNT;
    return ok;
  };
  for (let i = 0; i < 3; i += 1) expect(await commit()).toBe(true);
  // Another fills what is left.
  const { bavail, bsize } = statfsSync(dir);
  const ballast = join(dir, 'ballast');
  writeFileSync(ballast, Buffer.alloc(bavail * bsize - 64 * 1024));
  await expect.poll(commit, { timeout: 60_000, interval: 0 }).toBe(false);
  expect(database.status().problem).toMatch(/space|write|full|IO Error/i);
  for (let i = 0; i < 3; i += 1) await commit();
  expect(database.status()).toMatchObject({ lost });
  rmSync(ballast);
  await expect.poll(commit, { timeout: 60_000, interval: 0 }).toBe(true);
  expect(database.status()).toMatchObject({ problem: '', lost, kept: stored });
  const { count, columns } = await database.page({ filter: FlowFilter.fromPartial({}), afterId: 0, limit: 1_000_000 });
  expect(count).toBe(stored);
  expect(new Set(Array.from(columns.id ?? [], Number)).size).toBe(stored);
  database.close();
});

test('disk full before the journal: what it takes is stored later, what it does not is lost, counted and told', async () => {
  const file = join(dir, 'flows.duckdb');
  const keeper = new FlowKeeper(
    { file, days: 30, bytes: 2 ** 40, memoryBytes: 2 ** 28 },
    { holdMs: 1e9, rowsMax: 1_000_000 },
  );
  let nowMs = 1_800_000_000_000;
  await keeper.open('line', nowMs);
  let [sequence, taken, lost] = [0n, 0, 0];
  const count = 2000;
  const append = async () => {
    sequence += 1n;
    nowMs += 3000;
    const place = { firstId: 1 + Number(sequence - 1n) * count, sequence, count, startUs: nowMs * 1000 };
    const made = syntheticMessage(place);
    const ok = await keeper.append([{ ...made, freshEnds: sequence === 1n ? made.freshEnds : [] }], nowMs);
    if (ok) taken += count;
    else lost += count;
    return ok;
  };
  for (let i = 0; i < 3; i += 1) expect(await append()).toBe(true);
  const { bavail, bsize } = statfsSync(dir);
  const ballast = join(dir, 'ballast');
  writeFileSync(ballast, Buffer.alloc(bavail * bsize - 1024 * 1024));
  await expect.poll(append, { timeout: 60_000, interval: 0 }).toBe(false);
  expect(keeper.status().problem).toMatch(/journal.*(ENOSPC|space)/i);
  expect(keeper.status()).toMatchObject({ lost, kept: taken });
  rmSync(ballast);
  await expect.poll(append, { timeout: 60_000, interval: 0 }).toBe(true);
  const {
    count: found,
    columns,
    gaps,
  } = await keeper.ask((database) =>
    database.page({ filter: FlowFilter.fromPartial({}), afterId: 0, limit: 1_000_000 }),
  );
  expect(found).toBe(taken);
  expect(new Set(Array.from(columns.id ?? [], Number)).size).toBe(taken);
  expect(gaps.map(({ hop }) => hop)).toEqual(['store']);
  expect(gaps.reduce((sum, gap) => sum + gap.count, 0)).toBe(lost);
  expect(keeper.status()).toMatchObject({ problem: '', lost, kept: taken });
  await keeper.close();
});
