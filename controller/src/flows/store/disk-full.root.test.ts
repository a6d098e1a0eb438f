// A small file system that fills up: records are lost and counted, nothing else; with room again, storing goes on.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FlowDatabase } from './database.js';
import { syntheticBatch } from './synthetic.js';

const dir = mkdtempSync(join(tmpdir(), 'rf-flow-full-'));
beforeAll(() => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'rf-flow-full', dir]);
});
afterAll(() => {
  execFileSync('umount', ['-l', dir]);
  rmSync(dir, { recursive: true, force: true });
});

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
