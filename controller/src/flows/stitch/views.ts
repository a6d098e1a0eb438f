// What each side of each connection said: columns of two slots per entry, the near side's and the far side's. A slot sums what its
// side reported for the row that is being written; everything else in it is the newest report's.
import { EventKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type FlowEndInfo, UNKNOWN_END } from '../block.js';
import { BYTES, type Columns, columnsOf, DOUBLES, SHORTS, SLOT_BYTES, STAMPS, WORDS } from './layout.js';
import type { Observations, Words } from './types.js';

const SUMS = ['bytesIn', 'bytesOut', 'packetsIn', 'packetsOut'] as const;

export class Views {
  c: Columns;
  /** The reporting end, the other end as it was named, the process, the reporting host. */
  readonly ends: FlowEndInfo[] = [];
  readonly remotes: FlowEndInfo[] = [];
  readonly processes: string[] = [];
  readonly reporters: string[] = [];

  constructor(slots: number) {
    this.c = columnsOf(slots);
    this.#extend(slots);
  }

  grow(slots: number): void {
    this.c = columnsOf(slots, this.c);
    this.#extend(slots);
  }

  /** The slot says what the record says. */
  take(slot: number, from: Observations, i: number, { localIp, remoteIp }: Words): void {
    const { c } = this;
    c.firstSeenUs[DOUBLES * slot] = from.firstSeenUs[i] as number;
    c.rowFromUs[DOUBLES * slot] = from.firstSeenUs[i] as number;
    c.lastSeenUs[DOUBLES * slot] = from.lastSeenUs[i] as number;
    c.bytesIn[DOUBLES * slot] = from.bytesIn[i] as number;
    c.bytesOut[DOUBLES * slot] = from.bytesOut[i] as number;
    c.packetsIn[DOUBLES * slot] = from.packetsIn[i] as number;
    c.packetsOut[DOUBLES * slot] = from.packetsOut[i] as number;
    c.attempts[WORDS * slot] = from.attempts[i] as number;
    c.tcpFlags[BYTES * slot] = from.tcpFlags[i] as number;
    c.localPort[SHORTS * slot] = from.localPort[i] as number;
    c.remotePort[SHORTS * slot] = from.remotePort[i] as number;
    for (let w = 0; w < 4; w += 1) {
      c.localIp[WORDS * slot + w] = localIp[4 * i + w] as number;
      c.remoteIp[WORDS * slot + w] = remoteIp[4 * i + w] as number;
    }
    c.pid[WORDS * slot] = 0;
    c.told[BYTES * slot] = 0;
    this.processes[slot] = '';
    c.stamps.fill(0, DOUBLES * slot, DOUBLES * slot + STAMPS);
    this.#remember(slot, stampOf(from, i));
    this.#takeNewest(slot, from, i);
  }

  /** Adds a later (or overtaken) report of the same side of the same connection. */
  add(slot: number, from: Observations, i: number): void {
    const { c } = this;
    const lastSeenUs = from.lastSeenUs[i] as number;
    const kind = c.kind[BYTES * slot] as number;
    const denied = kind === EventKind.EVENT_KIND_DENY;
    c.bytesIn[DOUBLES * slot] = (c.bytesIn[DOUBLES * slot] as number) + (from.bytesIn[i] as number);
    c.bytesOut[DOUBLES * slot] = (c.bytesOut[DOUBLES * slot] as number) + (from.bytesOut[i] as number);
    c.packetsIn[DOUBLES * slot] = (c.packetsIn[DOUBLES * slot] as number) + (from.packetsIn[i] as number);
    c.packetsOut[DOUBLES * slot] = (c.packetsOut[DOUBLES * slot] as number) + (from.packetsOut[i] as number);
    c.tcpFlags[BYTES * slot] = (c.tcpFlags[BYTES * slot] as number) | (from.tcpFlags[i] as number);
    if (denied) c.attempts[WORDS * slot] = (c.attempts[WORDS * slot] as number) + (from.attempts[i] as number);
    c.firstSeenUs[DOUBLES * slot] = Math.min(c.firstSeenUs[DOUBLES * slot] as number, from.firstSeenUs[i] as number);
    c.rowFromUs[DOUBLES * slot] = Math.min(c.rowFromUs[DOUBLES * slot] as number, lastSeenUs);
    this.#remember(slot, stampOf(from, i));
    if (lastSeenUs < (c.lastSeenUs[DOUBLES * slot] as number)) return;
    c.lastSeenUs[DOUBLES * slot] = lastSeenUs;
    this.#takeNewest(slot, from, i);
    if (kind === EventKind.EVENT_KIND_END) c.kind[BYTES * slot] = kind;
  }

