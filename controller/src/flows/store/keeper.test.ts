// What the store promises while rows wait before the database: each is there once, whoever asks and whenever the process dies.
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { random } from '../../policy/testing/random.js';
import { FlowKeeper, type KeeperOptions } from './keeper.js';
import { syntheticMessage } from './synthetic.js';

vi.setConfig({ testTimeout: 60_000 });
const NOW_MS = 500_000 * 3_600_000;
const PATIENT = { holdMs: 1e9, rowsMax: 1e6 };

let dir: string;
const open: FlowKeeper[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-keeper-'));
});
afterEach(async () => {
  for (const keeper of open.splice(0)) await keeper.close();
  rmSync(dir, { recursive: true, force: true });
});

async function opened(folder: string, options: KeeperOptions, line = 'line') {
  const settings = { file: join(dir, folder, 'flows.duckdb'), days: 2, bytes: 2 ** 40, memoryBytes: 2 ** 27 };
  const keeper = new FlowKeeper(settings, options);
  const found = await keeper.open(line, NOW_MS);
  open.push(keeper);
  return { keeper, ...found };
}

async function first(options: KeeperOptions) {
  cpSync(mkdtempSync(join(dir, 'empty-')), join(dir, 'a'), { recursive: true });
  return opened('a', options);
}

/** As a process leaves it that is killed now. */
function killed(as: string): void {
  cpSync(join(dir, 'a'), join(dir, as), { recursive: true });
}

const everything = { filter: FlowFilter.fromPartial({}), afterId: 0, limit: 100_000 };
const idsOf = async (keeper: FlowKeeper) => {
  const { columns } = await keeper.ask((database) => database.page(everything));
  return Array.from(columns.id ?? [], Number);
};

function message(
  firstId: number,
  count: number,
  sequence: number,
  replaced: readonly number[] = [],
  fresh = sequence === 1,
) {
  const made = syntheticMessage({ firstId, count, sequence: BigInt(sequence), startUs: NOW_MS * 1000 });
  return { ...made, replaced: Float64Array.from(replaced), freshEnds: fresh ? made.freshEnds : [] };
}

test('what waited for a database that is gone is counted as lost, once, and told as a gap', async () => {
  const { keeper } = await first(PATIENT);
  expect(await keeper.append([message(1, 7, 1)], NOW_MS)).toBe(true);
  killed('b');
  for (const name of readdirSync(join(dir, 'b')))
    if (!name.includes('.journal-')) rmSync(join(dir, 'b', name), { recursive: true });
  const { keeper: next, firstId } = await opened('b', PATIENT, 'another');
  expect([next.status().kept, next.status().lost]).toEqual([0, 7]);
  expect(await next.append([message(firstId, 2, 1)], NOW_MS)).toBe(true);
  const { gaps } = await next.ask((database) => database.page(everything));
  expect(gaps).toMatchObject([{ hop: 'store', count: 7 }]);
  await open.pop()?.close();
  expect((await opened('b', PATIENT, 'another')).keeper.status().lost).toBe(0);
});

test('bytes on disk are those of all files from the first batch on', async () => {
  const { keeper } = await first(PATIENT);
  const onDisk = (names: RegExp) =>
    readdirSync(join(dir, 'a'))
      .filter((name) => names.test(name))
      .reduce((sum, name) => sum + statSync(join(dir, 'a', name)).size, 0);
  expect(await keeper.append([message(1, 5000, 1)], NOW_MS)).toBe(true);
  expect(onDisk(/journal/)).toBeGreaterThan(100_000);
  expect(keeper.status().bytes).toBeGreaterThanOrEqual(onDisk(/journal|wal/));
  await keeper.ask((database) => database.page(everything));
  expect(onDisk(/wal/)).toBeGreaterThan(100_000);
  expect(keeper.status().bytes).toBeGreaterThanOrEqual(onDisk(/journal|wal/));
});

