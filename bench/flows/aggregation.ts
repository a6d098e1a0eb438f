// Events of many connections through the agent's aggregator.
import { FlowAggregator } from '@ringfence/agent/flows/aggregator.js';
import { EVENT_COLUMNS as AT, EVENT_BYTES } from '@ringfence/bpf';

const CONNECTIONS = 50_000;
const BATCH = 2048;
const EVENTS_PER_FLUSH = 1_000_000;

export function aggregation(events: number) {
  let records = 0;
  const aggregator = new FlowAggregator(
    { tableEntries: 65_536, batchRecords: 1000, updateMs: 10_000, startedNs: 0 },
    {
      resolve: () => ({ workloadId: 'container:w', identity: 9 }),
      toWallUs: (ns) => ns / 1000,
      onBatch: ({ columns }) => {
        records += columns.count;
      },
      onCut: () => {},
    },
  );
  const batches = Array.from({ length: Math.ceil(CONNECTIONS / BATCH) }, (_, index) => batchOf(index * BATCH));
  const startedMs = performance.now();
  const cpu = process.cpuUsage();
  for (let done = 0, flushed = 0; done < events; done += BATCH) {
    aggregator.ingest(batches[(done / BATCH) % batches.length] as ArrayBuffer, BATCH);
    if (done - flushed < EVENTS_PER_FLUSH) continue;
    flushed = done;
    aggregator.flush(done * 1000, true);
  }
  aggregator.flush(events * 1000, true);
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    events,
    records,
    connections: CONNECTIONS,
    perRecord: events / Math.max(1, records),
    perSecond: events / seconds,
    cpuSecondsPerMillion: (user + system) / events,
  };
}

/** New connections and reports on them, one event each. */
function batchOf(first: number): ArrayBuffer {
  const buffer = new ArrayBuffer(BATCH * EVENT_BYTES);
  const view = new DataView(buffer);
  for (let i = 0; i < BATCH; i += 1) {
    const at = i * EVENT_BYTES;
    const connection = (first + i) % CONNECTIONS;
    view.setBigUint64(at + AT.timeNs, 1_000_000_000n, true);
    view.setBigUint64(at + AT.firstSeenNs, 1_000_000_000n, true);
    view.setBigUint64(at + AT.bytesIn, 1000n, true);
    view.setUint32(at + AT.local + 12, 0x0100000a, true);
    view.setUint32(at + AT.remote + 12, 0x0100000a + connection * 256, true);
    view.setUint16(at + AT.localPort, 1024 + connection, true);
    view.setUint16(at + AT.remotePort, 443, false);
    view.setUint32(at + AT.endpoint, 1, true);
    view.setUint8(at + AT.kind, 3);
    view.setUint8(at + AT.verdict, 1);
    view.setUint8(at + AT.reason, 1);
    view.setUint8(at + AT.direction, 2);
    view.setUint8(at + AT.proto, 6);
  }
  return buffer;
}
