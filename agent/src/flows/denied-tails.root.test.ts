// Tails of denies over a real map: what was folded is told once, with what the last deny said.
import { DENIED, EVENT_BYTES, EVENT_COLUMNS, FLOW_KEY } from '@ringfence/bpf';
import { BpfMap, MapType } from '@ringfence/native';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FlowAggregator } from './aggregator.js';
import { DeniedTails } from './denied-tails.js';
import { packEvents, plainEvent } from './testing/events.js';
import { recordsOf, type TestRecord } from './testing/records.js';

const SECOND = 1e9;
let map: BpfMap;
beforeEach(() => {
  map = BpfMap.create({ type: MapType.LRU_HASH, keySize: FLOW_KEY.size, valueSize: DENIED.size, maxEntries: 1024 });
});
afterEach(() => map.close());

const deny = { ...plainEvent, kind: 5, verdict: 2, reason: 4, packetsOut: 1, bytesOut: 60 };

/** The key that the kernel has for a deny, from its event. */
function keyOf(event: Uint8Array): Uint8Array {
  const part = (at: number, length: number) => event.subarray(at, at + length);
  const { local, remote, localPort, remotePort, endpoint, proto } = EVENT_COLUMNS;
  const parts = [
    part(local, 16),
    part(remote, 16),
    part(localPort, 2),
    part(remotePort, 2),
    part(endpoint, 4),
    part(proto, 1),
  ];
  return Buffer.concat([...parts, Buffer.alloc(3)]);
}

function told(events: Uint8Array): number[] {
  const view = new DataView(events.buffer, events.byteOffset, events.length);
  return Array.from({ length: events.length / EVENT_BYTES }, (_, i) =>
    view.getUint16(i * EVENT_BYTES + EVENT_COLUMNS.attempts, true),
  );
}

test('attempts that stay folded become one event, exactly once, and count in the record', () => {
  const tails = new DeniedTails({ flows: 10, quietNs: 1.5 * SECOND });
  const buffer = packEvents([deny, { ...deny, remotePort: 81 }]);
  tails.note(buffer, 2);
  const bytes = new Uint8Array(buffer);
  const keys = [keyOf(bytes.subarray(0, EVENT_BYTES)), keyOf(bytes.subarray(EVENT_BYTES))];
  const put = (key: Uint8Array | undefined, suppressed: number, atNs: number) =>
    map.update(key ?? new Uint8Array(), DENIED.encode({ lastReportNs: BigInt(atNs), suppressed }));
  put(keys[0], 7, SECOND);
  put(keys[1], 0, SECOND);
  // Within the second the next attempt may still tell it.
  expect(told(tails.sweep(map, 2 * SECOND))).toEqual([]);
  const events = tails.sweep(map, 3 * SECOND);
  expect(told(events)).toEqual([7]);
  expect(map.lookup(keys[0] ?? new Uint8Array())).toBeUndefined();
  expect(tails.sweep(map, 4 * SECOND)).toHaveLength(0);

  const records: TestRecord[] = [];
  const aggregator = new FlowAggregator(
    { tableEntries: 64, batchRecords: 64, updateMs: 10_000, startedNs: 0 },
    {
      resolve: () => ({ workloadId: 'w', identity: 1 }),
      toWallUs: (ns) => ns / 1000,
      onBatch: (batch) => records.push(...recordsOf(batch)),
      onCut: () => {},
    },
  );
  aggregator.ingest(buffer, 2);
  aggregator.ingest(events.slice().buffer, 1);
  aggregator.flush(5 * SECOND, true);
  // Two denies that were told, and the seven that were folded.
  expect(records.reduce((sum, { attempts }) => sum + attempts, 0)).toBe(9);
  expect(records.reduce((sum, { packetsOut }) => sum + Number(packetsOut), 0)).toBe(2);
});

test('counts beyond an event are spread; flows that were forgotten are counted as lost', () => {
  const tails = new DeniedTails({ flows: 1, quietNs: 1.5 * SECOND });
  const buffer = packEvents([deny, { ...deny, remotePort: 81 }]);
  tails.note(buffer, 2);
  const bytes = new Uint8Array(buffer);
  for (const start of [0, EVENT_BYTES]) {
    map.update(
      keyOf(bytes.subarray(start, start + EVENT_BYTES)),
      DENIED.encode({ lastReportNs: 1n, suppressed: 100_000 }),
    );
  }
  expect(told(tails.sweep(map, 3 * SECOND))).toEqual([65_535, 34_465]);
  expect(tails.lost).toBe(100_000);
});
