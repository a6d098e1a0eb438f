import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AggregatorOptions, FlowAggregator } from './aggregator.js';
import type { CutConnection } from './cut-connection.js';
import { EVENT_FLAG } from './event-layout.js';
import { packEvents, type TestEvent, testAddress } from './testing/events.js';
import { recordsOf, type TestRecord } from './testing/records.js';

const KIND = { new: 1, verdict: 2, update: 3, end: 4, deny: 5 };

function rig(options: Partial<AggregatorOptions> = {}) {
  const records: TestRecord[] = [];
  const cuts: CutConnection[] = [];
  const aggregator = new FlowAggregator(
    { tableEntries: 1024, batchRecords: 64, updateMs: 10_000, startedNs: 0, ...options },
    {
      resolve: (n) => (n === 7 ? { workloadId: 'w7', identity: 70 } : undefined),
      toWallUs: (ns) => Math.round(ns / 1000) + 1_000_000,
      onBatch: (batch) => records.push(...recordsOf(batch)),
      onCut: (cut) => cuts.push(cut),
    },
  );
  const ingest = (...events: Partial<TestEvent>[]) => aggregator.ingest(packEvents(events), events.length);
  const take = () => records.splice(0);
  return { aggregator, ingest, take, cuts };
}

describe('FlowAggregator', () => {
  it('folds one connection of an interval into one record, attributed and named', () => {
    const { aggregator, ingest, take } = rig();
    ingest(
      { bytesOut: 60, packetsOut: 1 },
      {
        kind: KIND.end,
        timeNs: 2e9,
        bytesIn: 900,
        bytesOut: 300,
        packetsIn: 5,
        packetsOut: 4,
        tcpFlags: 0x11,
        pid: 42,
        comm: 'curl',
      },
    );
    aggregator.flush(3e9);
    expect(take()).toEqual([
      expect.objectContaining({
        lane: 'allow',
        firstSeenUs: 2_000_000,
        lastSeenUs: 3_000_000,
        local: 1,
        remote: 2,
        localPort: 40000,
        remotePort: 80,
        bytesIn: 900,
        bytesOut: 300,
        packetsIn: 5,
        packetsOut: 4,
        tcpFlags: 0x13,
        workload: 'w7',
        localIdentity: 70,
        remoteIdentity: 5,
        process: 'curl',
        pid: 42,
        attempts: 1,
        confidence: 1,
        servicePort: 80,
      }),
    ]);
    aggregator.flush(4e9);
    expect(take()).toEqual([]);
    expect(aggregator.size).toBe(0);
  });

  it('a table full of allowed connections takes every deny all the same, however many come within an interval', () => {
    const { aggregator, ingest, take } = rig();
    for (let i = 0; i < 2000; i += 1) ingest({ localPort: 1 + i });
    expect(aggregator.counters.dropped).toBeGreaterThan(1000);
    const lost = aggregator.counters.dropped;
    for (let i = 0; i < 3000; i += 1) {
      ingest({ localPort: 9000 + i, kind: KIND.deny, verdict: 2 }, { localPort: 5000 + i });
    }
    // What is allowed is lost as before, what is denied is not.
    expect(aggregator.counters.dropped - lost).toBe(3000);
    aggregator.flush(3e9, true);
    const denied = take().filter(({ lane }) => lane === 'deny');
    expect(new Set(denied.map(({ localPort }) => localPort)).size).toBe(3000);
    expect(denied).toHaveLength(3000);
  });

  it('counts every packet once when events of one clock tick arrive newest first', () => {
    const { aggregator, ingest, take } = rig();
    const early = { timeNs: 2e9, packetsIn: 1, packetsOut: 2, bytesIn: 60, bytesOut: 120 };
    ingest({ ...early, kind: KIND.end, packetsIn: 5, packetsOut: 6, bytesIn: 900, bytesOut: 700 }, early);
    ingest({ ...early, kind: KIND.end, timeNs: 3e9, packetsIn: 6, packetsOut: 6, bytesIn: 960, bytesOut: 700 });
    aggregator.flush(4e9, true);
    const sum = (column: 'packetsIn' | 'packetsOut' | 'bytesIn' | 'bytesOut', records: ReturnType<typeof take>) =>
      records.reduce((total, record) => total + record[column], 0);
    const records = take();
    expect([sum('packetsIn', records), sum('packetsOut', records)]).toEqual([6, 6]);
    expect([sum('bytesIn', records), sum('bytesOut', records)]).toEqual([960, 700]);
  });

  it('sends only what was added since the last record, also when packet counters wrap', () => {
    const { aggregator, ingest, take } = rig();
    ingest({ packetsIn: 0xffff_fff0, bytesIn: 2 ** 40 });
    aggregator.flush(1e9, true);
    ingest({ kind: KIND.update, timeNs: 2e9, packetsIn: 0x10, bytesIn: 2 ** 40 + 7 });
    aggregator.flush(2e9, true);
    expect(take().map((r) => [r.bytesIn, r.packetsIn])).toEqual([
      [2 ** 40, 0xffff_fff0],
      [7, 0x20],
    ]);
  });

  it('makes no record of an UPDATE that brings nothing, and one of any that does', () => {
    const { aggregator, ingest, take } = rig();
    ingest({ bytesIn: 10, packetsIn: 1 });
    aggregator.flush(1e9, true);
    expect(take()).toHaveLength(1);
    ingest({ kind: KIND.update, timeNs: 2e9, bytesIn: 10, packetsIn: 1, comm: 'curl' });
    aggregator.flush(2e9, true);
    expect(take()).toEqual([]);
    ingest({ kind: KIND.update, timeNs: 3e9, bytesIn: 10, packetsIn: 2 });
    aggregator.flush(3e9, true);
    expect(take().map((r) => [r.bytesIn, r.packetsIn, r.process])).toEqual([[0, 1, 'curl']]);
    ingest({ kind: KIND.update, timeNs: 4e9, bytesIn: 10, packetsIn: 2, rule: 9 });
    aggregator.flush(4e9, true);
    expect(take().map((r) => [r.rule, r.packetsIn])).toEqual([[9, 0]]);
  });

  it('holds UPDATE records back, and sends the others at once', () => {
    const { aggregator, ingest, take } = rig({ updateMs: 5000 });
    ingest({ bytesIn: 1 });
    aggregator.flush(1e9);
    expect(take()).toHaveLength(1);
    ingest({ kind: KIND.update, timeNs: 2e9, bytesIn: 3 }, { kind: KIND.update, timeNs: 2.5e9, bytesIn: 6 });
    aggregator.flush(3e9);
    expect(take()).toEqual([]);
    aggregator.flush(6e9);
    expect(take().map((r) => r.bytesIn)).toEqual([5]);
  });

  it('sends the UPDATE records of many connections bit by bit, each once in an interval', () => {
    const { aggregator, ingest, take } = rig({ tableEntries: 4096, batchRecords: 256 });
    let toldLast = 0;
    const ports = Array.from({ length: 1000 }, (_, i) => i + 1);
    ingest(...ports.map((localPort) => ({ localPort })));
    aggregator.flush(1.5e9);
    expect(take()).toHaveLength(1000);
    for (let interval = 0; interval < 3; interval++) {
      const told: number[] = [];
      for (let second = 0; second < 10; second++) {
        const ns = (2 + interval * 10 + second) * 1e9;
        ingest(...ports.map((localPort) => ({ localPort, kind: KIND.update, timeNs: ns, bytesIn: ns })));
        aggregator.flush(ns + 0.5e9);
        const records = take();
        expect(records.length).toBeLessThan(150);
        told.push(...records.map((r) => r.localPort));
        toldLast = records.length;
      }
      expect(told.sort((a, b) => a - b)).toEqual(ports);
    }
    // A flush that comes late makes up for the whole time, and one after it tells nothing twice.
    aggregator.flush(60e9);
    expect(take()).toHaveLength(ports.length - toldLast);
    aggregator.flush(70e9);
    expect(take()).toEqual([]);
  });

  it('folds denies of one flow, counts attempts, keeps them in their lane', () => {
    const { aggregator, ingest, take } = rig();
    const deny = { kind: KIND.deny, verdict: 2, reason: 3, rule: 0 };
    ingest(
      { ...deny, attempts: 1 },
      { ...deny, attempts: 9, timeNs: 1.5e9 },
      { ...deny, remotePort: 81, servicePort: 81 },
    );
    ingest({ remotePort: 82 });
    aggregator.flush(2e9);
    const records = take();
    expect(records.map((r) => [r.lane, r.remotePort, r.attempts])).toEqual([
      ['deny', 80, 10],
      ['deny', 81, 1],
      ['allow', 82, 1],
    ]);
    expect(aggregator.size).toBe(1);
  });

  it('does not report the cuts that a sweep tells: it has closed their sockets', () => {
    const { aggregator, ingest, take, cuts } = rig();
    const flags = EVENT_FLAG.CUT | EVENT_FLAG.SWEPT;
    ingest({}, { kind: KIND.verdict, timeNs: 2e9, verdict: 2, reason: 9, policyVersion: 2, flags });
    aggregator.flush(3e9);
    expect(take().map((r) => r.verdict)).toEqual([2, 1]);
    expect(cuts).toEqual([]);
  });

  it('begins another record when the decision changes inside an interval, and reports the cut', () => {
    const { aggregator, ingest, take, cuts } = rig();
    ingest(
      { bytesIn: 10 },
      { kind: KIND.verdict, timeNs: 2e9, verdict: 2, reason: 9, policyVersion: 2, bytesIn: 15, flags: EVENT_FLAG.CUT },
    );
    aggregator.flush(3e9);
    expect(take().map((r) => [r.lane, r.verdict, r.policyVersion, r.bytesIn])).toEqual([
      ['deny', 2, 2, 5],
      ['allow', 1, 1, 10],
    ]);
    expect(cuts).toEqual([
      {
        protocol: 6,
        localAddress: new Uint8Array(testAddress(1)),
        localPort: 40000,
        remoteAddress: new Uint8Array(testAddress(2)),
        remotePort: 80,
        endpoint: 7,
      },
    ]);
  });

  it('counts from zero when the NEW event was lost, from the event when the connection is older than the run', () => {
    const { aggregator, ingest, take } = rig({ startedNs: 5e9 });
    ingest({ kind: KIND.update, firstSeenNs: 6e9, timeNs: 7e9, bytesIn: 100 });
    ingest({ kind: KIND.update, firstSeenNs: 1e9, timeNs: 7e9, bytesIn: 100, localPort: 2 });
    ingest({ kind: KIND.update, firstSeenNs: 1e9, timeNs: 8e9, bytesIn: 130, localPort: 2 });
    aggregator.flush(9e9, true);
    expect(take().map((r) => r.bytesIn)).toEqual([100, 30]);
    expect(aggregator.counters.baselineUnknown).toBe(1);
  });

  it('keeps ports that are used again apart, and an overtaken event harmless', () => {
    const { aggregator, ingest, take } = rig();
    ingest(
      { kind: KIND.end, firstSeenNs: 1e9, timeNs: 2e9, bytesIn: 50, tcpFlags: 1 },
      { firstSeenNs: 1e9, timeNs: 1e9, bytesIn: 5, tcpFlags: 2 },
    );
    ingest({ firstSeenNs: 3e9, timeNs: 3e9, bytesIn: 8 });
    aggregator.flush(4e9);
    expect(take().map((r) => [r.bytesIn, r.tcpFlags])).toEqual([
      [50, 3],
      [8, 2],
    ]);
  });

  it('gives the confidence that the peer lookup had', () => {
    const { aggregator, ingest, take } = rig();
    ingest(
      { localPort: 1, identity: 0 },
      { localPort: 2, flags: EVENT_FLAG.SHARED },
      { localPort: 3, flags: EVENT_FLAG.MAPPED },
      // Policy was not asked, or refused everybody: nobody is named, but that the address is shared is known.
      { localPort: 4, identity: 0, flags: EVENT_FLAG.SHARED },
      { localPort: 5, identity: 0, flags: EVENT_FLAG.SHARED, kind: KIND.deny, verdict: 2, reason: 3 },
    );
    aggregator.flush(2e9);
    const confidence = Object.fromEntries(take().map((r) => [r.localPort, r.confidence]));
    expect(confidence).toEqual({ 1: 0, 2: 4, 3: 3, 4: 4, 5: 4 });
  });

  it('leaves an endpoint nobody knows unnamed rather than guessed', () => {
    const { aggregator, ingest, take } = rig();
    ingest({ endpoint: 8 });
    aggregator.flush(2e9);
    expect(take()[0]).toMatchObject({ workload: '', localIdentity: 0 });
  });

  it('drops and counts what a full table of live connections cannot hold, and makes room from idle ones', () => {
    const { aggregator, ingest, take } = rig({ tableEntries: 16 });
    ingest(...Array.from({ length: 20 }, (_, i) => ({ localPort: i + 1, bytesIn: 1 })));
    expect(aggregator.counters).toMatchObject({ events: 20, dropped: 6 });
    aggregator.flush(2e9);
    ingest({ localPort: 100, bytesIn: 1, firstSeenNs: 3e9, timeNs: 3e9 });
    ingest({ localPort: 1, kind: KIND.update, timeNs: 4e9, bytesIn: 9 }); // made way: what it had before is unknown now
    aggregator.flush(4e9, true);
    expect(take()).toHaveLength(16);
    expect(aggregator.counters).toMatchObject({ dropped: 6, baselineUnknown: 1 });
  });
});

