// Flow columns from rows, for tests and benchmarks.
import { mappedAddress, parseAddress } from '@ringfence/proto/address.js';
import { Direction, EventKind, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';

/** One record; everything that is not given is 0 or a plain allowed TCP connection, each row of a batch another one. */
export interface FlowRow {
  readonly workload: string;
  readonly local: string;
  readonly remote: string;
  readonly localPort?: number;
  readonly remotePort?: number;
  readonly servicePort?: number;
  readonly protocol?: number;
  readonly direction?: Direction;
  readonly verdict?: Verdict;
  /** Default NEW. */
  readonly kind?: EventKind;
  readonly reason?: Reason;
  readonly mode?: Mode;
  readonly rule?: number;
  readonly policyVersion?: number;
  readonly localIdentity?: number;
  readonly remoteIdentity?: number;
  readonly process?: string;
  readonly pid?: number;
  /** Unix microseconds. */
  readonly firstSeenUs?: number;
  readonly lastSeenUs?: number;
  readonly bytesIn?: number;
  readonly bytesOut?: number;
}

export function flowColumns(rows: readonly FlowRow[]): FlowColumns {
  const strings = [''];
  const ref = (text: string) => {
    const known = strings.indexOf(text);
    return known >= 0 ? known : strings.push(text) - 1;
  };
  const bytes = (value: (row: FlowRow) => number) => Buffer.from(rows.map(value));
  const u16 = (value: (row: FlowRow, index: number) => number) => Buffer.from(Uint16Array.from(rows, value).buffer);
  const u32 = (value: (row: FlowRow) => number) => Buffer.from(Uint32Array.from(rows, value).buffer);
  const u64 = (value: (row: FlowRow) => number) =>
    Buffer.from(BigUint64Array.from(rows, (row) => BigInt(value(row))).buffer);
  const ip = (value: (row: FlowRow) => string) => Buffer.concat(rows.map((row) => addressOf(value(row))));
  return {
    count: rows.length,
    firstSeenUs: u64((row) => row.firstSeenUs ?? 1_000_000),
    lastSeenUs: u64((row) => row.lastSeenUs ?? row.firstSeenUs ?? 1_000_000),
    localIp: ip((row) => row.local),
    remoteIp: ip((row) => row.remote),
    localPort: u16((row, index) => row.localPort ?? 40_000 + index),
    remotePort: u16((row) => row.remotePort ?? 443),
    protocol: bytes((row) => row.protocol ?? 6),
    direction: bytes((row) => row.direction ?? Direction.DIRECTION_OUTBOUND),
    verdict: bytes((row) => row.verdict ?? Verdict.VERDICT_ALLOWED),
    reason: bytes((row) => row.reason ?? Reason.REASON_RULE_ALLOW),
    mode: bytes((row) => row.mode ?? Mode.MODE_ENFORCE),
    kind: bytes((row) => row.kind ?? EventKind.EVENT_KIND_NEW),
    tcpFlags: bytes(() => 2),
    confidence: bytes(() => 1),
    rule: u32((row) => row.rule ?? 0),
    policyVersion: u32((row) => row.policyVersion ?? 0),
    localIdentity: u32((row) => row.localIdentity ?? 0),
    remoteIdentity: u32((row) => row.remoteIdentity ?? 0),
    bytesIn: u64((row) => row.bytesIn ?? 0),
    bytesOut: u64((row) => row.bytesOut ?? 0),
    packetsIn: u64(() => 1),
    packetsOut: u64(() => 1),
    attempts: u32(() => 1),
    pid: u32((row) => row.pid ?? 0),
    workloadRef: u32((row) => ref(row.workload)),
    processRef: u32((row) => ref(row.process ?? '')),
    servicePort: u16((row) => row.servicePort ?? row.remotePort ?? 443),
    strings,
  };
}

function addressOf(text: string): Uint8Array {
  const address = parseAddress(text);
  if (address === undefined) throw new RangeError(`Cannot read address: found ${text}, wanted IPv4 or IPv6`);
  return mappedAddress(address);
}
