import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StoreDriver } from './driver.js';
import { openSqlite } from './sqlite.js';
import { type StateChange, StateStore } from './state-store.js';

let dir: string;
let driver: StoreDriver;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-state-'));
  driver = openSqlite(join(dir, 'db'));
});
afterEach(() => {
  driver.close();
  rmSync(dir, { recursive: true, force: true });
});

const mapping = (port: number) => ({
  space: '',
  ip: '00000000000000000000ffff0a000001',
  protocol: 6,
  port,
  workloadId: 'w',
  workloadPort: 80,
  source: 's',
});

test('update makes its writes visible and durable together, and tells listeners once', async () => {
  const store = new StateStore(driver);
  const seen: (readonly StateChange[])[] = [];
  store.onCommit((changes) => seen.push(changes));
  const result = await store.update((tx) => {
    tx.set('rule', 'a', { number: tx.count('rules') });
    expect(tx.get('rule', 'a')).toEqual({ number: 1 });
    expect(store.get('rule', 'a')).toBeUndefined();
    return 'done';
  });
  expect(result).toBe('done');
  expect(store.get('rule', 'a')).toEqual({ number: 1 });
  expect(seen).toHaveLength(1);
  expect(seen[0]?.map(({ kind, key }) => `${kind}/${key}`).sort()).toEqual(['counter/rules', 'rule/a']);
  expect(new StateStore(driver).get('rule', 'a')).toEqual({ number: 1 });
});

test('update whose work throws changes nothing, and later updates go on', async () => {
  const store = new StateStore(driver);
  const failed = store.update((tx) => {
    tx.set('rule', 'a', { number: 1 });
    throw new Error('no');
  });
  const after = store.update((tx) => tx.get('rule', 'a'));
  await expect(failed).rejects.toThrow('no');
  expect(await after).toBeUndefined();
  expect(driver.status().revision).toBe(0);
});

test('update whose commit fails changes nothing and shows in health until a commit succeeds', async () => {
  let broken = true;
  const flaky: StoreDriver = {
    load: (kind) => driver.load(kind),
    changes: (after, limit) => driver.changes(after, limit),
    audit: (filter, limit, before) => driver.audit(filter, limit, before),
    auditExtent: () => driver.auditExtent(),
    auditAgedTo: (sinceMs) => driver.auditAgedTo(sinceMs),
    trimAudit: (upTo, entry) => driver.trimAudit(upTo, entry),
    status: () => driver.status(),
    backup: (file) => driver.backup(file),
    close: () => driver.close(),
    commit: async (writes, audit) => {
      if (broken) throw new Error('disk full');
      return driver.commit(writes, audit);
    },
  };
  const store = new StateStore(flaky);
  await expect(store.update((tx) => tx.set('rule', 'a', { number: 1 }))).rejects.toThrow('disk full');
  expect(store.get('rule', 'a')).toBeUndefined();
  expect(store.health()).toEqual({ healthy: false, error: 'disk full' });
  broken = false;
  await store.update((tx) => tx.set('rule', 'a', { number: 1 }));
  expect(store.health().healthy).toBe(true);
});

test('updates run one at a time: of 100 at once on a resource with 10 left, 10 succeed', async () => {
  const store = new StateStore(driver);
  await store.update((tx) => {
    for (let i = 0; i < 10; i++) tx.set('nat', `k${i}`, mapping(i));
  });
  const results = await Promise.all(
    Array.from({ length: 100 }, () =>
      store.update((tx) => {
        const next = tx.entries('nat').next();
        if (next.done) return false;
        tx.delete('nat', next.value[0]);
        return true;
      }),
    ),
  );
  expect(results.filter(Boolean)).toHaveLength(10);
});

test('entries shows own writes and hides own deletes; an equal write is no change', async () => {
  const store = new StateStore(driver);
  await store.update((tx) => tx.set('nat', 'a', mapping(1)));
  const before = driver.status().revision;
  await store.update((tx) => tx.set('nat', 'a', mapping(1)));
  expect(driver.status().revision).toBe(before);
  const keys = await store.update((tx) => {
    tx.delete('nat', 'a');
    tx.set('nat', 'b', mapping(2));
    return [...tx.entries('nat')].map(([key]) => key);
  });
  expect(keys).toEqual(['b']);
});

test('a record that does not fit its schema refuses the store and names the record', async () => {
  await driver.commit([{ kind: 'rule', key: 'web', value: '{"number":"seven"}' }]);
  expect(() => new StateStore(driver)).toThrow(/Cannot read rule "web" from .*at "number", wanted a record/);
  await driver.commit([{ kind: 'rule', key: 'web', value: '{"number":7' }]);
  expect(() => new StateStore(driver)).toThrow(/Cannot read rule "web"/);
});
