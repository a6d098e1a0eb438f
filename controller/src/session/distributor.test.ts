import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createCompiler } from '../compile/graph.js';
import type { Compiler } from '../compile/types.js';
import { Isolation } from '../keys/isolation.js';
import { EMPTY_POLICY } from '../policy/model.js';
import type { StoreDriver } from '../store/driver.js';
import { PersistentNumbers } from '../store/numbers.js';
import type { WorkloadRecord } from '../store/records.js';
import { openSqlite } from '../store/sqlite.js';
import { StateStore } from '../store/state-store.js';
import { Distributor } from './distributor.js';
import { Revisions } from './revisions.js';

let dir: string;
let driver: StoreDriver;
let store: StateStore;
let refuseWrites = false;
const errors: string[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-distributor-'));
  driver = openSqlite(join(dir, 'db'));
  refuseWrites = false;
  errors.length = 0;
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
      if (refuseWrites && writes.some(({ kind }) => kind === 'identity')) throw new Error('disk full');
      return driver.commit(writes, audit);
    },
  };
  store = new StateStore(flaky);
});
afterEach(() => {
  driver.close();
  rmSync(dir, { recursive: true, force: true });
});

function distributor(wrap: (compiler: Compiler) => Compiler = (compiler) => compiler): Distributor {
  return new Distributor({
    store,
    identities: new PersistentNumbers(store, 'identity'),
    ipClasses: new PersistentNumbers(store, 'ipClass'),
    revisions: new Revisions(store),
    isolation: new Isolation(store),
    newCompiler: (identities, classes) => wrap(createCompiler({ identities, classes, quarantineMs: 1000 })),
    now: () => 5000,
    reject: true,
    onError: (error) => errors.push(error instanceof Error ? error.message : String(error)),
  });
}

function workload(id: string): WorkloadRecord {
  return {
    id,
    name: id,
    kind: 2,
    hostId: 'h',
    localId: id,
    source: '',
    image: '',
    addresses: [{ ip: '00000000000000000000ffff0a000001', space: '' }],
    published: [],
    cgroupPath: '',
    labels: {},
    sticky: false,
    metadata: {},
    present: true,
    goneMs: 0,
    createdMs: 0,
    version: 1,
  };
}

const put = (id: string) => store.update((tx) => tx.set('workload', id, workload(id)));
const assigned = (d: Distributor) =>
  [...(d.stateOf('h')?.cells() ?? [])].filter(({ table }) => table === 'assignment').map(({ name }) => name);

test('a committed workload is in the host state after the next flush, with the identity on disk', async () => {
  const d = distributor();
  d.setPolicy({ policy: EMPTY_POLICY, version: 0, confirmByMs: 0, canary: undefined });
  const state = await d.attach('h');
  const seen: string[][] = [];
  d.onHostChange((hostId, keys) => seen.push([hostId, ...keys]));
  await put('a');
  await d.flushed();
  expect(assigned(d)).toEqual(['a']);
  expect(seen[0]).toEqual(expect.arrayContaining(['h', 'aa']));
  expect([...store.table('identity').values()].map(({ number }) => number)).toEqual([d.identityOf('a')]);
  expect(state.revision).toBeGreaterThan(0);
  await d.stop();
});

test('nothing leaves while its numbers cannot be written; it does once they can', async () => {
  const d = distributor();
  await d.attach('h');
  refuseWrites = true;
  await put('a');
  await d.flushed();
  expect(errors).toEqual(['disk full']);
  expect(assigned(d)).toEqual([]);
  refuseWrites = false;
  await expect.poll(() => assigned(d), { timeout: 5000 }).toEqual(['a']);
  await d.stop();
});

test('a compiler that throws is replaced by one that knows everything', async () => {
  let broken = false;
  const d = distributor((compiler) => {
    const flush = compiler.flush.bind(compiler);
    compiler.flush = () => {
      if (broken) {
        broken = false;
        throw new Error('impossible input');
      }
      return flush();
    };
    return compiler;
  });
  await d.attach('h');
  await put('a');
  await d.flushed();
  broken = true;
  await put('b');
  await expect.poll(() => assigned(d), { timeout: 5000 }).toEqual(['a', 'b']);
  expect(errors).toEqual(['impossible input']);
  expect(d.stateOf('h')?.policyVersion).toBe(0);
  await d.stop();
});

test('a trial rests again and again: what is committed meanwhile reaches its host before the trial ends', async () => {
  let through = false;
  let made = 0;
  const d = distributor((compiler) => {
    made += 1;
    if (made === 1) return compiler;
    // The trial's: is not through before the test says so.
    const inTurns = compiler.flushInTurns.bind(compiler);
    const giveUpMs = performance.now() + 30_000;
    compiler.flushInTurns = function* () {
      while (!through) {
        if (performance.now() > giveUpMs) throw new Error('the trial never let anything else go on');
        yield undefined;
      }
      yield* inTurns();
    };
    return compiler;
  });
  await d.attach('h');
  await put('a');
  await d.flushed();
  const trial = d.trial(EMPTY_POLICY);
  await put('b');
  await d.flushed();
  expect(assigned(d)).toEqual(['a', 'b']);
  through = true;
  const { needs, largestSets } = await trial;
  // What was there when it began.
  expect(needs).toMatchObject([{ hostId: 'h', tables: { rf_endpoints: 1, rf_peers: 0 } }]);
  expect(largestSets.get('h')).toBe(0);
  expect(d.capacity('h')?.tables.rf_endpoints).toBe(2);
  await d.stop();
});

test('a trial fails when the controller stops', async () => {
  const d = distributor();
  await d.attach('h');
  await put('a');
  await d.flushed();
  const trial = d.trial(EMPTY_POLICY);
  const [outcome] = await Promise.allSettled([trial, d.stop()]);
  expect(outcome).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining('stopping') } });
});

test('release forgets the host; attach makes its state anew under a newer revision', async () => {
  const d = distributor();
  const before = await d.attach('h');
  await put('a');
  await d.flushed();
  d.release('h');
  await put('b');
  await d.flushed();
  expect(d.stateOf('h')).toBeUndefined();
  const after = await d.attach('h');
  expect(after.revision).toBeGreaterThan(before.revision);
  expect(assigned(d).sort()).toEqual(['a', 'b']);
  expect(after.changedSince(before.revision)).toBeUndefined();
  await d.stop();
});

test('revisions grow over restarts and above what an agent was seen to hold', async () => {
  const first = new Revisions(store);
  await first.reserve();
  const given = [first.next(), first.next()];
  const second = new Revisions(store);
  expect(() => second.next()).toThrow(/wanted one left/);
  await second.reserve();
  const next = second.next();
  expect(next).toBeGreaterThan(given[1] ?? 0);
  await second.raise(next + 5_000_000);
  expect(second.next()).toBe(next + 5_000_001);
  expect(store.get('counter', 'revision')?.value ?? 0).toBeGreaterThan(next + 5_000_001);
});
