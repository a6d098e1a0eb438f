// The rows of the aggregation table, one typed array per field: what a connection's next record will say, and the cumulative
// counters its next event is compared with.
import { BYTE, u16le, u64, WORD } from './event-layout.js';
import { putLong, type RecordBatchBuilder } from './record-batch.js';

/** Bits of a row's state. A row without used is free. */
export const RowState = {
  used: 1,
  /** Has something to report; it is in the dirty list exactly then. */
  dirty: 2,
  /** Leaves with the next flush instead of the next UPDATE interval. */
  urgent: 4,
  /** END was seen: goes one flush later. */
  ended: 8,
  /** Lives for one interval (denies). */
  transient: 16,
} as const;

/** Decoded process names kept. */
const NAMES_KEPT = 509;

export class RowColumns {
  readonly state: Uint8Array;
  readonly firstSeenNs: Float64Array;
  readonly firstSeenUs: Float64Array;
  readonly lastNs: Float64Array;
  /** Of what came after the END; not compared with other events' times. */
  readonly lateNs: Float64Array;
  /** Added since the last record. */
  readonly bytesIn: Float64Array;
  readonly bytesOut: Float64Array;
  readonly packetsIn: Float64Array;
  readonly packetsOut: Float64Array;
  readonly attempts: Uint32Array;
  readonly identity: Uint32Array;
  readonly flags: Uint8Array;
  readonly verdict: Uint8Array;
  readonly tcpFlags: Uint8Array;
  // Cumulative, as the last event said.
  readonly #toldUs: Float64Array;
  readonly #bytesInTotal: Float64Array;
  readonly #bytesOutTotal: Float64Array;
  readonly #packetsInTotal: Uint32Array;
  readonly #packetsOutTotal: Uint32Array;
  readonly #rule: Uint32Array;
  readonly #policyVersion: Uint32Array;
  readonly #pid: Uint32Array;
  readonly #kind: Uint8Array;
  readonly #reason: Uint8Array;
  readonly #mode: Uint8Array;
  readonly #direction: Uint8Array;
  readonly #servicePort: Uint16Array;
  readonly #comm: Uint32Array;
  readonly #names: ({ a: number; b: number; c: number; d: number; text: string } | undefined)[] = new Array(NAMES_KEPT);

