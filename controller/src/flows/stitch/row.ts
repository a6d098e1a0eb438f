// An entry as a row: one view as it came, or both brought together.
import { Confidence, Direction, EventKind, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type FlowBlock, UNKNOWN_END } from '../block.js';
import { type Entries, Flag } from './entries.js';
import { hasEchoId, observedDestination, sameAddress } from './fit.js';
import { BYTES, DOUBLES, SHORTS, WORDS } from './layout.js';
import { FAR, NEAR, type Side } from './types.js';
import type { Views } from './views.js';

/** A sum of reports is a whole number that a double counts exactly. */
function whole(sum: number): number {
  return Math.min(sum, Number.MAX_SAFE_INTEGER);
}

/** Bits of FlowBlock.views. */
export const VIEW = { inbound: 1, outbound: 2 } as const;

/** Writes row `at` of a block, where nothing was written before. `before`: the row that this one takes the place of, 0 for none. */
export function writeRow(entries: Entries, entry: number, block: FlowBlock, at: number, before: number): void {
  const { views } = entries;
  const [near, far] = [entries.hasSide(entry, NEAR), entries.hasSide(entry, FAR)];
  const side: Side = near ? NEAR : FAR;
  const slot = 2 * entry + side;
  writeView(views, slot, block, at);
  block.protocol[at] = entries.protocol[entry] as number;
  block.direction[at] = near ? Direction.DIRECTION_OUTBOUND : Direction.DIRECTION_INBOUND;
  block.views[at] = (near ? VIEW.outbound : 0) | (far ? VIEW.inbound : 0);
  block.decider[at] = block.direction[at] as number;
  block.nearConfidence[at] = near ? (views.c.confidence[BYTES * slot] as number) : 0;
  block.replaces[at] = before;
  block.retired[at] = 0;
  if (!near || !far) return;
  writeFar(views, 2 * entry + FAR, block, at);
  bringTogether(entries, entry, block, at);
}

function writeView(v: Views, slot: number, block: FlowBlock, at: number): void {
  const { c } = v;
  block.firstSeenUs[at] = c.rowFromUs[DOUBLES * slot] as number;
  block.lastSeenUs[at] = c.lastSeenUs[DOUBLES * slot] as number;
  block.bytesIn[at] = whole(c.bytesIn[DOUBLES * slot] as number);
  block.bytesOut[at] = whole(c.bytesOut[DOUBLES * slot] as number);
  block.packetsIn[at] = whole(c.packetsIn[DOUBLES * slot] as number);
  block.packetsOut[at] = whole(c.packetsOut[DOUBLES * slot] as number);
  block.attempts[at] = Math.max(1, c.attempts[WORDS * slot] as number);
  block.pid[at] = c.pid[WORDS * slot] as number;
  block.localPort[at] = c.localPort[SHORTS * slot] as number;
  block.remotePort[at] = c.remotePort[SHORTS * slot] as number;
  block.servicePort[at] = c.servicePort[SHORTS * slot] as number;
  block.kind[at] = c.kind[BYTES * slot] as number;
  block.tcpFlags[at] = c.tcpFlags[BYTES * slot] as number;
  // Of a source that its host told of, the agent that was called knows nothing.
  block.confidence[at] =
    c.told[BYTES * slot] !== 0 ? Confidence.CONFIDENCE_MAPPED : (c.confidence[BYTES * slot] as number);
  decide(v, slot, block, at);
  block.process[at] = block.stringRef(v.processes[slot] ?? '');
  block.reporter[at] = block.stringRef(v.reporters[slot] ?? '');
  block.local[at] = block.endRef(v.ends[slot] ?? UNKNOWN_END);
  block.remote[at] = block.endRef(v.remotes[slot] ?? UNKNOWN_END);
  copyAddress(c.localIp, slot, block.localIpWords, at);
  copyAddress(c.remoteIp, slot, block.remoteIpWords, at);
}

/** The decision of one view, as the row's. */
function decide({ c }: Views, slot: number, block: FlowBlock, at: number): void {
  block.verdict[at] = c.verdict[BYTES * slot] as number;
  block.reason[at] = c.reason[BYTES * slot] as number;
  block.mode[at] = c.mode[BYTES * slot] as number;
  block.rule[at] = c.rule[WORDS * slot] as number;
  block.policyVersion[at] = c.policyVersion[WORDS * slot] as number;
}

/** The decision of the view that did not decide. */
function decideOther({ c }: Views, slot: number, block: FlowBlock, at: number): void {
  block.otherVerdict[at] = c.verdict[BYTES * slot] as number;
  block.otherReason[at] = c.reason[BYTES * slot] as number;
  block.otherMode[at] = c.mode[BYTES * slot] as number;
  block.otherRule[at] = c.rule[WORDS * slot] as number;
  block.otherPolicyVersion[at] = c.policyVersion[WORDS * slot] as number;
}

