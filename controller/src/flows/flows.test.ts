// Ingest, history and live tails together, without gRPC.

import { LossCounters } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { expect, test } from 'vitest';
import type { WorkloadRecord } from '../store/records.js';
import { type FlowRow, flowColumns } from '../testing/flow-columns.js';
import { BLOCK_RECORDS } from './block.js';
import { columnsProblem } from './decode.js';
import { EndResolver, type EndSource } from './ends.js';
import { Follower, Followers } from './followers.js';
import { MemoryHistory } from './history.js';
import { FlowIngest } from './ingest.js';
import { SequenceWindow } from './sequence-window.js';

const RUN = Buffer.alloc(16, 7);
const row: FlowRow = { workload: 'h/w', local: '10.0.0.1', remote: '10.0.0.2' };

function record(id: string, more: Partial<WorkloadRecord> = {}): WorkloadRecord {
  return {
    id,
    name: id,
    kind: 2,
    hostId: 'h',
    localId: id,
    source: '',
    image: '',
    addresses: [],
    published: [],
    cgroupPath: '',
    labels: {},
    sticky: false,
    metadata: {},
    present: true,
    goneMs: 0,
    createdMs: 0,
    version: 1,
    ...more,
  };
}

const NOBODY: EndSource = {
  workload: () => undefined,
  at: () => [],
  ofHost: () => [],
  identityOf: () => 0,
  workloadsOf: () => [],
};

function parts(historyMax = 100_000, source: EndSource = NOBODY) {
  const history = new MemoryHistory(historyMax);
  const followers = new Followers();
  const ingest = new FlowIngest({ history, followers, ends: new EndResolver(source) });
  return { history, followers, ingest };
}

function rows(count: number, from = 0, firstSeenUs = 1_000_000): FlowRow[] {
  return Array.from({ length: count }, (_, i) => ({ ...row, firstSeenUs, remotePort: (from + i) % 65_536 }));
}

const all = () => true;

test('a batch is taken once; a repetition is acknowledged and counted', () => {
  const { ingest, history } = parts();
  const message = { run: RUN, sequence: 1n, flows: flowColumns(rows(3)), loss: undefined, translations: undefined };
  expect(ingest.take('h', message)).toEqual({ taken: true, sequence: 1n });
  expect(ingest.take('h', message)).toEqual({ taken: true, sequence: 1n });
  // Another host may use the same run and number; another run of the host starts anew, but tells the same connections again.
  expect(ingest.take('g', message)).toMatchObject({ taken: true });
  expect(ingest.take('h', { ...message, run: Buffer.alloc(16, 8) })).toMatchObject({ taken: true });
  expect(history.status().kept).toBe(6);
  expect(ingest.stitching).toMatchObject({ records: 9, duplicates: 3 });
  expect(ingest.losses('h')).toMatchObject({ recordsReceived: 6n, recordsDuplicate: 3n });
});

test('batches that do not fit a block are spread over blocks, values in place', () => {
  const { ingest, history } = parts();
  const count = BLOCK_RECORDS + 100;
  const big = Array.from({ length: count }, (_, i) => ({
    ...row,
    remotePort: i % 60_000,
    firstSeenUs: 1_790_000_000_000_000 + i,
    bytesIn: 2 ** 40 + i,
    process: `p${i % 3}`,
  }));
  ingest.take('h', {
    run: RUN,
    sequence: 1n,
    flows: flowColumns(big.slice(0, 10)),
    loss: undefined,
    translations: undefined,
  });
  ingest.take('h', { run: RUN, sequence: 2n, flows: flowColumns(big), loss: undefined, translations: undefined });
  const found = history.newest(all, count);
  expect(found).toHaveLength(count);
  found.forEach(({ block, index }, i) => {
    expect(block.firstSeenUs[index]).toBe(1_790_000_000_000_000 + i);
    expect(block.bytesIn[index]).toBe(2 ** 40 + i);
    expect(block.remotePort[index]).toBe(i % 60_000);
    expect(block.strings[block.process[index] ?? -1]).toBe(`p${i % 3}`);
    expect(block.remoteIp.subarray(16 * index + 12, 16 * index + 16)).toEqual(Uint8Array.of(10, 0, 0, 2));
  });
  expect(found[0]?.block.firstId).toBe(1);
  expect(found.at(-1)?.block).not.toBe(found[0]?.block);
});