  constructor(capacity: number) {
    const f64 = () => new Float64Array(capacity);
    const u32 = () => new Uint32Array(capacity);
    const u8 = () => new Uint8Array(capacity);
    [this.state, this.flags, this.verdict, this.tcpFlags] = [u8(), u8(), u8(), u8()];
    [this.#kind, this.#reason, this.#mode, this.#direction] = [u8(), u8(), u8(), u8()];
    [this.firstSeenNs, this.firstSeenUs, this.lastNs] = [f64(), f64(), f64()];
    [this.lateNs, this.#toldUs] = [f64(), f64()];
    [this.bytesIn, this.bytesOut, this.packetsIn, this.packetsOut] = [f64(), f64(), f64(), f64()];
    [this.#bytesInTotal, this.#bytesOutTotal] = [f64(), f64()];
    [this.#packetsInTotal, this.#packetsOutTotal] = [u32(), u32()];
    [this.attempts, this.identity] = [u32(), u32()];
    [this.#rule, this.#policyVersion, this.#pid] = [u32(), u32(), u32()];
    this.#servicePort = new Uint16Array(capacity);
    this.#comm = new Uint32Array(capacity * 4);
  }

  /** Forgets what stood in the row; its state too. */
  clear(row: number): void {
    this.state[row] = 0;
    this.lastNs[row] = 0;
    this.lateNs[row] = 0;
    this.#toldUs[row] = 0;
    this.tcpFlags[row] = 0;
    this.#bytesInTotal[row] = 0;
    this.#bytesOutTotal[row] = 0;
    this.#packetsInTotal[row] = 0;
    this.#packetsOutTotal[row] = 0;
    this.#pid[row] = 0;
    this.#comm.fill(0, row * 4, row * 4 + 4);
    this.clearDeltas(row);
  }

  /** After a record left. */
  clearDeltas(row: number): void {
    this.bytesIn[row] = 0;
    this.bytesOut[row] = 0;
    this.packetsIn[row] = 0;
    this.packetsOut[row] = 0;
    this.attempts[row] = 0;
  }

  /**
   * Until when a record tells of the connection, microseconds: `seenUs`, but later than the record before. Packets are timed by a clock that
   * stands still for a tick, and two records of one connection that end alike would pass for one that came twice.
   */
  tellUntil(row: number, seenUs: number): number {
    const us = Math.max(seenUs, (this.#toldUs[row] as number) + 1);
    this.#toldUs[row] = us;
    return us;
  }

  /** What the event says was counted before this row. */
  setBaseline(row: number, words: Uint32Array, w: number): void {
    this.#bytesInTotal[row] = u64(words, w + WORD.bytesIn);
    this.#bytesOutTotal[row] = u64(words, w + WORD.bytesOut);
    this.#packetsInTotal[row] = words[w + WORD.packetsIn] as number;
    this.#packetsOutTotal[row] = words[w + WORD.packetsOut] as number;
  }

  /** Adds what the event counted more than the one before; whether that was anything. Packet counters wrap at 2^32. */
  addCounters(row: number, words: Uint32Array, w: number): boolean {
    const bytesIn = u64(words, w + WORD.bytesIn) - (this.#bytesInTotal[row] as number);
    const bytesOut = u64(words, w + WORD.bytesOut) - (this.#bytesOutTotal[row] as number);
    const packetsIn = wrappingStep(this.#packetsInTotal[row] as number, words[w + WORD.packetsIn] as number);
    const packetsOut = wrappingStep(this.#packetsOutTotal[row] as number, words[w + WORD.packetsOut] as number);
    add(this.bytesIn, row, advance(this.#bytesInTotal, row, bytesIn));
    add(this.bytesOut, row, advance(this.#bytesOutTotal, row, bytesOut));
    add(this.packetsIn, row, advance(this.#packetsInTotal, row, packetsIn));
    add(this.packetsOut, row, advance(this.#packetsOutTotal, row, packetsOut));
    return packetsIn > 0 || packetsOut > 0 || bytesIn > 0 || bytesOut > 0;
  }

  /** Adds the counters of an event that says only what came after the one before (RF_EVENT_LATE). */
  addLate(row: number, words: Uint32Array, w: number): void {
    add(this.bytesIn, row, u64(words, w + WORD.bytesIn));
    add(this.bytesOut, row, u64(words, w + WORD.bytesOut));
    add(this.packetsIn, row, words[w + WORD.packetsIn] as number);
    add(this.packetsOut, row, words[w + WORD.packetsOut] as number);
  }

  /** Adds the attempts that a deny stands for. Its counters are its own, not cumulative. */
  addAttempts(row: number, words: Uint32Array, bytes: Uint8Array, w: number, b: number): void {
    this.attempts[row] = (this.attempts[row] as number) + Math.max(1, u16le(bytes, b + BYTE.attempts));
    add(this.bytesIn, row, u64(words, w + WORD.bytesIn));
    add(this.bytesOut, row, u64(words, w + WORD.bytesOut));
    add(this.packetsIn, row, words[w + WORD.packetsIn] as number);
    add(this.packetsOut, row, words[w + WORD.packetsOut] as number);
  }

  /** Whether the event was decided otherwise than what the row holds. */
  differs(row: number, words: Uint32Array, bytes: Uint8Array, w: number, b: number): boolean {
    return (
      this.verdict[row] !== bytes[b + BYTE.verdict] ||
      this.#reason[row] !== bytes[b + BYTE.reason] ||
      this.#mode[row] !== bytes[b + BYTE.mode] ||
      this.#rule[row] !== words[w + WORD.rule] ||
      this.#policyVersion[row] !== words[w + WORD.policyVersion]
    );
  }

  /** Takes over everything of the event that is not a counter. */
  takeDecision(row: number, words: Uint32Array, bytes: Uint8Array, w: number, b: number): void {
    this.#kind[row] = bytes[b + BYTE.kind] as number;
    this.verdict[row] = bytes[b + BYTE.verdict] as number;
    this.#reason[row] = bytes[b + BYTE.reason] as number;
    this.#mode[row] = bytes[b + BYTE.mode] as number;
    this.#direction[row] = bytes[b + BYTE.direction] as number;
    this.tcpFlags[row] = (this.tcpFlags[row] as number) | (bytes[b + BYTE.tcpFlags] as number);
    this.flags[row] = bytes[b + BYTE.flags] as number;
    this.identity[row] = words[w + WORD.peerIdentity] as number;
    this.#rule[row] = words[w + WORD.rule] as number;
    this.#policyVersion[row] = words[w + WORD.policyVersion] as number;
    const port = b + BYTE.servicePort;
    this.#servicePort[row] = ((bytes[port] as number) << 8) | (bytes[port + 1] as number);
    // The process is often known only after the first packet; a later event without one does not unname it.
    if (words[w + WORD.pid] !== 0) this.#pid[row] = words[w + WORD.pid] as number;
    if (bytes[b + BYTE.comm] !== 0) {
      for (let i = 0; i < 4; i++) this.#comm[row * 4 + i] = words[w + WORD.comm + i] as number;
    }
  }

  /** The process's name up to its first NUL, replacing what is no UTF-8. Names repeat: the last few hundred are kept decoded. */
  processName(row: number, scratch: Buffer): string {
    const w = row * 4;
    const a = this.#comm[w] as number;
    const b = this.#comm[w + 1] as number;
    const c = this.#comm[w + 2] as number;
    const d = this.#comm[w + 3] as number;
    if ((a & 0xff) === 0) return '';
    const slot = ((a ^ Math.imul(b, 31) ^ Math.imul(c, 17) ^ d) >>> 0) % NAMES_KEPT;
    const kept = this.#names[slot];
    if (kept && kept.a === a && kept.b === b && kept.c === c && kept.d === d) return kept.text;
    scratch.set(new Uint8Array(this.#comm.buffer, row * 16, 16));
    const end = scratch.indexOf(0);
    const text = scratch.toString('utf8', 0, end < 0 ? 16 : end);
    this.#names[slot] = { a, b, c, d, text };
    return text;
  }

  /** Writes the columns that need nothing but the row into row `at` of the builder. */
  writeTo(row: number, builder: RecordBatchBuilder, at: number): void {
    const c = builder.columns;
    putLong(c.firstSeenUs, at, this.firstSeenUs[row] as number);
    putLong(c.bytesIn, at, this.bytesIn[row] as number);
    putLong(c.bytesOut, at, this.bytesOut[row] as number);
    putLong(c.packetsIn, at, this.packetsIn[row] as number);
    putLong(c.packetsOut, at, this.packetsOut[row] as number);
    c.direction[at] = this.#direction[row] as number;
    c.verdict[at] = this.verdict[row] as number;
    c.reason[at] = this.#reason[row] as number;
    c.mode[at] = this.#mode[row] as number;
    c.kind[at] = this.#kind[row] as number;
    c.tcpFlags[at] = this.tcpFlags[row] as number;
    c.rule[at] = this.#rule[row] as number;
    c.policyVersion[at] = this.#policyVersion[row] as number;
    c.remoteIdentity[at] = this.identity[row] as number;
    c.attempts[at] = Math.max(1, this.attempts[row] as number);
    c.pid[at] = this.#pid[row] as number;
    c.servicePort[at] = this.#servicePort[row] as number;
  }
}

function add(column: Float64Array, row: number, amount: number): void {
  column[row] = (column[row] as number) + amount;
}

/**
 * Moves a total on by what an event adds, and says how much that was. Totals never go back: events of one coarse clock tick
 * reach us in any order, and an older one must neither take away nor be counted again with the next.
 */
function advance(totals: Float64Array | Uint32Array, row: number, step: number): number {
  if (step <= 0) return 0;
  totals[row] = (totals[row] as number) + step;
  return step;
}

/** How far a 32-bit counter that wraps went from total to value; more than half its range is a step back from a newer total. */
function wrappingStep(total: number, value: number): number {
  return total === 0 ? value : (value - total) | 0;
}
