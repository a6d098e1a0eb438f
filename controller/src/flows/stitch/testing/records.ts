// Single observations for tests, and the rows that come of them.
import { parseAddress } from '@ringfence/proto/address.js';
import { Confidence, Direction, EventKind, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type FlowBlock, type FlowEndInfo, UNKNOWN_END } from '../../block.js';
import { Stitcher } from '../stitcher.js';
import type { StitchOptions, StitchPorts } from '../types.js';
import { RowStore } from './judge.js';
import { ArrivalBlock } from './traffic.js';

export interface Seen {
  readonly direction: Direction;
  /** `host/workload`. */
  readonly local: string;
  /** `host/workload`, `host/` for somebody there, empty for nobody known. */
  readonly remote: string;
  readonly localAt: string;
  readonly remoteAt: string;
  readonly servicePort?: number;
  readonly protocol?: number;
  readonly kind?: EventKind;
  readonly confidence?: Confidence;
  readonly verdict?: Verdict;
  readonly reason?: Reason;
  readonly rule?: number;
  /** Seconds. */
  readonly first?: number;
  readonly last?: number;
  readonly bytesIn?: number;
  readonly bytesOut?: number;
  readonly attempts?: number;
  readonly process?: string;
  /** Source before translation. */
  readonly toldAt?: string;
}

const ends = new Map<string, FlowEndInfo>();

/** The same object for the same text. */
export function endOf(text: string): FlowEndInfo {
  if (text === '') return UNKNOWN_END;
  const [hostId = '', name = ''] = text.split('/');
  const known = ends.get(text) ?? { workloadId: name && text, workloadName: name, hostId, labels: {}, identity: 1 };
  ends.set(text, known);
  return known;
}

/** A stitcher with the rows that it has written. */
export class Bench {
  readonly stitcher: Stitcher;
  readonly store = new RowStore();
  #nowMs = 0;

  constructor(ports: Partial<StitchPorts> = {}, options: Partial<StitchOptions> = {}) {
    this.stitcher = new Stitcher({ mayBe: () => false, ...ports }, options);
  }

  /** Takes observations in one batch of their hosts. */
  take(...all: readonly Seen[]): void {
    const block = new ArrivalBlock(1);
    for (const [i, seen] of all.entries()) write(block, i, seen);
    this.stitcher.take(block, 0, all.length, this.#nowMs);
    this.store.drain(this.stitcher);
  }

  pass(ms: number): void {
    this.#nowMs += ms;
    this.stitcher.expire(this.#nowMs);
    this.store.drain(this.stitcher);
  }

  /** Rows that are left, in words. */
  rows(): Row[] {
    return [...this.store.rows()].map(({ block, i }) => rowOf(block, i));
  }
}

export type Row = ReturnType<typeof rowOf>;

function rowOf(block: FlowBlock, i: number) {
  const text = (refs: Uint32Array) => {
    const end = block.ends[refs[i] ?? 0];
    return end?.workloadId || `${end?.hostId ?? ''}/`;
  };
  const outbound = block.direction[i] === Direction.DIRECTION_OUTBOUND;
  const [local, remote] = [text(block.local), text(block.remote)];
  return {
    source: outbound ? local : remote,
    destination: outbound ? remote : local,
    views: block.views[i],
    verdict: block.verdict[i],
    confidence: block.confidence[i],
    kind: block.kind[i],
    bytes: [block.bytesOut[i], block.farBytesIn[i]],
    bytesIn: block.bytesIn[i],
    attempts: block.attempts[i],
    firstSeen: (block.firstSeenUs[i] ?? 0) / 1e6,
    decider: block.decider[i],
    rules: [block.rule[i], block.otherRule[i]],
  };
}

function write(block: ArrivalBlock, at: number, seen: Seen): void {
  const [localIp, localPort] = placeOf(seen.localAt);
  const [remoteIp, remotePort] = placeOf(seen.remoteAt);
  const first = seen.first ?? 1;
  block.firstSeenUs[at] = first * 1e6;
  block.lastSeenUs[at] = (seen.last ?? first) * 1e6;
  block.bytesIn[at] = seen.bytesIn ?? 0;
  block.bytesOut[at] = seen.bytesOut ?? 0;
  block.direction[at] = seen.direction;
  block.protocol[at] = seen.protocol ?? 6;
  block.kind[at] = seen.kind ?? EventKind.EVENT_KIND_NEW;
  block.confidence[at] = seen.confidence ?? Confidence.CONFIDENCE_EXACT;
  block.verdict[at] = seen.verdict ?? Verdict.VERDICT_ALLOWED;
  block.reason[at] = seen.reason ?? Reason.REASON_RULE_ALLOW;
  block.rule[at] = seen.rule ?? 1;
  block.attempts[at] = seen.attempts ?? 1;
  block.localIp.set(localIp, 16 * at);
  block.remoteIp.set(remoteIp, 16 * at);
  block.localPort[at] = localPort;
  block.remotePort[at] = remotePort;
  block.servicePort[at] = seen.servicePort ?? (seen.direction === Direction.DIRECTION_INBOUND ? localPort : remotePort);
  block.local[at] = block.endRef(endOf(seen.local));
  block.remote[at] = block.endRef(endOf(seen.remote));
  block.reporter[at] = block.stringRef(seen.local.split('/')[0] ?? '');
  block.process[at] = block.stringRef(seen.process ?? '');
  if (seen.toldAt === undefined) return;
  const [toldIp, toldPort] = placeOf(seen.toldAt);
  block.told[at] = 1;
  block.toldPort[at] = toldPort;
  block.toldIp.set(toldIp, 16 * at);
}

/** `10.0.0.1:80`; IPv4 only. */
function placeOf(text: string): [Uint8Array, number] {
  const [ip = '', port = '0'] = text.split(':');
  const address = parseAddress(ip);
  if (address === undefined) throw new RangeError(`Cannot read place ${text}`);
  return [address, Number(port)];
}