function writeFar(v: Views, slot: number, block: FlowBlock, at: number): void {
  const { c } = v;
  block.farFirstSeenUs[at] = c.rowFromUs[DOUBLES * slot] as number;
  block.farLastSeenUs[at] = c.lastSeenUs[DOUBLES * slot] as number;
  block.farBytesIn[at] = whole(c.bytesIn[DOUBLES * slot] as number);
  block.farBytesOut[at] = whole(c.bytesOut[DOUBLES * slot] as number);
  block.farPacketsIn[at] = whole(c.packetsIn[DOUBLES * slot] as number);
  block.farPacketsOut[at] = whole(c.packetsOut[DOUBLES * slot] as number);
  block.farPid[at] = c.pid[WORDS * slot] as number;
  block.farLocalPort[at] = c.localPort[SHORTS * slot] as number;
  block.farRemotePort[at] = c.remotePort[SHORTS * slot] as number;
  block.farServicePort[at] = c.servicePort[SHORTS * slot] as number;
  block.farConfidence[at] = c.confidence[BYTES * slot] as number;
  block.farProcess[at] = block.stringRef(v.processes[slot] ?? '');
  block.farReporter[at] = block.stringRef(v.reporters[slot] ?? '');
  block.farEnd[at] = block.endRef(v.ends[slot] ?? UNKNOWN_END);
  copyAddress(c.localIp, slot, block.farLocalIpWords, at);
  copyAddress(c.remoteIp, slot, block.farRemoteIpWords, at);
}

/** What the row as a whole says, beyond the near view that stands in it. */
function bringTogether(entries: Entries, entry: number, block: FlowBlock, at: number): void {
  const { views } = entries;
  const { c } = views;
  const [near, far] = [2 * entry + NEAR, 2 * entry + FAR];
  if (rank(c.verdict[BYTES * far]) > rank(c.verdict[BYTES * near])) {
    decide(views, far, block, at);
    decideOther(views, near, block, at);
    block.decider[at] = Direction.DIRECTION_INBOUND;
  } else decideOther(views, far, block, at);
  const denied =
    c.kind[BYTES * far] === EventKind.EVENT_KIND_DENY || c.kind[BYTES * near] === EventKind.EVENT_KIND_DENY;
  const ended = entries.has(entry, Flag.ended << NEAR) || entries.has(entry, Flag.ended << FAR);
  if (denied) {
    block.kind[at] = EventKind.EVENT_KIND_DENY;
    block.attempts[at] = Math.max(1, c.attempts[WORDS * near] as number, c.attempts[WORDS * far] as number);
  } else if (ended) block.kind[at] = EventKind.EVENT_KIND_END;
  block.tcpFlags[at] = (c.tcpFlags[BYTES * near] as number) | (c.tcpFlags[BYTES * far] as number);
  const named = views.remotes[near];
  const own = views.ends[far];
  // What the opener's mapping names is who was meant: a proxy that answers for it is not.
  const mapped = c.confidence[BYTES * near] === Confidence.CONFIDENCE_MAPPED && named?.workloadId !== '';
  const meant = mapped && named?.workloadId !== own?.workloadId;
  if (own !== undefined && !meant) block.remote[at] = block.endRef(own);
  block.confidence[at] = meant ? Confidence.CONFIDENCE_MAPPED : together(entries, entry);
}

/** How surely both ends are named: each by its own agent; what may be wrong is that the two views are of one connection. */
function together(entries: Entries, entry: number): Confidence {
  const { c } = entries.views;
  const [near, far] = [2 * entry + NEAR, 2 * entry + FAR];
  const protocol = entries.protocol[entry] as number;
  const plain =
    observedDestination(entries.views, protocol, near, far) &&
    sameAddress(c.localIp, near, c.remoteIp, far) &&
    c.localPort[SHORTS * near] === (hasEchoId(protocol) ? c.localPort : c.remotePort)[SHORTS * far];
  if (plain) return Confidence.CONFIDENCE_EXACT;
  return c.confidence[BYTES * far] === Confidence.CONFIDENCE_TAGGED
    ? Confidence.CONFIDENCE_TAGGED
    : Confidence.CONFIDENCE_MAPPED;
}

/** By how little a verdict lets through. */
function rank(verdict: number | undefined): number {
  if (verdict === Verdict.VERDICT_BLOCKED) return 2;
  return verdict === Verdict.VERDICT_WOULD_BLOCK ? 1 : 0;
}

function copyAddress(from: Uint32Array, slot: number, to: Uint32Array, at: number): void {
  for (let w = 0; w < 4; w += 1) to[4 * at + w] = from[WORDS * slot + w] as number;
}