  /** The record is what stands in the slot from now on; what stood there adds to it. */
  takeOver(slot: number, from: Observations, i: number, words: Words): void {
    const { c } = this;
    const sums = SUMS.map((name) => c[name][DOUBLES * slot] as number);
    const [rowFromUs, lastSeenUs] = [c.rowFromUs[DOUBLES * slot] as number, c.lastSeenUs[DOUBLES * slot] as number];
    const [process, pid] = [this.processes[slot] ?? '', c.pid[WORDS * slot] as number];
    const stamp = c.stamps[DOUBLES * slot] as number;
    this.take(slot, from, i, words);
    SUMS.forEach((name, place) => {
      c[name][DOUBLES * slot] = (c[name][DOUBLES * slot] as number) + (sums[place] ?? 0);
    });
    c.rowFromUs[DOUBLES * slot] = Math.min(c.rowFromUs[DOUBLES * slot] as number, rowFromUs);
    c.lastSeenUs[DOUBLES * slot] = Math.max(c.lastSeenUs[DOUBLES * slot] as number, lastSeenUs);
    if (this.processes[slot] === '') this.processes[slot] = process;
    if (c.pid[WORDS * slot] === 0) c.pid[WORDS * slot] = pid;
    this.#remember(slot, -stamp);
  }

  /** Adds what the same side saw of the same connection under another address. */
  addAlias(slot: number, from: Observations, i: number): void {
    const { c } = this;
    c.bytesIn[DOUBLES * slot] = (c.bytesIn[DOUBLES * slot] as number) + (from.bytesIn[i] as number);
    c.bytesOut[DOUBLES * slot] = (c.bytesOut[DOUBLES * slot] as number) + (from.bytesOut[i] as number);
    c.packetsIn[DOUBLES * slot] = (c.packetsIn[DOUBLES * slot] as number) + (from.packetsIn[i] as number);
    c.packetsOut[DOUBLES * slot] = (c.packetsOut[DOUBLES * slot] as number) + (from.packetsOut[i] as number);
    c.tcpFlags[BYTES * slot] = (c.tcpFlags[BYTES * slot] as number) | (from.tcpFlags[i] as number);
    c.rowFromUs[DOUBLES * slot] = Math.min(c.rowFromUs[DOUBLES * slot] as number, from.firstSeenUs[i] as number);
    c.lastSeenUs[DOUBLES * slot] = Math.max(c.lastSeenUs[DOUBLES * slot] as number, from.lastSeenUs[i] as number);
    const process = from.strings[from.process[i] as number] ?? '';
    if (this.processes[slot] === '') this.processes[slot] = process;
    if (c.pid[WORDS * slot] === 0) c.pid[WORDS * slot] = from.pid[i] as number;
    this.#remember(slot, -stampOf(from, i));
  }

  /** Adds what another slot counted. */
  sum(slot: number, from: number): void {
    const { c } = this;
    for (const name of SUMS)
      c[name][DOUBLES * slot] = (c[name][DOUBLES * slot] as number) + (c[name][DOUBLES * from] as number);
    c.tcpFlags[BYTES * slot] = (c.tcpFlags[BYTES * slot] as number) | (c.tcpFlags[BYTES * from] as number);
    c.rowFromUs[DOUBLES * slot] = Math.min(
      c.rowFromUs[DOUBLES * slot] as number,
      c.rowFromUs[DOUBLES * from] as number,
    );
    c.lastSeenUs[DOUBLES * slot] = Math.max(
      c.lastSeenUs[DOUBLES * slot] as number,
      c.lastSeenUs[DOUBLES * from] as number,
    );
    if (this.processes[slot] === '') this.processes[slot] = this.processes[from] ?? '';
    if (c.pid[WORDS * slot] === 0) c.pid[WORDS * slot] = c.pid[WORDS * from] as number;
  }

  /** A new row begins where the former ended, and later than the connection: that tells it from the first one. */
  beginRow(slot: number): void {
    const { c } = this;
    const beganUs = c.firstSeenUs[DOUBLES * slot] as number;
    c.rowFromUs[DOUBLES * slot] = Math.max(c.lastSeenUs[DOUBLES * slot] as number, beganUs + 1);
    for (const name of SUMS) c[name][DOUBLES * slot] = 0;
    c.attempts[WORDS * slot] = 0;
    c.tcpFlags[BYTES * slot] = 0;
  }

