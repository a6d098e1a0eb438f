// What each side of each connection said: columns of two slots per entry, the near side's and the far side's. A slot sums what its
// side reported for the row that is being written; everything else in it is the newest report's.
import { EventKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type FlowEndInfo, UNKNOWN_END } from '../block.js';
import type { Observations, Words } from './types.js';

/** Reports of a side that are remembered, to know a repetition. */
const STAMPS = 4;

const DOUBLES = ['firstSeenUs', 'rowFromUs', 'lastSeenUs', 'bytesIn', 'bytesOut', 'packetsIn', 'packetsOut'] as const;
const WORDS = ['rule', 'policyVersion', 'pid', 'attempts'] as const;
const SHORTS = ['localPort', 'remotePort', 'servicePort', 'toldPort'] as const;
const BYTES = ['verdict', 'reason', 'mode', 'kind', 'tcpFlags', 'confidence', 'told'] as const;

const SUMS = ['bytesIn', 'bytesOut', 'packetsIn', 'packetsOut'] as const;

type Columns = { [K in (typeof DOUBLES)[number]]: Float64Array } & { [K in (typeof WORDS)[number]]: Uint32Array } & {
  [K in (typeof SHORTS)[number]]: Uint16Array;
} & { [K in (typeof BYTES)[number]]: Uint8Array } & {
  /** 4 words each. */
  localIp: Uint32Array;
  remoteIp: Uint32Array;
  toldIp: Uint32Array;
  stamps: Float64Array;
};

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
    const [old, grown] = [this.c, columnsOf(slots)];
    for (const [name, column] of Object.entries(grown)) (column as Float64Array).set(old[name as keyof Columns]);
    this.c = grown;
    this.#extend(slots);
  }

  /** The slot says what the record says. */
  take(slot: number, from: Observations, i: number, { localIp, remoteIp }: Words): void {
    const { c } = this;
    c.firstSeenUs[slot] = from.firstSeenUs[i] as number;
    c.rowFromUs[slot] = from.firstSeenUs[i] as number;
    c.lastSeenUs[slot] = from.lastSeenUs[i] as number;
    c.bytesIn[slot] = from.bytesIn[i] as number;
    c.bytesOut[slot] = from.bytesOut[i] as number;
    c.packetsIn[slot] = from.packetsIn[i] as number;
    c.packetsOut[slot] = from.packetsOut[i] as number;
    c.attempts[slot] = from.attempts[i] as number;
    c.tcpFlags[slot] = from.tcpFlags[i] as number;
    c.localPort[slot] = from.localPort[i] as number;
    c.remotePort[slot] = from.remotePort[i] as number;
    for (let w = 0; w < 4; w += 1) {
      c.localIp[4 * slot + w] = localIp[4 * i + w] as number;
      c.remoteIp[4 * slot + w] = remoteIp[4 * i + w] as number;
    }
    c.pid[slot] = 0;
    c.told[slot] = 0;
    this.processes[slot] = '';
    c.stamps.fill(0, STAMPS * slot, STAMPS * slot + STAMPS);
    this.#remember(slot, stampOf(from, i));
    this.#takeNewest(slot, from, i);
  }

  /** Adds a later (or overtaken) report of the same side of the same connection. */
  add(slot: number, from: Observations, i: number): void {
    const { c } = this;
    const lastSeenUs = from.lastSeenUs[i] as number;
    const kind = c.kind[slot] as number;
    const denied = kind === EventKind.EVENT_KIND_DENY;
    c.bytesIn[slot] = (c.bytesIn[slot] as number) + (from.bytesIn[i] as number);
    c.bytesOut[slot] = (c.bytesOut[slot] as number) + (from.bytesOut[i] as number);
    c.packetsIn[slot] = (c.packetsIn[slot] as number) + (from.packetsIn[i] as number);
    c.packetsOut[slot] = (c.packetsOut[slot] as number) + (from.packetsOut[i] as number);
    c.tcpFlags[slot] = (c.tcpFlags[slot] as number) | (from.tcpFlags[i] as number);
    if (denied) c.attempts[slot] = (c.attempts[slot] as number) + (from.attempts[i] as number);
    c.firstSeenUs[slot] = Math.min(c.firstSeenUs[slot] as number, from.firstSeenUs[i] as number);
    c.rowFromUs[slot] = Math.min(c.rowFromUs[slot] as number, lastSeenUs);
    this.#remember(slot, stampOf(from, i));
    if (lastSeenUs < (c.lastSeenUs[slot] as number)) return;
    c.lastSeenUs[slot] = lastSeenUs;
    this.#takeNewest(slot, from, i);
    if (kind === EventKind.EVENT_KIND_END) c.kind[slot] = kind;
  }

  /** The record is what stands in the slot from now on; what stood there adds to it. */
  takeOver(slot: number, from: Observations, i: number, words: Words): void {
    const { c } = this;
    const sums = SUMS.map((name) => c[name][slot] as number);
    const [rowFromUs, lastSeenUs] = [c.rowFromUs[slot] as number, c.lastSeenUs[slot] as number];
    const [process, pid] = [this.processes[slot] ?? '', c.pid[slot] as number];
    const stamp = c.stamps[STAMPS * slot] as number;
    this.take(slot, from, i, words);
    SUMS.forEach((name, place) => {
      c[name][slot] = (c[name][slot] as number) + (sums[place] ?? 0);
    });
    c.rowFromUs[slot] = Math.min(c.rowFromUs[slot] as number, rowFromUs);
    c.lastSeenUs[slot] = Math.max(c.lastSeenUs[slot] as number, lastSeenUs);
    if (this.processes[slot] === '') this.processes[slot] = process;
    if (c.pid[slot] === 0) c.pid[slot] = pid;
    this.#remember(slot, -stamp);
  }

  /** Adds what the same side saw of the same connection under another address. */
  addAlias(slot: number, from: Observations, i: number): void {
    const { c } = this;
    c.bytesIn[slot] = (c.bytesIn[slot] as number) + (from.bytesIn[i] as number);
    c.bytesOut[slot] = (c.bytesOut[slot] as number) + (from.bytesOut[i] as number);
    c.packetsIn[slot] = (c.packetsIn[slot] as number) + (from.packetsIn[i] as number);
    c.packetsOut[slot] = (c.packetsOut[slot] as number) + (from.packetsOut[i] as number);
    c.tcpFlags[slot] = (c.tcpFlags[slot] as number) | (from.tcpFlags[i] as number);
    c.rowFromUs[slot] = Math.min(c.rowFromUs[slot] as number, from.firstSeenUs[i] as number);
    c.lastSeenUs[slot] = Math.max(c.lastSeenUs[slot] as number, from.lastSeenUs[i] as number);
    const process = from.strings[from.process[i] as number] ?? '';
    if (this.processes[slot] === '') this.processes[slot] = process;
    if (c.pid[slot] === 0) c.pid[slot] = from.pid[i] as number;
    this.#remember(slot, -stampOf(from, i));
  }

  /** Adds what another slot counted. */
  sum(slot: number, from: number): void {
    const { c } = this;
    for (const name of SUMS) c[name][slot] = (c[name][slot] as number) + (c[name][from] as number);
    c.tcpFlags[slot] = (c.tcpFlags[slot] as number) | (c.tcpFlags[from] as number);
    c.rowFromUs[slot] = Math.min(c.rowFromUs[slot] as number, c.rowFromUs[from] as number);
    c.lastSeenUs[slot] = Math.max(c.lastSeenUs[slot] as number, c.lastSeenUs[from] as number);
    if (this.processes[slot] === '') this.processes[slot] = this.processes[from] ?? '';
    if (c.pid[slot] === 0) c.pid[slot] = c.pid[from] as number;
  }

  /** A new row begins where the former ended. */
  beginRow(slot: number): void {
    const { c } = this;
    c.rowFromUs[slot] = c.lastSeenUs[slot] as number;
    for (const name of ['bytesIn', 'bytesOut', 'packetsIn', 'packetsOut', 'attempts'] as const) c[name][slot] = 0;
    c.tcpFlags[slot] = 0;
  }

  /** Everything of one slot into another. */
  copy(from: number, to: number): void {
    const { c } = this;
    for (const name of DOUBLES) c[name][to] = c[name][from] as number;
    for (const name of WORDS) c[name][to] = c[name][from] as number;
    for (const name of SHORTS) c[name][to] = c[name][from] as number;
    for (const name of BYTES) c[name][to] = c[name][from] as number;
    for (const column of [c.localIp, c.remoteIp, c.toldIp, c.stamps]) column.copyWithin(4 * to, 4 * from, 4 * from + 4);
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

  /** Whether a record was taken into this slot before. */
  knows(slot: number, from: Observations, i: number, alias = false): boolean {
    const stamp = alias ? -stampOf(from, i) : stampOf(from, i);
    for (let s = 0; s < STAMPS; s += 1) if (this.c.stamps[STAMPS * slot + s] === stamp) return true;
    return false;
  }

  sameDecision(slot: number, from: Observations, i: number): boolean {
    const { c } = this;
    return (
      c.verdict[slot] === from.verdict[i] &&
      c.rule[slot] === from.rule[i] &&
      c.reason[slot] === from.reason[i] &&
      c.mode[slot] === from.mode[i] &&
      c.policyVersion[slot] === from.policyVersion[i]
    );
  }

  #takeNewest(slot: number, from: Observations, i: number): void {
    const { c } = this;
    c.rule[slot] = from.rule[i] as number;
    c.policyVersion[slot] = from.policyVersion[i] as number;
    c.verdict[slot] = from.verdict[i] as number;
    c.reason[slot] = from.reason[i] as number;
    c.mode[slot] = from.mode[i] as number;
    c.kind[slot] = from.kind[i] as number;
    c.confidence[slot] = from.confidence[i] as number;
    c.servicePort[slot] = from.servicePort[i] as number;
    this.ends[slot] = from.ends[from.local[i] as number] ?? UNKNOWN_END;
    this.remotes[slot] = from.ends[from.remote[i] as number] ?? UNKNOWN_END;
    this.reporters[slot] = from.strings[from.reporter[i] as number] ?? '';
    // The process is often known only after the first packet; a later report without one does not unname it.
    const process = from.strings[from.process[i] as number] ?? '';
    if (process !== '' || this.processes[slot] === '') this.processes[slot] = process;
    if (from.pid[i] !== 0) c.pid[slot] = from.pid[i] as number;
    if (from.told !== undefined && from.told[i] !== 0) {
      c.told[slot] = 1;
      c.toldPort[slot] = from.toldPort?.[i] ?? 0;
      const words = new Uint8Array(c.toldIp.buffer, 16 * slot, 16);
      if (from.toldIp !== undefined) words.set(from.toldIp.subarray(16 * i, 16 * i + 16));
    }
  }

  #remember(slot: number, stamp: number): void {
    const at = STAMPS * slot;
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

function columnsOf(slots: number): Columns {
  const columns: Record<string, Float64Array | Uint32Array | Uint16Array | Uint8Array> = {};
  for (const name of DOUBLES) columns[name] = new Float64Array(slots);
  for (const name of WORDS) columns[name] = new Uint32Array(slots);
  for (const name of SHORTS) columns[name] = new Uint16Array(slots);
  for (const name of BYTES) columns[name] = new Uint8Array(slots);
  for (const name of ['localIp', 'remoteIp', 'toldIp']) columns[name] = new Uint32Array(4 * slots);
  columns.stamps = new Float64Array(STAMPS * slots);
  return columns as unknown as Columns;
}
