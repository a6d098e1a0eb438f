// The connections that are held, and what may be done to them: opened, joined, taken apart, absorbed, let go. Keeps the chains right, and
// who has to be written.
import { EventKind, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { Entries, Flag } from './entries.js';
import { Fit } from './fit.js';
import { offerHash, pairHash, recordHash } from './keys.js';
import { BYTES, DOUBLES } from './layout.js';
import { FAR, hostOf, NEAR, type Observations, type Side, type Words } from './types.js';

const FINAL: ReadonlySet<number> = new Set([EventKind.EVENT_KIND_END, EventKind.EVENT_KIND_DENY]);

export class Held {
  readonly entries: Entries;
  /** Entries to be written; those without the flag are not. */
  changed: number[] = [];
  /** Ids of rows that nothing takes the place of. */
  removed: number[] = [];
  /** Let go before their time, for want of room. */
  overflowed = 0;
  readonly #hosts = new Map<string, number>();
  readonly host = (hostId: string): number => {
    let number = this.#hosts.get(hostId);
    if (number === undefined) {
      number = this.#hosts.size + 1;
      this.#hosts.set(hostId, number);
    }
    return number;
  };

  constructor(entriesMax: number) {
    this.entries = new Entries(entriesMax);
  }

  /** An entry with one side, in its chains. */
  fresh(side: Side, records: Observations, i: number, words: Words, nowMs: number): number {
    const { entries } = this;
    const entry = this.#open(nowMs);
    const slot = 2 * entry + side;
    entries.protocol[entry] = records.protocol[i] as number;
    entries.views.take(slot, records, i, words);
    entries.set(entry, Flag.present << side);
    this.#noteEnd(entry, side, records, i);
    entries.own.add(slot, recordHash(side, this.host(hostOf(records, i)), records, i, words));
    this.#pair(entry, side);
    if (side === NEAR) this.#offer(entry);
    return entry;
  }

  /** A later report of a side. A row that tells of more than `spanUs` is left as it is, and another one begun: true. */
  add(slot: number, records: Observations, i: number, spanUs: number, nowMs: number): boolean {
    const { views, rowId } = this.entries;
    const entry = slot >> 1;
    const long = (records.lastSeenUs[i] as number) - (views.c.rowFromUs[DOUBLES * slot] as number) > spanUs;
    const waits = this.entries.has(entry, Flag.changed | (Flag.ended << NEAR) | (Flag.ended << FAR));
    const begins = long && !waits && rowId[entry] !== 0;
    if (begins) {
      views.beginRow(2 * entry + NEAR);
      views.beginRow(2 * entry + FAR);
      rowId[entry] = 0;
    }
    views.add(slot, records, i);
    this.#noteEnd(entry, (slot & 1) as Side, records, i);
    this.change(entry, nowMs);
    return begins;
  }

  /** What the near side was seen as under another address. `main`: this is how it leaves, and what stands in the slot from now on. */
  addAlias(entry: number, records: Observations, i: number, words: Words, main: boolean, nowMs: number): void {
    const { views, own } = this.entries;
    const slot = 2 * entry + NEAR;
    if (main) {
      views.takeOver(slot, records, i, words);
      own.remove(slot);
      own.add(slot, recordHash(NEAR, this.host(hostOf(records, i)), records, i, words));
    } else views.addAlias(slot, records, i);
    this.#noteEnd(entry, NEAR, records, i);
    this.change(entry, nowMs);
  }

  /** The near side of another entry is this one's under another address: all of that entry belongs to this one. */
  absorb(entry: number, from: number): void {
    const { views } = this.entries;
    views.sum(2 * entry + NEAR, 2 * from + NEAR);
    if (this.entries.hasSide(from, FAR)) views.sum(2 * entry + FAR, 2 * from + FAR);
    this.#remove(from);
  }

  /** Moves the only side of `from` into `entry`, which lacks it. */
  join(entry: number, from: number, side: Side, fit: Fit): void {
    const { entries } = this;
    const slot = 2 * from + side;
    const hash = entries.own.hashOf(slot);
    entries.views.copy(slot, 2 * entry + side);
    if (entries.has(from, Flag.ended << side)) entries.set(entry, Flag.ended << side);
    this.#remove(from);
    entries.set(entry, (Flag.present << side) | (fit === Fit.proven ? Flag.proven : 0));
    entries.unset(entry, Flag.contested | Flag.behind);
    entries.own.add(2 * entry + side, hash);
    this.#withdraw(entry);
  }

  /** The far side gets an entry of its own, which is returned. */
  split(entry: number, nowMs: number): number {
    const { entries } = this;
    this.touch(entry, nowMs);
    const alone = this.#open(nowMs);
    const slot = 2 * entry + FAR;
    const hash = entries.own.hashOf(slot);
    entries.own.remove(slot);
    entries.views.copy(slot, 2 * alone + FAR);
    entries.views.clear(slot);
    entries.protocol[alone] = entries.protocol[entry] as number;
    entries.createdMs[alone] = entries.createdMs[entry] as number;
    entries.set(alone, Flag.present << FAR);
    if (entries.has(entry, Flag.ended << FAR)) entries.set(alone, Flag.ended << FAR);
    entries.unset(entry, (Flag.present << FAR) | (Flag.ended << FAR) | Flag.proven);
    entries.own.add(2 * alone + FAR, hash);
    this.#pair(alone, FAR);
    this.#offer(entry);
    this.change(entry, nowMs);
    this.change(alone, nowMs);
    return alone;
  }

  /**
   * The connection of `before` was decided anew at this side: what it does from now on is a row of its own, in which the other side goes
   * on. False when the other side is not known.
   */
  follow(entry: number, before: number, side: Side, nowMs: number): boolean {
    const { entries } = this;
    const other = side === NEAR ? FAR : NEAR;
    if (!entries.hasSide(before, other)) return false;
    const [from, to] = [2 * before + other, 2 * entry + other];
    entries.views.copy(from, to);
    entries.views.beginRow(to);
    entries.own.add(to, entries.own.hashOf(from));
    entries.set(entry, (Flag.present << other) | Flag.proven);
    if (entries.has(before, Flag.ended << other)) entries.set(entry, Flag.ended << other);
    this.#withdraw(entry);
    this.change(entry, nowMs);
    return true;
  }

  /** The entry is kept, so that what comes finds it, but stands for nothing any more. */
  discard(entry: number): void {
    const { entries } = this;
    if (entries.rowId[entry] !== 0) this.removed.push(entries.rowId[entry] as number);
    entries.rowId[entry] = 0;
    entries.set(entry, Flag.discarded);
    entries.unset(entry, Flag.changed);
  }

  /** What a far side has in common with near ones is another thing now. */
  rekey(entry: number): void {
    if (this.entries.has(entry, Flag.paired)) this.entries.pair.remove(entry);
    this.#pair(entry, FAR);
  }

  pairHash(entry: number, side: Side): number {
    return pairHash(this.entries, entry, side, this.host);
  }

  /** The entry has to be written, and was heard of now. */
  change(entry: number, nowMs: number): void {
    this.touch(entry, nowMs);
    if (this.entries.has(entry, Flag.changed | Flag.discarded)) return;
    this.entries.set(entry, Flag.changed);
    this.changed.push(entry);
  }

  touch(entry: number, nowMs: number): void {
    this.entries.touchedMs[entry] = nowMs;
    this.entries.queue.touch(entry, this.#complete(entry) ? 1 : 0);
  }

  /** Its row stays as it is. */
  release(entry: number): void {
    const { entries } = this;
    for (const side of [NEAR, FAR] as const) if (entries.hasSide(entry, side)) entries.own.remove(2 * entry + side);
    if (entries.has(entry, Flag.paired)) entries.pair.remove(entry);
    this.#withdraw(entry);
    entries.release(entry);
  }

  /** With its row, if it has one. */
  #remove(entry: number): void {
    if (this.entries.rowId[entry] !== 0) this.removed.push(this.entries.rowId[entry] as number);
    this.release(entry);
  }

  #noteEnd(entry: number, side: Side, records: Observations, i: number): void {
    if (FINAL.has(records.kind[i] as number)) this.entries.set(entry, Flag.ended << side);
  }

  #pair(entry: number, side: Side): void {
    const { entries } = this;
    if (side === NEAR && (entries.views.remotes[2 * entry + NEAR]?.hostId ?? '') === '') return;
    entries.set(entry, Flag.paired);
    entries.pair.add(entry, this.pairHash(entry, side));
  }

  #offer(entry: number): void {
    const hash = offerHash(this.entries, entry, this.host);
    if (hash < 0) return;
    this.entries.set(entry, Flag.offered);
    this.entries.offered.add(entry, hash);
  }

  #withdraw(entry: number): void {
    if (!this.entries.has(entry, Flag.offered)) return;
    this.entries.offered.remove(entry);
    this.entries.unset(entry, Flag.offered);
  }

  /** Nothing more is to come. */
  #complete(entry: number): boolean {
    const { entries } = this;
    const [near, far] = [entries.hasSide(entry, NEAR), entries.hasSide(entry, FAR)];
    if (near && !entries.has(entry, Flag.ended << NEAR)) return false;
    if (far && !entries.has(entry, Flag.ended << FAR)) return false;
    if (near && far) return true;
    if (far) return false;
    const { c, remotes } = entries.views;
    return c.verdict[BYTES * (2 * entry)] === Verdict.VERDICT_BLOCKED || remotes[2 * entry]?.hostId === '';
  }

  #open(nowMs: number): number {
    const free = this.entries.open(nowMs);
    if (free >= 0) return free;
    const { queue } = this.entries;
    const done = queue.oldest(1);
    const victim = done >= 0 && !this.entries.has(done, Flag.changed) ? done : queue.oldest(0);
    if (victim < 0 || this.entries.has(victim, Flag.changed)) {
      const { size } = this.entries;
      throw new RangeError(`Cannot hold another connection: found ${size} that are not written, wanted a drain`);
    }
    if (victim !== done) this.overflowed += 1;
    this.release(victim);
    return this.entries.open(nowMs);
  }
}