test('a row that is replaced while it waits is never stored; who asks sees each connection once', async () => {
  const { keeper } = await first(PATIENT);
  expect(await keeper.append([message(1, 10, 1)], NOW_MS)).toBe(true);
  expect(keeper.status().kept).toBe(10);
  // Of the batch before, and of itself.
  expect(await keeper.append([message(11, 5, 2, [3, 4, 15])], NOW_MS)).toBe(true);
  expect(keeper.status().kept).toBe(12);
  expect(await idsOf(keeper)).toEqual([1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  // These are stored by now.
  expect(await keeper.append([message(16, 1, 3, [1, 14]), message(0, 0, 4, [2, 16])], NOW_MS)).toBe(true);
  expect(keeper.status().kept).toBe(9);
  expect(await idsOf(keeper)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13]);
  expect(keeper.status().kept).toBe(9);
});

test('killed at any time, torn at any place: what was taken is there once, up to one place in the order', async () => {
  for (const seed of [1, 2]) {
    const chance = random(seed);
    rmSync(join(dir, 'a'), { recursive: true, force: true });
    const { keeper } = await first({ holdMs: 0, rowsMax: 400 });
    const alive: number[] = [];
    /** Rows after each batch. */
    const after: number[][] = [[]];
    let id = 1;
    let checked = 0;
    for (let sequence = 1; sequence <= 40; sequence += 1) {
      const count = chance.below(60);
      const replaced = new Set<number>();
      for (let i = 0; i < Math.min(alive.length, chance.below(30)); i += 1) {
        replaced.add(alive[alive.length - 1 - chance.below(Math.min(alive.length, 120))] ?? 0);
      }
      const rows = Array.from({ length: count }, (_, i) => id + i);
      const left = [...alive.filter((each) => !replaced.has(each)), ...rows];
      alive.splice(0, alive.length, ...left);
      after.push(left);
      expect(await keeper.append([message(count === 0 ? 0 : id, count, sequence, [...replaced])], NOW_MS)).toBe(true);
      expect(keeper.status().kept).toBe(alive.length);
      id += count;
      // Not waited for: batches come while others are stored.
      if (chance.chance(0.3)) void keeper.settle();
      if (chance.chance(0.15)) {
        checked += 1;
        const copy = `copy-${seed}-${sequence}`;
        // Nothing is being written while files are copied.
        await keeper.tick(NOW_MS);
        killed(copy);
        const torn = chance.chance(0.5);
        if (torn) tear(join(dir, copy), chance.below(4000));
        const again = await opened(copy, PATIENT);
        const stands = Number(again.marks[0]?.sequence ?? 0n);
        expect(stands).toBeLessThanOrEqual(sequence);
        if (!torn) expect(stands).toBe(sequence);
        expect(await idsOf(again.keeper)).toEqual(after[stands]);
        expect(again.keeper.status().kept).toBe(after[stands]?.length);
        expect(again.firstId).toBeGreaterThan(Math.max(0, ...(after[stands] ?? [])));
      }
    }
    expect(checked).toBeGreaterThan(0);
    expect(await idsOf(keeper)).toEqual(alive);
    await keeper.close();
    open.splice(open.indexOf(keeper), 1);
    expect(readdirSync(join(dir, 'a')).filter((name) => name.includes('journal'))).toEqual([]);
    const again = await opened('a', PATIENT);
    expect(await idsOf(again.keeper)).toEqual(alive);
    await again.keeper.close();
    open.splice(open.indexOf(again.keeper), 1);
  }
});

test('more than may wait, and the database takes nothing: what comes is lost and counted', async () => {
  const { keeper } = await first({ holdMs: 1e9, rowsMax: 100 });
  const broken = { ...message(1, 90, 1), strings: null as unknown as string[] };
  expect(await keeper.append([broken], NOW_MS)).toBe(true);
  expect(await keeper.append([message(91, 20, 2)], NOW_MS)).toBe(true);
  expect(await keeper.append([message(111, 20, 3)], NOW_MS)).toBe(false);
  expect(keeper.status()).toMatchObject({ lost: 20, kept: 110 });
  expect(keeper.status().problem).not.toBe('');
});

function tear(folder: string, bytes: number): void {
  const last = readdirSync(folder)
    .filter((name) => name.includes('journal'))
    .sort()
    .at(-1);
  if (last === undefined) return;
  const path = join(folder, last);
  truncateSync(path, Math.max(0, statSync(path).size - bytes));
}
