// What the stitcher takes, asks and counts.
import type { FlowEndInfo } from '../block.js';
import type { InboundTuple } from '../true-source.js';

/**
 * Records in columns, as one host observed them; a FlowBlock is one. Times are Unix microseconds of the reporter's clock, addresses
 * 16 bytes each, IPv4 mapped.
 */
export interface Observations {
  readonly firstSeenUs: Float64Array;
  readonly lastSeenUs: Float64Array;
  readonly bytesIn: Float64Array;
  readonly bytesOut: Float64Array;
  readonly packetsIn: Float64Array;
  readonly packetsOut: Float64Array;
  readonly rule: Uint32Array;
  readonly policyVersion: Uint32Array;
  readonly attempts: Uint32Array;
  readonly pid: Uint32Array;
  /** Into `strings`. */
  readonly process: Uint32Array;
  /** Into `strings`: the host that reported. */
  readonly reporter: Uint32Array;
  /** Into `ends`. */
  readonly local: Uint32Array;
  /** Into `ends`. */
  readonly remote: Uint32Array;
  readonly localPort: Uint16Array;
  readonly remotePort: Uint16Array;
  readonly servicePort: Uint16Array;
  readonly protocol: Uint8Array;
  readonly direction: Uint8Array;
  readonly verdict: Uint8Array;
  readonly reason: Uint8Array;
  readonly mode: Uint8Array;
  readonly kind: Uint8Array;
  readonly tcpFlags: Uint8Array;
  readonly confidence: Uint8Array;
  readonly localIp: Uint8Array;
  readonly remoteIp: Uint8Array;
  readonly strings: readonly string[];
  readonly ends: readonly FlowEndInfo[];
  /** Not 0: the translating host told who opened the inbound connection; `remote` names it. */
  readonly told?: Uint8Array;
  /** With `told`: the source's own port (ICMP: echo id) before translation. */
  readonly toldPort?: Uint16Array;
  /** With `told`: its own address before translation, 16 bytes each. */
  readonly toldIp?: Uint8Array;
}

/** The addresses of records as words, 4 each. */
export interface Words {
  readonly localIp: Uint32Array;
  readonly remoteIp: Uint32Array;
}

/** Id of the host that reported a record. */
export function hostOf(records: Observations, i: number): string {
  return records.strings[records.reporter[i] as number] ?? '';
}

/** The sides of a connection: who opened it observes outbound, who was called observes inbound. */
export const NEAR = 0;
export const FAR = 1;
export type Side = typeof NEAR | typeof FAR;

export interface StitchOptions {
  /** Connections held at most; beyond, the one that was silent longest is let go and counted. */
  readonly entriesMax: number;
  /** How long a connection that nobody reports on waits for its other end, by arrival, milliseconds. */
  readonly windowMs: number;
  /** How long one that is complete is remembered: repetitions and late reports find it. */
  readonly lingerMs: number;
  /** How long an inbound record with a translated source waits before it is given up in favour of an outbound one. */
  readonly settleMs: number;
  /** What the clocks of two hosts differ by at most. */
  readonly skewUs: number;
  /** A row covers about this much of a connection at most; what comes later goes into the next row. */
  readonly spanUs: number;
}

export const STITCH_DEFAULTS: StitchOptions = {
  entriesMax: 524_288,
  windowMs: 120_000,
  lingerMs: 15_000,
  settleMs: 12_000,
  skewUs: 5_000_000,
  spanUs: 60_000_000,
};

/** What the controller knows of translations. */
export interface StitchPorts {
  /** Whether a host may see this workload under an address (16 bytes) now or did until lately. */
  mayBe(observerHostId: string, ip: Uint8Array, workloadId: string): boolean;
  /** Who opened a translated connection, as far as anybody told. Absent: nobody tells. */
  trueSource?(
    tuple: InboundTuple,
  ): { readonly end: FlowEndInfo; readonly ip: Uint8Array; readonly port: number } | undefined;
}

/** All ascend. */
export interface StitchCounters {
  /** Records taken. */
  readonly records: number;
  /** Connections whose two views were brought together. */
  readonly stitched: number;
  /** Records that had come before. */
  readonly duplicates: number;
  /** Inbound records given up in favour of an outbound one that they could not be told from others to belong to. */
  readonly discarded: number;
  /** Connections let go before their time for want of room: their rows stay as they are. */
  readonly overflowed: number;
  /** Pairs taken apart again because another connection fitted as well. */
  readonly contested: number;
}