test('history keeps about its bound, drops the oldest and counts them', () => {
  const { ingest, history } = parts(2 * BLOCK_RECORDS);
  for (let i = 0n; i < 5n; i += 1n) {
    ingest.take('h', {
      run: RUN,
      sequence: i + 1n,
      flows: flowColumns(rows(BLOCK_RECORDS, 0, 1_000_000 * Number(i + 1n))),
      loss: undefined,
      translations: undefined,
    });
  }
  expect(history.status()).toEqual({ kept: 2 * BLOCK_RECORDS, keptMax: 2 * BLOCK_RECORDS, dropped: 3 * BLOCK_RECORDS });
  const [oldest] = history.newest(all, Number.MAX_SAFE_INTEGER);
  expect(oldest?.block.firstId).toBe(3 * BLOCK_RECORDS + 1);
});

test('contradictory columns are refused with the column, a gap, and in nobody’s way', () => {
  const { ingest, history } = parts();
  const good = flowColumns(rows(2));
  const cases: [Partial<typeof good>, string][] = [
    [{ localIp: Buffer.alloc(31) }, '31 bytes in column localIp, wanted 32 (2 records)'],
    [{ bytesIn: Buffer.alloc(0) }, '0 bytes in column bytesIn, wanted 16 (2 records)'],
    [{ count: 3 }, 'bytes in column'],
    [{ count: 70_000 }, '70000 records, wanted at most 65536'],
    [{ strings: [] }, 'no empty string'],
    [{ processRef: Buffer.from(Uint32Array.of(0, 99).buffer) }, 'string 99 in column processRef, wanted below 2'],
    [{ strings: ['', 'x'.repeat(2000)] }, '2000 characters in string 1'],
  ];
  let sequence = 0n;
  for (const [change, wanted] of cases) {
    const flows = { ...good, ...change };
    sequence += 1n;
    expect(columnsProblem(flows), wanted).toContain(wanted);
    const message = { run: RUN, sequence, flows, loss: undefined, translations: undefined };
    expect(ingest.take('h', message)).toMatchObject({
      taken: true,
      sequence,
      refused: expect.stringContaining(wanted),
    });
  }
  // Five of two records, one of three, one of 70,000.
  expect(ingest.losses('h')).toMatchObject({ recordsRefused: 70_013n, recordsReceived: 0n });
  expect(
    ingest.take('h', { run: Buffer.alloc(3), sequence: 1n, flows: good, loss: undefined, translations: undefined }),
  ).toMatchObject({
    taken: false,
  });
  expect(history.status().kept).toBe(0);
  sequence += 1n;
  expect(ingest.take('h', { run: RUN, sequence, flows: good, loss: undefined, translations: undefined })).toEqual({
    taken: true,
    sequence,
  });
  expect(history.status().kept).toBe(2);
});

test('losses add up over runs and hosts, and what is newly lost goes to live tails once', () => {
  const { ingest, followers } = parts();
  const follower = new Follower(all, { bufferMax: 10, sample: 0 }, () => {});
  followers.add(follower);
  const send = (run: number, sequence: bigint, loss: Partial<LossCounters>) =>
    ingest.take('h', {
      run: Buffer.alloc(16, run),
      sequence,
      flows: undefined,
      loss: LossCounters.fromPartial(loss),
      translations: undefined,
    });
  send(1, 1n, { eventsProduced: 100n, ringDropped: 4n });
  send(1, 2n, { eventsProduced: 200n, ringDropped: 6n, spoolDropped: 3n });
  expect(follower.take(10)?.gaps).toMatchObject([
    { hop: 'ring', hostId: 'h', count: 6 },
    { hop: 'spool', hostId: 'h', count: 3 },
  ]);
  // A new run of the agent counts from zero again; a counter that went back says nothing.
  send(2, 1n, { eventsProduced: 50n, ringDropped: 1n });
  send(2, 2n, { eventsProduced: 40n, ringDropped: 0n });
  expect(ingest.losses('h')).toMatchObject({ eventsProduced: 250n, ringDropped: 7n, spoolDropped: 3n });
  expect(follower.take(10)?.gaps).toMatchObject([{ hop: 'ring', hostId: 'h', count: 1 }]);
  expect(follower.take(10)).toBeUndefined();
});