describe('FlowAggregator against a naive model', () => {
  it('sums to what the kernel counted, whatever the order of flushes and reuse of ports', () => {
    const step = fc.record({
      port: fc.integer({ min: 1, max: 12 }),
      add: fc.integer({ min: 0, max: 5000 }),
      what: fc.constantFrom('traffic', 'traffic', 'end', 'deny', 'flush', 'reuse', 'policy'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const { aggregator, ingest, take } = rig({ batchRecords: 5 });
        const live = new Map<number, { firstSeenNs: number; bytes: number; packets: number }>();
        const wanted = new Map<number, { bytes: number; packets: number; attempts: number }>();
        const total = (port: number) => {
          const sum = wanted.get(port) ?? { bytes: 0, packets: 0, attempts: 0 };
          wanted.set(port, sum);
          return sum;
        };
        let policyVersion = 1;
        let now = 1e9;
        const records: ReturnType<typeof take> = [];
        for (const { port, add, what } of steps) {
          now += 1000;
          if (what === 'flush') aggregator.flush(now);
          else if (what === 'policy') policyVersion += 1;
          else if (what === 'deny') {
            ingest({
              localPort: port,
              kind: KIND.deny,
              verdict: 2,
              reason: 3,
              timeNs: now,
              policyVersion,
              attempts: add + 1,
            });
            total(port).attempts += add + 1;
          } else {
            const known = what === 'reuse' ? undefined : live.get(port);
            const flow = known ?? { firstSeenNs: now, bytes: 0, packets: 0 };
            flow.bytes += add;
            flow.packets += 1;
            total(port).bytes += add;
            total(port).packets += 1;
            const kind = what === 'end' ? KIND.end : known ? KIND.update : KIND.new;
            ingest({
              localPort: port,
              kind,
              firstSeenNs: flow.firstSeenNs,
              timeNs: now,
              bytesIn: flow.bytes,
              packetsOut: flow.packets,
              policyVersion,
            });
            if (what === 'end') live.delete(port);
            else live.set(port, flow);
          }
        }
        aggregator.flush(now + 1, true);
        records.push(...take());
        const got = new Map<number, { bytes: number; packets: number; attempts: number }>();
        for (const r of records) {
          const sum = got.get(r.localPort) ?? { bytes: 0, packets: 0, attempts: 0 };
          sum.bytes += r.bytesIn;
          sum.packets += r.packetsOut;
          sum.attempts += r.lane === 'deny' ? r.attempts : 0;
          got.set(r.localPort, sum);
        }
        expect(got).toEqual(wanted);
        expect(aggregator.counters.dropped).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
