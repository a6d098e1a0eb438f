import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PairingProfile } from '../pairing/profile.js';
import { openSqlite } from '../store/sqlite.js';
import { StateStore } from '../store/state-store.js';
import { type PairingAttempt, PairingDesk } from './pairing-desk.js';
import { loadSecretMac } from './secret-mac.js';

const profile: PairingProfile = {
  id: 'p1',
  name: 'web',
  dimensions: [
    { dimension: 'role', value: 'web', locked: true },
    { dimension: 'env', locked: false },
  ],
  startingMode: 'enforce',
  onConflict: 'profile-value',
  sources: [],
  enabled: true,
  owner: '',
  note: '',
};

let dir: string;
let now: number;
let state: StateStore;
let desk: PairingDesk;

function open(): void {
  state = new StateStore(openSqlite(join(dir, 'db')));
  desk = new PairingDesk({
    state,
    mac: loadSecretMac(join(dir, 'secret', 'pairing.key')),
    nowMs: () => now,
    randomBytes: (length) => randomBytes(length),
    permittedValues: () => 'any',
  });
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-desk-'));
  now = 1_000;
  open();
});
afterEach(async () => {
  await state.close();
  rmSync(dir, { recursive: true, force: true });
});

const attempt = (keyText: string, workloadId = 'w1', changes: Partial<PairingAttempt> = {}): PairingAttempt => ({
  workloadId,
  hostId: 'h1',
  keyText,
  requested: {},
  fromPrefix: () => true,
  ...changes,
});

async function keyFor(changes: Partial<PairingProfile> = {}): Promise<{ text: string; id: string }> {
  await desk.putProfile({ ...profile, ...changes });
  return desk.createKey('p1', 'ops');
}

describe('PairingDesk', () => {
  test('of 100 simultaneous requests on a key with 10 uses, 10 succeed', async () => {
    const { text, id } = await keyFor({ usesMax: 10 });
    const outcomes = await Promise.all(Array.from({ length: 100 }, (_, i) => desk.pair(attempt(text, `w${i}`))));
    expect(outcomes.filter((outcome) => outcome.decision.paired)).toHaveLength(10);
    expect(outcomes.filter((o) => !o.decision.paired && o.decision.denial === 'exhausted')).toHaveLength(90);
    expect(desk.pairedBy(id)).toHaveLength(10);
    expect(desk.keys()[0]?.uses).toBe(10);
  });

  test('the same workload again is not counted, and outlives the end of its key, also when it presents none', async () => {
    const { text, id } = await keyFor({ usesMax: 1, lifespanMs: 500 });
    expect(await desk.pair(attempt(text))).toMatchObject({ decision: { paired: true }, again: false });
    now += 10_000;
    expect(await desk.pair(attempt(text))).toMatchObject({ decision: { paired: true }, again: true });
    expect(desk.keys()[0]?.uses).toBe(1);
    expect(await desk.pair(attempt(text, 'w2'))).toMatchObject({ decision: { paired: false, denial: 'expired' } });
    await desk.revokeKey(id);
    expect(await desk.pair(attempt(text))).toMatchObject({ decision: { paired: true }, again: true });
    expect(await desk.pair(attempt(''))).toMatchObject({ decision: { paired: true }, again: true });
    // Once unpaired, the revoked key pairs nothing.
    await desk.unpair(['w1']);
    expect(await desk.pair(attempt(text))).toMatchObject({ decision: { paired: false, denial: 'revoked' } });
    expect(await desk.pair(attempt(''))).toMatchObject({ decision: { paired: false, denial: 'missing' } });
    expect(desk.pairingOf('w1')).toBeUndefined();
  });

  test('a key holds to the millisecond', async () => {
    const { text } = await keyFor({ lifespanMs: 500 });
    now += 499;
    expect((await desk.pair(attempt(text, 'a'))).decision.paired).toBe(true);
    now += 1;
    expect((await desk.pair(attempt(text, 'b'))).decision.paired).toBe(false);
  });

  test('rotation: two live keys of one profile both pair; revoking one leaves the other', async () => {
    const first = await keyFor();
    const second = await desk.createKey('p1', 'ops');
    expect((await desk.pair(attempt(first.text, 'a'))).decision.paired).toBe(true);
    await desk.revokeKey(first.id);
    expect((await desk.pair(attempt(first.text, 'b'))).decision.paired).toBe(false);
    expect((await desk.pair(attempt(second.text, 'b'))).decision.paired).toBe(true);
  });

  test('a wrong secret with a live id, a foreign key and no key are told apart from a typing error', async () => {
    const { text } = await keyFor();
    const other = await desk.createKey('p1', 'ops');
    await state.update((tx) => tx.delete('pairingKey', other.id));
    expect(await desk.pair(attempt(other.text))).toMatchObject({ decision: { denial: 'unknown' } });
    expect(await desk.pair(attempt(`${text.slice(0, -1)}!`))).toMatchObject({ decision: { denial: 'malformed' } });
    expect(await desk.pair(attempt('  '))).toMatchObject({ decision: { denial: 'missing' } });
  });

  test('all of it survives a restart, and no secret is on disk', async () => {
    const { text } = await keyFor({ usesMax: 2 });
    await desk.pair(attempt(text, 'w1', { requested: { env: 'prod', role: 'db' } }));
    await state.close();
    const secret = text.split('_')[2] as string;
    for (const file of ['db', 'db-wal']) {
      let bytes = Buffer.alloc(0);
      try {
        bytes = readFileSync(join(dir, file));
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ENOENT');
      }
      expect(bytes.includes(secret)).toBe(false);
    }
    open();
    expect(desk.pairingOf('w1')?.labels).toEqual({ role: 'web', env: 'prod' });
    expect((await desk.pair(attempt(text, 'w2'))).decision.paired).toBe(true);
    expect((await desk.pair(attempt(text, 'w3'))).decision.paired).toBe(false);
  });

  test('a profile with a live pairing cannot be deleted; after unpairing it goes with its keys', async () => {
    const { text } = await keyFor();
    await desk.pair(attempt(text));
    await expect(desk.deleteProfile('p1')).rejects.toThrow(/it paired w1/);
    await desk.unpair(['w1']);
    await desk.deleteProfile('p1');
    expect(desk.keys()).toEqual([]);
    expect(await desk.pair(attempt(text))).toMatchObject({ decision: { denial: 'unknown' } });
  });

  test('two profiles cannot share a name', async () => {
    await desk.putProfile(profile);
    await expect(desk.putProfile({ ...profile, id: 'p2' })).rejects.toThrow(/name web is taken/);
  });
});

describe('loadSecretMac', () => {
  test('refuses to begin anew when keys were hashed with a file that is gone', () => {
    expect(() => loadSecretMac(join(dir, 'lost', 'pairing.key'), true)).toThrow(/found none, wanted the one/);
  });

  test('makes a key only its owner can read, and refuses one that others can', () => {
    const file = join(dir, 'secret', 'pairing.key');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(dir, 'secret')).mode & 0o777).toBe(0o700);
    chmodSync(file, 0o644);
    expect(() => loadSecretMac(file)).toThrow(/found mode 644, wanted 600/);
  });
});
