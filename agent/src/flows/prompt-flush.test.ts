import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FlowAggregator } from './aggregator.js';
import { EVENT_FLAG } from './event-layout.js';
import { packEvents, type TestEvent } from './testing/events.js';
import { recordsOf, type TestRecord } from './testing/records.js';

const KIND = { new: 1, verdict: 2, update: 3, end: 4, deny: 5 };

function rig() {
  const records: TestRecord[] = [];
  const aggregator = new FlowAggregator(
    { tableEntries: 1024, batchRecords: 64, updateMs: 10_000, startedNs: 0 },
    {
      resolve: () => ({ workloadId: 'w', identity: 1 }),
      toWallUs: (ns) => ns / 1000,
      onBatch: (batch) => records.push(...recordsOf(batch)),
      onCut: () => {},
    },
  );
  const ingest = (...events: Partial<TestEvent>[]) => aggregator.ingest(packEvents(events), events.length);
  const take = () => records.splice(0);
  return { aggregator, ingest, take };
}

describe('flushPrompt', () => {
  it('is wanted for a new connection, a deny and a changed decision, not for an end or an update', () => {
    for (const [kind, wanted] of [
      [KIND.new, true],
      [KIND.deny, true],
      [KIND.verdict, true],
      [KIND.end, false],
      [KIND.update, false],
    ] as const) {
      const { aggregator, ingest } = rig();
      ingest({ kind });
      expect(aggregator.wantsPrompt, String(kind)).toBe(wanted);
      aggregator.flushPrompt();
      expect(aggregator.wantsPrompt).toBe(false);
    }
  });

  it('tells a connection at once and its end later, each byte once; an update keeps waiting', () => {
    const { aggregator, ingest, take } = rig();
    ingest({ localPort: 1, bytesOut: 60 }, { localPort: 2, kind: KIND.update, bytesOut: 5 });
    aggregator.flushPrompt();
    expect(take().map((r) => [r.localPort, r.kind, r.bytesOut])).toEqual([[1, KIND.new, 60]]);
    ingest({ localPort: 1, kind: KIND.end, timeNs: 2e9, bytesOut: 200 });
    aggregator.flushPrompt();
    expect(take().map((r) => [r.localPort, r.kind, r.bytesOut])).toEqual([[1, KIND.end, 140]]);
    // What another processor's ring held back: its counters are known already.
    ingest({ localPort: 1, kind: KIND.update, timeNs: 1.5e9, bytesOut: 100 });
    aggregator.flush(3e9, true);
    expect(take().map((r) => [r.localPort, r.bytesOut])).toEqual([[2, 5]]);
    aggregator.flush(4e9, true);
    aggregator.flush(5e9, true);
    expect(take().reduce((sum, r) => sum + r.bytesOut, 0)).toBe(0);
  });

  it('adds what came after the end, whether the end is remembered or not', () => {
    const { aggregator, ingest, take } = rig();
    ingest({ bytesOut: 60 }, { kind: KIND.end, timeNs: 2e9, bytesOut: 200 });
    aggregator.flush(2.1e9);
    const late = { kind: KIND.end, bytesOut: 52, flags: EVENT_FLAG.LATE };
    ingest({ ...late, timeNs: 2.2e9 });
    aggregator.flush(3e9);
    expect(take().map((r) => r.bytesOut)).toEqual([200, 52]);
    aggregator.flush(4e9);
    aggregator.flush(5e9);
    ingest({ ...late, timeNs: 6e9 });
    aggregator.flush(6e9);
    expect(take().map((r) => [r.kind, r.bytesOut])).toEqual([[KIND.end, 52]]);
    aggregator.flush(7e9);
    // The table has forgotten it: another connection of these ports is a new one.
    ingest({ bytesOut: 60, timeNs: 8e9, firstSeenNs: 8e9 });
    aggregator.flush(9e9);
    expect(take().map((r) => [r.kind, r.bytesOut])).toEqual([[KIND.new, 60]]);
    expect(aggregator.counters.dropped).toBe(0);
  });

  it('ends each record of a connection later than the one before, also within a tick of the clock', () => {
    const { aggregator, ingest, take } = rig();
    ingest({ bytesOut: 60 });
    aggregator.flushPrompt();
    ingest({ kind: KIND.end, bytesOut: 200 });
    aggregator.flushPrompt();
    ingest({ kind: KIND.end, bytesOut: 52, flags: EVENT_FLAG.LATE });
    aggregator.flush(2e9);
    const [first, ...rest] = take().map(({ lastSeenUs }) => Number(lastSeenUs));
    expect(rest.map((us) => us - (first ?? 0))).toEqual([1, 2]);
  });

  it('adds what came after an end that another processor’s ring gives later', () => {
    const { aggregator, ingest, take } = rig();
    const late = { kind: KIND.end, timeNs: 3e9, bytesOut: 52, flags: EVENT_FLAG.LATE };
    ingest(late, { bytesOut: 60 }, { kind: KIND.end, timeNs: 2e9, bytesOut: 200 });
    aggregator.flush(4e9, true);
    expect(take().map((r) => r.bytesOut)).toEqual([252]);
  });

  it('changes nothing in what all records together say, whenever it comes', () => {
    const step = fc.record({
      localPort: fc.integer({ min: 1, max: 4 }),
      what: fc.constantFrom('data', 'data', 'end', 'prompt', 'prompt', 'flush'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { aggregator, ingest, take } = rig();
        const open = new Map<number, { firstSeenNs: number; bytesOut: number }>();
        let sent = 0;
        let ns = 1e9;
        for (const { localPort, what } of steps) {
          ns += 1e7;
          if (what === 'prompt') aggregator.flushPrompt();
          else if (what === 'flush') aggregator.flush(ns, true);
          else {
            const known = open.get(localPort);
            const flow = known ?? { firstSeenNs: ns, bytesOut: 0 };
            flow.bytesOut += 100;
            sent += 100;
            const kind = what === 'end' ? KIND.end : known === undefined ? KIND.new : KIND.update;
            ingest({ localPort, kind, timeNs: ns, ...flow });
            if (what === 'end') open.delete(localPort);
            else open.set(localPort, flow);
          }
        }
        for (let i = 0; i < 3; i += 1) aggregator.flush(ns + i * 1e9, true);
        expect(take().reduce((sum, r) => sum + r.bytesOut, 0)).toBe(sent);
        expect(aggregator.size).toBe(open.size);
        expect(aggregator.counters.dropped).toBe(0);
      }),
    );
  });
});
