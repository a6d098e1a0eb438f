// When a presented key is decided on, under a fake clock: once, at a change, at its retry, and not faster than a host may.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FailureLimit } from '../ca/rate-limit.js';
import { PairingDesk } from '../keys/pairing-desk.js';
import { loadSecretMac } from '../keys/secret-mac.js';
import type { PairingProfile } from '../pairing/profile.js';
import { RETRY, RetrySchedule } from '../pairing/retry.js';
import type { WorkloadRecord } from '../store/records.js';
import { openSqlite } from '../store/sqlite.js';
import { StateStore } from '../store/state-store.js';
import { type PairingContext, pairStep, reconsider } from './pair-workload.js';

const profile: PairingProfile = {
  id: 'p1',
  name: 'web',
  dimensions: [{ dimension: 'role', value: 'web', locked: false, permitted: ['web', 'db'] }],
  startingMode: 'enforce',
  onConflict: 'deny',
  sources: [],
  enabled: true,
  owner: '',
  note: '',
};

let dir: string;
let now: number;
let from: string;
let store: StateStore;
let context: PairingContext;
let decisions: number;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-pair-'));
  now = 1_000_000;
  from = '10.0.0.1';
  decisions = 0;
  store = new StateStore(openSqlite(join(dir, 'db')));
  const desk = new PairingDesk({
    state: store,
    mac: loadSecretMac(join(dir, 'secret', 'key')),
    nowMs: () => now,
    randomBytes: (length) => randomBytes(length),
    permittedValues: () => 'any',
  });
  const pairIn = desk.pairIn.bind(desk);
  desk.pairIn = (...args) => {
    decisions += 1;
    return pairIn(...args);
  };
  context = {
    desk,
    fromPrefix: (_host, prefix) => prefix === `${from}/32`,
    addressOf: () => from,
    retries: new RetrySchedule({ ...RETRY, random: () => 1 }),
    pace: new FailureLimit(5, 1000),
    now: () => now,
  };
  store.onCommit((changes) => {
    for (const { kind, key, after } of changes)
      if (kind === 'workload')
        context.retries.set(key, after?.pairing?.state === 'denied' ? 'unknown' : undefined, now);
  });
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

async function keyOf(changes: Partial<PairingProfile> = {}): Promise<{ text: string; id: string }> {
  await context.desk.putProfile({ ...profile, ...changes });
  return context.desk.createKey('p1', 'ops');
}

/** An agent reports the workload with this key. */
async function report(
  keyText: string,
  metadata: Record<string, string> = {},
  id = 'h/container:c',
): Promise<WorkloadRecord> {
  const fresh = {
    ...{ id, name: 'c', kind: WorkloadKind.WORKLOAD_KIND_CONTAINER, hostId: 'h', localId: 'container:c', source: '' },
    ...{ image: '', addresses: [], published: [], cgroupPath: '', labels: {}, sticky: false, metadata, present: true },
    ...{ goneMs: 0, createdMs: now, version: 1 },
  };
  await store.update((tx) => {
    const before = tx.get('workload', id);
    tx.set('workload', id, pairStep(context)(tx, before === undefined ? fresh : { ...before, metadata }, keyText));
  });
  return store.get('workload', id) ?? fresh;
}

test('what was denied is not decided again for being reported again; it is at its retry, and then pairs', async () => {
  const key = await keyOf();
  const kept = store.get('pairingKey', key.id);
  await store.update((tx) => tx.delete('pairingKey', key.id));
  expect((await report(key.text)).pairing).toMatchObject({ state: 'denied', denial: 'unknown' });
  // The key comes back, as from a backup: nobody is told of it.
  await store.update((tx) => kept && tx.set('pairingKey', key.id, kept));
  for (let i = 0; i < 10; i += 1) await report(key.text);
  expect(decisions).toBe(1);
  now += 59_999;
  expect(context.retries.due(now)).toEqual([]);
  now += 1;
  expect(context.retries.due(now)).toEqual(['h/container:c']);
  context.retries.asked('h/container:c', now);
  expect(await report(key.text)).toMatchObject({ pairing: { state: 'paired' }, labels: { role: 'web' } });
  expect(decisions).toBe(2);
  expect(context.retries.size).toBe(0);
});

test.each<[string, (key: string) => Promise<WorkloadRecord>, object]>([
  ['other metadata', (key) => report(key, { 'ringfence.label.role': 'db' }), { state: 'paired' }],
  ['another key', async () => report((await keyOf()).text, { 'ringfence.label.role': 'db' }), { state: 'paired' }],
  ['a mistyped key', (key) => report(`${key}x`, { 'ringfence.label.role': 'x' }), { denial: 'malformed' }],
])('a change is decided at once: %s', async (_name, change, pairing) => {
  const { text } = await keyOf();
  expect((await report(text, { 'ringfence.label.role': 'x' })).pairing?.denial).toBe('value-not-permitted');
  expect((await change(text)).pairing).toMatchObject(pairing);
  expect(decisions).toBe(2);
});

test('a host that connects from another address is decided on anew', async () => {
  const { text } = await keyOf({ sources: ['10.0.0.2/32'] });
  expect((await report(text)).pairing?.denial).toBe('wrong-source');
  await report(text);
  expect(decisions).toBe(1);
  from = '10.0.0.2';
  expect((await report(text)).pairing?.state).toBe('paired');
});

test('a changed profile decides again by itself, and only its own', async () => {
  const { text } = await keyOf({ enabled: false });
  expect((await report(text)).pairing?.denial).toBe('profile-disabled');
  await context.desk.putProfile(profile);
  await store.update((tx) => reconsider(context, tx, ({ profileId }) => profileId === 'other'));
  expect(store.get('workload', 'h/container:c')?.pairing?.state).toBe('denied');
  await store.update((tx) => reconsider(context, tx, ({ profileId }) => profileId === 'p1'));
  expect(store.get('workload', 'h/container:c')?.pairing?.state).toBe('paired');
});

test('a denied workload that no longer shows its key stays denied; a paired one that asks for other labels is decided anew', async () => {
  const { text } = await keyOf();
  await report(text, { 'ringfence.label.role': 'x' });
  expect((await report('')).pairing?.denial).toBe('value-not-permitted');
  await report(text, {}, 'h/container:d');
  const other = await report(text, { 'ringfence.label.role': 'db' }, 'h/container:d');
  expect(other.labels).toEqual({ role: 'db' });
  expect(other.labelReasons?.role).toMatchObject({ source: 'pairing', how: 'requested', profile: 'web' });
  expect((await report(text, {}, 'h/container:e')).labelReasons?.role).toMatchObject({ how: 'default' });
});

test('a host that brings about too many decisions is held off: cut off, undecided, and decided when it may again', async () => {
  const { text } = await keyOf();
  for (let i = 0; i < 5; i += 1) await report(`${text}${i}`);
  expect(decisions).toBe(5);
  expect((await report(text, {}, 'h/container:new')).pairing).toMatchObject({
    state: 'denied',
    denial: 'rate-limited',
  });
  expect(decisions).toBe(5);
  now += 60_000;
  expect((await report(text, {}, 'h/container:new')).pairing?.state).toBe('paired');
});
