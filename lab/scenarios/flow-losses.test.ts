// Every hop of a flow record made too small in turn, from the agent's table to a live tail: what was produced is what arrived and what was
// counted as lost, exactly. (The kernel's rings have the same test in bpf/tests/rings.root.test.ts.)
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowAggregator } from '@ringfence/agent/flows/aggregator.js';
import { FlowSpool } from '@ringfence/agent/flows/spool.js';
import { FlowUploader } from '@ringfence/agent/flows/uploader.js';
import { EVENT_COLUMNS as AT, EVENT_BYTES } from '@ringfence/bpf';
import { EndResolver } from '@ringfence/controller/flows/ends.js';
import { Follower, Followers } from '@ringfence/controller/flows/followers.js';
import { MemoryHistory } from '@ringfence/controller/flows/history.js';
import { FlowIngest } from '@ringfence/controller/flows/ingest.js';
import { MemoryArchive } from '@ringfence/controller/flows/store/memory-archive.js';
import { FlowUploadMessage, LossCounters } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { afterEach, expect, test } from 'vitest';

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** Refuses every third batch, as a full disk does. */
class FailingArchive extends MemoryArchive {
  stored = 0;
  lost = 0;
  #batches = 0;

  override append(
    batch: Parameters<MemoryArchive['append']>[0],
    settled: Parameters<MemoryArchive['append']>[1],
  ): void {
    this.#batches += 1;
    const ok = this.#batches % 3 !== 0;
    const rows = batch.ranges.reduce((sum, { from, to }) => sum + to - from, 0);
    if (ok) this.stored += rows;
    else this.lost += rows;
    settled(ok);
  }
}

interface Sizes {
  readonly tableEntries: number;
  readonly spoolBytes: number;
  readonly tail: number;
}

const CONNECTIONS = 20_000;
const PER_TURN = 500;

function run({ tableEntries, spoolBytes, tail }: Sizes) {
  const directory = mkdtempSync(join(tmpdir(), 'rf-losses-'));
  directories.push(directory);
  const run = 'ab'.repeat(16);
  const spool = new FlowSpool({ directory, bytesMax: spoolBytes }, run);
  const uploader = new FlowUploader({ run, window: 4, memoryBatches: 2 }, spool);
  const aggregator = new FlowAggregator(
    { tableEntries, batchRecords: 100, updateMs: 10_000, startedNs: 0 },
    {
      resolve: () => ({ workloadId: 'w', identity: 1 }),
      toWallUs: (ns) => ns / 1000,
      onCut: () => {},
      onBatch: ({ lane, columns }) =>
        uploader.offer(lane, columns.count, (sequence) =>
          FlowUploadMessage.encode({
            run: Buffer.from(run, 'hex'),
            sequence: BigInt(sequence),
            flows: columns,
            loss: LossCounters.fromPartial({ agentDropped: BigInt(aggregator.counters.dropped) }),
            translations: undefined,
          }).finish(),
        ),
    },
  );
  const history = new MemoryHistory(1_000_000);
  const archive = new FailingArchive(history);
  const followers = new Followers();
  const ends = new EndResolver({
    workload: () => undefined,
    at: () => [],
    ofHost: () => [],
    identityOf: () => 0,
    workloadsOf: () => [],
  });
  const ingest = new FlowIngest({ history, followers, ends, archive });
  const follower = new Follower(
    () => true,
    { bufferMax: tail, sample: 1 },
    () => {},
  );
  followers.add(follower);
  const acks: bigint[] = [];
  const stream = {
    write: (bytes: Uint8Array) => {
      const outcome = ingest.take('h', FlowUploadMessage.decode(bytes));
      if (outcome.taken) acks.push(outcome.sequence);
      return true;
    },
  };
  const acknowledge = () => {
    for (let sequence = acks.shift(); sequence !== undefined; sequence = acks.shift()) {
      uploader.onAck(run, Number(sequence));
    }
  };
  // Away at first, so that the spool fills; then connected, with more to come.
  for (let first = 0; first < CONNECTIONS; first += PER_TURN) {
    if (first === CONNECTIONS / 2) uploader.attach(stream);
    aggregator.ingest(events(first), PER_TURN);
    if ((first / PER_TURN) % 4 === 3) aggregator.flush(first * 1e6, true);
    acknowledge();
  }
  aggregator.flush(CONNECTIONS * 1e6, true);
  while (acks.length > 0) acknowledge();
  const told = follower.take(Number.MAX_SAFE_INTEGER);
  const lostHere = (hop: string) =>
    told?.gaps.filter((gap) => gap.hop === hop).reduce((sum, { count }) => sum + count, 0) ?? 0;
  return {
    agentLost: aggregator.counters.dropped,
    offered: uploader.counters.records,
    spoolLost: spool.dropped.allow + spool.dropped.deny + uploader.counters.lost,
    received: Number(ingest.losses('h')?.recordsReceived ?? 0n),
    stored: archive.stored,
    storeLost: archive.lost,
    tailGot: told?.records.length ?? 0,
    tailLost: lostHere('subscriber'),
    tailToldStore: lostHere('store'),
  };
}

function events(first: number): ArrayBuffer {
  const buffer = new ArrayBuffer(PER_TURN * EVENT_BYTES);
  const view = new DataView(buffer);
  for (let i = 0; i < PER_TURN; i += 1) {
    const at = i * EVENT_BYTES;
    view.setBigUint64(at + AT.timeNs, BigInt(1 + first) * 1_000_000n, true);
    view.setUint32(at + AT.remote + 12, first + i, true);
    view.setUint16(at + AT.remotePort, 443, false);
    view.setUint32(at + AT.endpoint, 1, true);
    for (const [offset, value] of [
      [AT.kind, 1],
      [AT.verdict, 1],
      [AT.reason, 1],
      [AT.direction, 2],
      [AT.proto, 6],
    ]) {
      view.setUint8(at + (offset ?? 0), value ?? 0);
    }
  }
  return buffer;
}

const AMPLE: Sizes = { tableEntries: 65_536, spoolBytes: 1 << 28, tail: 1_000_000 };

test.each([
  ['nothing', {}, []],
  ['table', { tableEntries: 1024 }, ['agentLost']],
  ['spool', { spoolBytes: 200_000 }, ['spoolLost']],
  ['tail', { tail: 300 }, ['tailLost']],
  ['all', { tableEntries: 1024, spoolBytes: 100_000, tail: 300 }, ['agentLost', 'spoolLost', 'tailLost']],
])('too small: %s', (_what, small, losing) => {
  const found = run({ ...AMPLE, ...small });
  expect(found.offered + found.agentLost).toBe(CONNECTIONS);
  expect(found.received + found.spoolLost).toBe(found.offered);
  expect(found.stored + found.storeLost).toBe(found.received);
  expect(found.storeLost).toBeGreaterThan(0);
  expect(found.tailToldStore).toBe(found.storeLost);
  // What the store lost is shown live all the same.
  expect(found.tailGot + found.tailLost).toBe(found.received);
  for (const hop of ['agentLost', 'spoolLost', 'tailLost'] as const) {
    if ((losing as string[]).includes(hop)) expect(found[hop], hop).toBeGreaterThan(0);
    else expect(found[hop], hop).toBe(0);
  }
});