test('a slow follower loses its oldest records and is told how many; another one loses none', () => {
  const { ingest, followers } = parts();
  let wakes = 0;
  const slow = new Follower(all, { bufferMax: 100, sample: 0 }, () => {
    wakes += 1;
  });
  const wide = new Follower(all, { bufferMax: 10_000, sample: 0 }, () => {});
  followers.add(slow);
  const remove = followers.add(wide);
  for (let i = 0; i < 10; i += 1) {
    ingest.take('h', {
      run: RUN,
      sequence: BigInt(i + 1),
      flows: flowColumns(rows(95, i * 95)),
      loss: undefined,
      translations: undefined,
    });
  }
  expect(wakes).toBeGreaterThan(0);
  expect(followers.dropped).toBe(850);
  const taken = slow.take(1000);
  expect(taken?.gaps).toMatchObject([{ hop: 'subscriber', hostId: '', count: 850 }]);
  expect(taken?.records.map(({ block, index }) => block.remotePort[index])).toEqual(
    Array.from({ length: 100 }, (_, i) => 850 + i),
  );
  expect(slow.take(1000)).toBeUndefined();
  const ports: number[] = [];
  for (let next = wide.take(64); next !== undefined; next = wide.take(64)) {
    expect(next.gaps).toEqual([]);
    ports.push(...next.records.map(({ block, index }) => block.remotePort[index] ?? 0));
  }
  expect(ports).toEqual(Array.from({ length: 950 }, (_, i) => i));
  remove();
  expect(followers.count).toBe(1);
});

test('sampling gives one in n of the records that match', () => {
  const { ingest, followers } = parts();
  const sampled = new Follower(
    (block, i) => (block.remotePort[i] ?? 0) % 2 === 0,
    { bufferMax: 1000, sample: 5 },
    () => {},
  );
  followers.add(sampled);
  ingest.take('h', { run: RUN, sequence: 1n, flows: flowColumns(rows(100)), loss: undefined, translations: undefined });
  expect(sampled.take(1000)?.records.map(({ block, index }) => block.remotePort[index])).toEqual([
    0, 10, 20, 30, 40, 50, 60, 70, 80, 90,
  ]);
});

test('the remote end is the workload with address and identity, the only one of the identity, or unnamed', () => {
  const a = record('h/a', { name: 'a', labels: { role: 'web', env: 'prod' } });
  const b = record('h/b', { name: 'b', labels: { role: 'web', env: 'dev' } });
  const byId = new Map([a, b].map((r) => [r.id, r]));
  const identities = new Map([
    ['h/a', 5],
    ['h/b', 5],
  ]);
  const source: EndSource = {
    workload: (id) => byId.get(id),
    at: (ip) => (ip.endsWith('0a000002') ? [a, b] : ip.endsWith('0a000003') ? [b] : []),
    ofHost: () => [],
    identityOf: (id) => identities.get(id) ?? 0,
    workloadsOf: (identity) => [...identities].filter(([, n]) => n === identity).map(([id]) => id),
  };
  const resolver = new EndResolver(source);
  const ip = (last: number) => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, last);
  expect(resolver.remote(ip(3), 5, 'h').workloadId).toBe('h/b');
  expect(resolver.remote(ip(3), 0, 'h').workloadId).toBe('h/b');
  // Two share the address and the identity: only what both have in common is told.
  expect(resolver.remote(ip(2), 5, 'h')).toEqual({
    workloadId: '',
    workloadName: '',
    hostId: 'h',
    labels: { role: 'web' },
    identity: 5,
  });
  identities.set('h/b', 6);
  expect(resolver.remote(ip(2), 6, 'h').workloadId).toBe('h/b');
  // A translated address that nobody has: the identity alone names its one workload.
  expect(resolver.remote(ip(99), 6, 'h').workloadId).toBe('h/b');
  expect(resolver.remote(ip(99), 0, 'h')).toMatchObject({ workloadId: '', identity: 0, labels: {} });
});

test('records keep the labels that their ends had when they arrived', () => {
  let now = record('h/w', { labels: { role: 'old' } });
  const { ingest, history } = parts(10_000, { ...NOBODY, workload: () => now });
  ingest.take('h', { run: RUN, sequence: 1n, flows: flowColumns(rows(1)), loss: undefined, translations: undefined });
  now = { ...now, labels: { role: 'new' }, version: 2 };
  const later = flowColumns(rows(1, 0, 2_000_000));
  ingest.take('h', { run: RUN, sequence: 2n, flows: later, loss: undefined, translations: undefined });
  const labels = history.newest(all, 10).map(({ block, index }) => block.ends[block.local[index] ?? -1]?.labels.role);
  expect(labels).toEqual(['old', 'new']);
});

test('SequenceWindow takes each number once, with gaps and late ones, and refuses what is too old', () => {
  const window = new SequenceWindow();
  expect([1n, 2n, 2n, 5n, 3n, 3n, 0n].map((n) => window.take(n))).toEqual([
    true,
    true,
    false,
    true,
    true,
    false,
    false,
  ]);
  expect(window.highest).toBe(5n);
  for (let n = 6n; n < 20_000n; n += 1n) expect(window.take(n)).toBe(true);
  expect(window.take(10n)).toBe(false);
  expect(window.take(19_999n)).toBe(false);
  expect(window.take(25_000n)).toBe(true);
});
