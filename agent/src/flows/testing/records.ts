// Reads columnar batches back as rows, for assertions.
import type { RecordBatch } from '../record-batch.js';

export interface TestRecord {
  lane: string;
  firstSeenUs: number;
  lastSeenUs: number;
  local: number;
  remote: number;
  localPort: number;
  remotePort: number;
  protocol: number;
  direction: number;
  verdict: number;
  reason: number;
  kind: number;
  tcpFlags: number;
  confidence: number;
  rule: number;
  policyVersion: number;
  localIdentity: number;
  remoteIdentity: number;
  bytesIn: number;
  bytesOut: number;
  packetsIn: number;
  packetsOut: number;
  attempts: number;
  pid: number;
  servicePort: number;
  workload: string;
  process: string;
}

export function recordsOf({ lane, columns: c }: RecordBatch): TestRecord[] {
  return Array.from({ length: c.count }, (_, i) => ({
    lane,
    firstSeenUs: Number(c.firstSeenUs.readBigUInt64LE(i * 8)),
    lastSeenUs: Number(c.lastSeenUs.readBigUInt64LE(i * 8)),
    local: c.localIp.readUInt8(i * 16 + 15),
    remote: c.remoteIp.readUInt8(i * 16 + 15),
    localPort: c.localPort.readUInt16LE(i * 2),
    remotePort: c.remotePort.readUInt16LE(i * 2),
    protocol: c.protocol.readUInt8(i),
    direction: c.direction.readUInt8(i),
    verdict: c.verdict.readUInt8(i),
    reason: c.reason.readUInt8(i),
    kind: c.kind.readUInt8(i),
    tcpFlags: c.tcpFlags.readUInt8(i),
    confidence: c.confidence.readUInt8(i),
    rule: c.rule.readUInt32LE(i * 4),
    policyVersion: c.policyVersion.readUInt32LE(i * 4),
    localIdentity: c.localIdentity.readUInt32LE(i * 4),
    remoteIdentity: c.remoteIdentity.readUInt32LE(i * 4),
    bytesIn: Number(c.bytesIn.readBigUInt64LE(i * 8)),
    bytesOut: Number(c.bytesOut.readBigUInt64LE(i * 8)),
    packetsIn: Number(c.packetsIn.readBigUInt64LE(i * 8)),
    packetsOut: Number(c.packetsOut.readBigUInt64LE(i * 8)),
    attempts: c.attempts.readUInt32LE(i * 4),
    pid: c.pid.readUInt32LE(i * 4),
    servicePort: c.servicePort.readUInt16LE(i * 2),
    workload: c.strings[c.workloadRef.readUInt32LE(i * 4)] ?? '?',
    process: c.strings[c.processRef.readUInt32LE(i * 4)] ?? '?',
  }));
}
