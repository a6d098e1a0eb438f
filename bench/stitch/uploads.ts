// Made-up traffic as the batches that agents send: by host, in order of arrival.
import { ArrivalBlock, type Traffic } from '@ringfence/controller/flows/stitch/testing/traffic.js';
import { Confidence } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';

export interface Upload {
  readonly hostId: string;
  readonly columns: FlowColumns;
  readonly arrivedMs: number;
}

/** Batches of at most `batch` records; one of a host is sent when it is full, and each second of arrival. */
export function uploadsOf(traffic: Traffic, batch: number): Upload[] {
  const uploads: Upload[] = [];
  const block = new ArrivalBlock(1);
  const waiting = new Map<string, FlowColumns[]>();
  let arrivedMs = 0;
  const send = (hostId: string) => {
    uploads.push({ hostId, columns: joined(waiting.get(hostId) ?? []), arrivedMs });
    waiting.delete(hostId);
  };
  let secondEndsMs = traffic.arrivalMs(0) + 1000;
  for (let from = 0; from < traffic.records; from += block.rule.length) {
    block.reset();
    const to = Math.min(traffic.records, from + block.rule.length);
    const count = traffic.fill(block, from, to);
    arrivedMs = traffic.arrivalMs(to - 1);
    const rows = new Map<string, number[]>();
    for (let i = 0; i < count; i += 1) {
      const hostId = block.strings[block.reporter[i] ?? 0] ?? '';
      const own = rows.get(hostId) ?? [];
      own.push(i);
      rows.set(hostId, own);
    }
    for (const [hostId, own] of rows) {
      const parts = waiting.get(hostId) ?? [];
      parts.push(columnsOf(block, own));
      waiting.set(hostId, parts);
      if (parts.reduce((sum, part) => sum + part.count, 0) >= batch) send(hostId);
    }
    if (traffic.arrivalMs(to - 1) < secondEndsMs) continue;
    secondEndsMs = traffic.arrivalMs(to - 1) + 1000;
    for (const hostId of [...waiting.keys()]) send(hostId);
  }
  for (const hostId of [...waiting.keys()]) send(hostId);
  return uploads;
}

/** Parts of one host's batch, laid end to end. */
function joined(parts: readonly FlowColumns[]): FlowColumns {
  const [first, ...others] = parts;
  if (first === undefined) throw new RangeError('Cannot join batches: found none');
  const all: FlowColumns = { ...first, strings: [...first.strings] };
  for (const part of others) {
    const refs = part.strings.map((text) => {
      const known = all.strings.indexOf(text);
      return known >= 0 ? known : all.strings.push(text) - 1;
    });
    for (const [name, value] of Object.entries(part)) {
      if (!(value instanceof Uint8Array)) continue;
      const added = name.endsWith('Ref') ? renumbered(value, refs) : value;
      const key = name as 'rule';
      all[key] = Buffer.concat([all[key], added]);
    }
    all.count += part.count;
  }
  return all;
}

function renumbered(refs: Uint8Array, numbers: readonly number[]): Buffer {
  const words = new Uint32Array(new Uint8Array(refs).buffer);
  return Buffer.from(words.map((ref) => numbers[ref] ?? 0).buffer);
}

function columnsOf(block: ArrivalBlock, rows: readonly number[]): FlowColumns {
  const strings = [''];
  const refs = new Map([['', 0]]);
  const ref = (text: string) => {
    const known = refs.get(text);
    if (known !== undefined) return known;
    refs.set(text, strings.length);
    return strings.push(text) - 1;
  };
  const u8 = (column: ArrayLike<number>) => Buffer.from(rows.map((i) => column[i] ?? 0));
  const u16 = (column: ArrayLike<number>) => Buffer.from(Uint16Array.from(rows, (i) => column[i] ?? 0).buffer);
  const u32 = (value: (i: number) => number) => Buffer.from(Uint32Array.from(rows, value).buffer);
  const u64 = (column: ArrayLike<number>) =>
    Buffer.from(BigUint64Array.from(rows, (i) => BigInt(column[i] ?? 0)).buffer);
  const ip = (column: Uint8Array) => Buffer.concat(rows.map((i) => column.subarray(16 * i, 16 * i + 16)));
  // The kernel names the other end by identity, but for who is behind a shared address.
  const remote = (i: number) =>
    block.confidence[i] === Confidence.CONFIDENCE_SHARED ? 0 : (block.ends[block.remote[i] ?? 0]?.identity ?? 0);
  return {
    count: rows.length,
    firstSeenUs: u64(block.firstSeenUs),
    lastSeenUs: u64(block.lastSeenUs),
    localIp: ip(block.localIp),
    remoteIp: ip(block.remoteIp),
    localPort: u16(block.localPort),
    remotePort: u16(block.remotePort),
    protocol: u8(block.protocol),
    direction: u8(block.direction),
    verdict: u8(block.verdict),
    reason: u8(block.reason),
    mode: u8(block.mode),
    kind: u8(block.kind),
    tcpFlags: u8(block.tcpFlags),
    confidence: u8(block.confidence),
    rule: u32((i) => block.rule[i] ?? 0),
    policyVersion: u32((i) => block.policyVersion[i] ?? 0),
    localIdentity: u32((i) => block.ends[block.local[i] ?? 0]?.identity ?? 0),
    remoteIdentity: u32(remote),
    bytesIn: u64(block.bytesIn),
    bytesOut: u64(block.bytesOut),
    packetsIn: u64(block.packetsIn),
    packetsOut: u64(block.packetsOut),
    attempts: u32((i) => block.attempts[i] ?? 0),
    pid: u32((i) => block.pid[i] ?? 0),
    workloadRef: u32((i) => ref(block.ends[block.local[i] ?? 0]?.workloadId ?? '')),
    processRef: u32((i) => ref(block.strings[block.process[i] ?? 0] ?? '')),
    servicePort: u16(block.servicePort),
    strings,
  };
}
