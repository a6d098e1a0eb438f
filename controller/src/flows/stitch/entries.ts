// Connections that are held: where their slots are found again, which of them changed, and when they go.
import { Chains } from './chains.js';
import { TouchQueue } from './queue.js';
import { FAR, NEAR, type Side } from './types.js';
import { Views } from './views.js';

/** Bits of an entry's flags; a side's own are shifted left by the side. */
export const Flag = {
  present: 1,
  ended: 4,
  changed: 16,
  /** Nobody else can be the other side. */
  proven: 32,
  /** The far side fits several near ones that cannot be told apart. */
  contested: 64,
  /** A far side was given up in favour of this near one. */
  favoured: 128,
  /** Given up: its reports are counted, not written. */
  discarded: 256,
  /** Among those that a far side may be given up for. */
  offered: 512,
  used: 1024,
  /** In the pair chain: of a near side that calls somebody whom no agent reports for, nobody looks for the other one. */
  paired: 2048,
  /** One side alone: its other one is held, and has come to a later row. */
  behind: 4096,
} as const;

const FIRST_ENTRIES = 1024;

export class Entries {
  readonly views: Views;
  /** By side: the exact tuple as that side saw it. */
  readonly own: Chains;
  /** By what both sides have in common. */
  readonly pair: Chains;
  /** Near sides alone, by whom they call. */
  readonly offered: Chains;
  readonly queue: TouchQueue;
  flags: Uint16Array;
  protocol: Uint8Array;
  /** Id of the row that stands for the entry; 0: none is written yet. */
  rowId: Float64Array;
  touchedMs: Float64Array;
  createdMs: Float64Array;
  readonly #max: number;
  #capacity: number;
  #free: number[] = [];
  #size = 0;

  constructor(max: number) {
    this.#max = max;
    const capacity = Math.min(max, FIRST_ENTRIES);
    this.#capacity = capacity;
    this.views = new Views(2 * capacity);
    this.own = new Chains(2 * capacity);
    this.pair = new Chains(capacity);
    this.offered = new Chains(capacity);
    this.queue = new TouchQueue(capacity);
    this.flags = new Uint16Array(capacity);
    this.protocol = new Uint8Array(capacity);
    this.rowId = new Float64Array(capacity);
    this.touchedMs = new Float64Array(capacity);
    this.createdMs = new Float64Array(capacity);
    this.#addFree(0, capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** Entries that there is memory for. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Bytes of the columns that there is memory for; chains and references beside. */
  get bytes(): number {
    const columns = [this.views.c.all, this.flags, this.protocol, this.rowId, this.touchedMs, this.createdMs];
    return columns.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  has(entry: number, flag: number): boolean {
    return ((this.flags[entry] as number) & flag) !== 0;
  }

  set(entry: number, flag: number): void {
    this.flags[entry] = (this.flags[entry] as number) | flag;
  }

  unset(entry: number, flag: number): void {
    this.flags[entry] = (this.flags[entry] as number) & ~flag;
  }

  hasSide(entry: number, side: Side): boolean {
    return this.has(entry, Flag.present << side);
  }

  /** A new entry without sides; -1: no room. */
  open(nowMs: number): number {
    if (this.#free.length === 0) this.#grow();
    const entry = this.#free.pop();
    if (entry === undefined) return -1;
    this.#size += 1;
    this.flags[entry] = Flag.used;
    this.rowId[entry] = 0;
    this.touchedMs[entry] = nowMs;
    this.createdMs[entry] = nowMs;
    return entry;
  }

  /** Gives the entry back; it must be in no chain any more. */
  release(entry: number): void {
    this.queue.remove(entry);
    this.views.clear(2 * entry + NEAR);
    this.views.clear(2 * entry + FAR);
    this.flags[entry] = 0;
    this.#free.push(entry);
    this.#size -= 1;
  }

  #grow(): void {
    const capacity = Math.min(this.#max, 2 * this.#capacity);
    if (capacity === this.#capacity) return;
    const { flags } = this;
    const inChain = (bit: number) => (entry: number) => ((flags[entry] as number) & bit) !== 0;
    this.own.grow(2 * capacity, (slot) => ((flags[slot >> 1] as number) & (Flag.present << (slot & 1))) !== 0);
    this.pair.grow(capacity, inChain(Flag.paired));
    this.offered.grow(capacity, inChain(Flag.offered));
    this.queue.grow(capacity);
    this.views.grow(2 * capacity);
    this.flags = grown(new Uint16Array(capacity), this.flags);
    this.protocol = grown(new Uint8Array(capacity), this.protocol);
    this.rowId = grown(new Float64Array(capacity), this.rowId);
    this.touchedMs = grown(new Float64Array(capacity), this.touchedMs);
    this.createdMs = grown(new Float64Array(capacity), this.createdMs);
    this.#addFree(this.#capacity, capacity);
    this.#capacity = capacity;
  }

  #addFree(from: number, to: number): void {
    for (let entry = to - 1; entry >= from; entry -= 1) this.#free.push(entry);
  }
}

function grown<T extends Uint8Array | Uint16Array | Float64Array>(to: T, from: T): T {
  to.set(from);
  return to;
}
