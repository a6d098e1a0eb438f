// Packed kernel events for tests, written field by field with the offsets of struct rf_event.
import { BYTE, EVENT_BYTES, WORD } from '../event-layout.js';

export interface TestEvent {
  timeNs: number;
  firstSeenNs: number;
  bytesIn: number;
  bytesOut: number;
  packetsIn: number;
  packetsOut: number;
  local: number;
  remote: number;
  localPort: number;
  remotePort: number;
  endpoint: number;
  identity: number;
  rule: number;
  policyVersion: number;
  pid: number;
  kind: number;
  verdict: number;
  reason: number;
  mode: number;
  direction: number;
  protocol: number;
  tcpFlags: number;
  flags: number;
  servicePort: number;
  attempts: number;
  comm: string;
}

export const plainEvent: TestEvent = {
  timeNs: 1e9,
  firstSeenNs: 1e9,
  bytesIn: 0,
  bytesOut: 0,
  packetsIn: 0,
  packetsOut: 0,
  local: 1,
  remote: 2,
  localPort: 40000,
  remotePort: 80,
  endpoint: 7,
  identity: 5,
  rule: 3,
  policyVersion: 1,
  pid: 0,
  kind: 1,
  verdict: 1,
  reason: 1,
  mode: 2,
  direction: 2,
  protocol: 6,
  tcpFlags: 2,
  flags: 0,
  servicePort: 80,
  attempts: 1,
  comm: '',
};

/** 10.0.0.<last byte>, mapped. */
export function testAddress(last: number): Buffer {
  return Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last]);
}

export function packEvents(events: readonly Partial<TestEvent>[]): ArrayBuffer {
  const buffer = new ArrayBuffer(events.length * EVENT_BYTES);
  const bytes = Buffer.from(buffer);
  events.forEach((partial, i) => {
    const e = { ...plainEvent, ...partial };
    const at = i * EVENT_BYTES;
    const u64 = (word: number, value: number) => bytes.writeBigUInt64LE(BigInt(value), at + word * 4);
    const u32 = (word: number, value: number) => bytes.writeUInt32LE(value >>> 0, at + word * 4);
    u64(WORD.timeNs, e.timeNs);
    u64(WORD.firstSeenNs, e.firstSeenNs);
    u64(WORD.bytesIn, e.bytesIn);
    u64(WORD.bytesOut, e.bytesOut);
    testAddress(e.local).copy(bytes, at + BYTE.local);
    testAddress(e.remote).copy(bytes, at + BYTE.remote);
    u32(WORD.packetsIn, e.packetsIn);
    u32(WORD.packetsOut, e.packetsOut);
    bytes.writeUInt16BE(e.localPort, at + BYTE.localPort);
    bytes.writeUInt16BE(e.remotePort, at + BYTE.remotePort);
    u32(WORD.endpoint, e.endpoint);
    u32(WORD.peerIdentity, e.identity);
    u32(WORD.rule, e.rule);
    u32(WORD.policyVersion, e.policyVersion);
    u32(WORD.pid, e.pid);
    bytes[at + BYTE.kind] = e.kind;
    bytes[at + BYTE.verdict] = e.verdict;
    bytes[at + BYTE.reason] = e.reason;
    bytes[at + BYTE.mode] = e.mode;
    bytes[at + BYTE.direction] = e.direction;
    bytes[at + BYTE.proto] = e.protocol;
    bytes[at + BYTE.tcpFlags] = e.tcpFlags;
    bytes[at + BYTE.flags] = e.flags;
    bytes.writeUInt16BE(e.servicePort, at + BYTE.servicePort);
    bytes.writeUInt16LE(e.attempts, at + BYTE.attempts);
    bytes.write(e.comm.slice(0, 16), at + BYTE.comm, 'latin1');
  });
  return buffer;
}