  /** Everything of one slot into another. */
  copy(from: number, to: number): void {
    this.c.all.copyWithin(SLOT_BYTES * to, SLOT_BYTES * from, SLOT_BYTES * from + SLOT_BYTES);
    this.ends[to] = this.ends[from] as FlowEndInfo;
    this.remotes[to] = this.remotes[from] as FlowEndInfo;
    this.processes[to] = this.processes[from] as string;
    this.reporters[to] = this.reporters[from] as string;
  }

  /** Lets go of what the slot refers to. */
  clear(slot: number): void {
    this.ends[slot] = UNKNOWN_END;
    this.remotes[slot] = UNKNOWN_END;
    this.processes[slot] = '';
    this.reporters[slot] = '';
  }

  /** The slot stands for reports that cannot come again, and whose stamps are not known. */
  forgetReports(slot: number): void {
    this.c.stamps.fill(0, DOUBLES * slot, DOUBLES * slot + STAMPS);
  }

  /** Whether a record was taken into this slot before. */
  knows(slot: number, from: Observations, i: number, alias = false): boolean {
    const stamp = alias ? -stampOf(from, i) : stampOf(from, i);
    for (let s = 0; s < STAMPS; s += 1) if (this.c.stamps[DOUBLES * slot + s] === stamp) return true;
    return false;
  }

  sameDecision(slot: number, from: Observations, i: number): boolean {
    const { c } = this;
    return (
      c.verdict[BYTES * slot] === from.verdict[i] &&
      c.rule[WORDS * slot] === from.rule[i] &&
      c.reason[BYTES * slot] === from.reason[i] &&
      c.mode[BYTES * slot] === from.mode[i] &&
      c.policyVersion[WORDS * slot] === from.policyVersion[i]
    );
  }

  #takeNewest(slot: number, from: Observations, i: number): void {
    const { c } = this;
    c.rule[WORDS * slot] = from.rule[i] as number;
    c.policyVersion[WORDS * slot] = from.policyVersion[i] as number;
    c.verdict[BYTES * slot] = from.verdict[i] as number;
    c.reason[BYTES * slot] = from.reason[i] as number;
    c.mode[BYTES * slot] = from.mode[i] as number;
    c.kind[BYTES * slot] = from.kind[i] as number;
    c.confidence[BYTES * slot] = from.confidence[i] as number;
    c.servicePort[SHORTS * slot] = from.servicePort[i] as number;
    this.ends[slot] = from.ends[from.local[i] as number] ?? UNKNOWN_END;
    this.remotes[slot] = from.ends[from.remote[i] as number] ?? UNKNOWN_END;
    this.reporters[slot] = from.strings[from.reporter[i] as number] ?? '';
    // The process is often known only after the first packet; a later report without one does not unname it.
    const process = from.strings[from.process[i] as number] ?? '';
    if (process !== '' || this.processes[slot] === '') this.processes[slot] = process;
    if (from.pid[i] !== 0) c.pid[WORDS * slot] = from.pid[i] as number;
    if (from.told !== undefined && from.told[i] !== 0) {
      c.told[BYTES * slot] = 1;
      c.toldPort[SHORTS * slot] = from.toldPort?.[i] ?? 0;
      if (from.toldIp !== undefined) bytesOf(c.toldIp, slot).set(from.toldIp.subarray(16 * i, 16 * i + 16));
    }
  }

  #remember(slot: number, stamp: number): void {
    const at = DOUBLES * slot;
    this.c.stamps.copyWithin(at + 1, at, at + STAMPS - 1);
    this.c.stamps[at] = stamp;
  }

  #extend(slots: number): void {
    while (this.ends.length < slots) {
      this.ends.push(UNKNOWN_END);
      this.remotes.push(UNKNOWN_END);
      this.processes.push('');
      this.reporters.push('');
    }
  }
}

/** Tells one report of a connection's side from the others: when it ends, and how. Exact below 2^53. */
function stampOf(from: Observations, i: number): number {
  return (from.lastSeenUs[i] as number) * 4 + ((from.kind[i] as number) & 3);
}

/** The 16 bytes of an address in a slot. */
export function bytesOf(words: Uint32Array, slot: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + SLOT_BYTES * slot, 16);
}
