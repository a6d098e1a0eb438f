import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AuditDraft, NO_AUDIT_FILTER } from '../store/audit.js';
import type { StoreDriver } from '../store/driver.js';
import { openSqlite } from '../store/sqlite.js';
import { StateStore } from '../store/state-store.js';
import { AuditTrimmer, DAY_MS, planTrim, TRIM_MAX } from './retention.js';

const keep = { days: 10, entries: 1000 };

describe('planTrim', () => {
  test.each([
    ['nothing is there', { oldest: 0, newest: 0, entries: 0 }, 0, undefined],
    ['nothing is too old nor too many', { oldest: 1, newest: 1000, entries: 1000 }, 0, undefined],
    ['too many', { oldest: 1, newest: 1003, entries: 1003 }, 0, { upTo: 13, why: 'more than 1000' }],
    ['too old', { oldest: 5, newest: 50, entries: 46 }, 20, { upTo: 20, why: 'older than 10 days' }],
    ['all of it too old', { oldest: 5, newest: 50, entries: 46 }, 50, { upTo: 50, why: 'older than 10 days' }],
    ['trimmed before', { oldest: 21, newest: 50, entries: 30 }, 20, undefined],
    [
      'one commit’s worth',
      { oldest: 1, newest: 90_000, entries: 90_000 },
      0,
      { upTo: TRIM_MAX, why: 'more than 1000' },
    ],
  ])('%s', (_name, extent, agedTo, plan) => expect(planTrim(extent, agedTo, keep)).toEqual(plan));
});

let dir: string;
let driver: StoreDriver;
let store: StateStore;
let now: number;
let trimmer: AuditTrimmer | undefined;
const errors: unknown[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-retention-'));
  driver = openSqlite(join(dir, 'db'));
  store = new StateStore(driver);
  now = 100 * DAY_MS;
  errors.length = 0;
});
afterEach(async () => {
  await trimmer?.stop();
  trimmer = undefined;
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

const draft = (atMs: number, text = 'x'): AuditDraft => ({
  ...{ atMs, actor: 'ops', source: '', action: 'key.create', object: 'k', hostId: '', keyId: '', text, detail: '{}' },
});
const write = (count: number, atMs = now) =>
  store.update((tx) => {
    for (let i = 0; i < count; i += 1) tx.audit(draft(atMs));
  });
const start = (retention = keep) => {
  trimmer = new AuditTrimmer({ store, retention, now: () => now, onError: (error) => errors.push(error) });
  return trimmer;
};
const newest = (limit = 10) => driver.audit(NO_AUDIT_FILTER, limit, 0);

describe('AuditTrimmer', () => {
  test('by age: what is too old goes at the start, told by one entry of its own', async () => {
    await write(40, now - 11 * DAY_MS);
    await write(5, now - 9 * DAY_MS);
    await start().look();
    expect(driver.auditExtent()).toEqual({ oldest: 41, newest: 46, entries: 6 });
    expect(newest(1)).toMatchObject([
      {
        sequence: 46,
        actor: 'controller',
        action: 'audit.trim',
        object: '40',
        text: '40 audit entries removed, 1 to 40: older than 10 days',
        detail: JSON.stringify({ from: 1, to: 40, removed: 40, retention: keep }),
      },
    ]);
    expect(errors).toEqual([]);
  });

  test('by count: looked at while entries are written; in several commits when they are many', async () => {
    start({ days: 10_000, entries: 1000 });
    await write(2 * TRIM_MAX + 2000);
    await trimmer?.look();
    const { entries, newest: last, oldest } = driver.auditExtent();
    // A hundredth below the bound, and the entries that tell of it.
    expect(entries).toBe(990 + 1);
    expect(last - oldest + 1).toBe(entries);
    expect(driver.audit({ ...NO_AUDIT_FILTER, actions: ['audit.trim'] }, 10, 0)).toHaveLength(3);
    await trimmer?.look();
    expect(driver.auditExtent().newest).toBe(last);
  });

  test('an entry from a clock that ran ahead holds nothing back for ever: the count counts whatever the age', async () => {
    await write(1, now + 1000 * DAY_MS);
    await write(1500, now - 50 * DAY_MS);
    await start().look();
    expect(driver.auditExtent().entries).toBe(991);
  });

  test('the trim survives a restart, and followers hear of it', async () => {
    await write(30, now - 11 * DAY_MS);
    const heard: string[] = [];
    store.onAudit((entries) => heard.push(...entries.map(({ action }) => action)));
    await start().look();
    expect(heard).toEqual(['audit.trim']);
    await trimmer?.stop();
    await store.close();
    driver = openSqlite(join(dir, 'db'));
    store = new StateStore(driver);
    expect(driver.auditExtent()).toEqual({ oldest: 31, newest: 31, entries: 1 });
  });
});

test('the database gives up no entry that no audit.trim names, whoever asks', async () => {
  await write(10);
  await driver.trimAudit(4, { ...draft(now), action: 'audit.trim', object: '4' });
  await expect(driver.trimAudit(6, { ...draft(now), action: 'audit.trim', object: '5' })).rejects.toThrow(
    /tells the horizon/,
  );
  await expect(driver.trimAudit(6, draft(now))).rejects.toThrow(/tells the horizon/);
  await store.close();
  const raw = new Database(join(dir, 'db'));
  try {
    expect(() => raw.exec('DELETE FROM audit WHERE sequence = 7')).toThrow(/audit entries are kept/);
    expect(() => raw.exec('UPDATE audit_horizon SET sequence = 9')).toThrow(/tells the horizon/);
    expect(() => raw.exec('UPDATE audit_horizon SET sequence = 1')).toThrow(/tells the horizon/);
    expect(() => raw.exec('DELETE FROM audit_horizon')).toThrow(/the horizon is kept/);
    expect(() => raw.exec("UPDATE audit SET text = 'y'")).toThrow(/audit entries are final/);
    expect(raw.prepare('SELECT min(sequence), count(*) FROM audit').raw().get()).toEqual([5, 7]);
  } finally {
    raw.close();
  }
  driver = openSqlite(join(dir, 'db'));
  store = new StateStore(driver);
});
