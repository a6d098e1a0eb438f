// One row per connection from what both of its hosts report. Pure: time comes with the calls, rows leave through `drain`.
//
// Records are taken in any order. One that continues a side that is held adds to it; else it looks for the other side; else it waits.
// What changed is written anew, as a row that takes the place of the one before.
//
//   near ──┐                    ┌─ both, translated ──(another fits as well)──► apart again, far side contested
//          ├─(the other comes)──┤
//   far ───┘                    └─ both, proven
//   far, translated, nobody came for settleMs ──► told by now: paired │ given up in favour of a near one │ stays as it is
//
// An entry that nobody reports on leaves after windowMs, a complete one after lingerMs; its row stays.
import { Confidence, Direction, EventKind, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { ClockOffsets } from './clocks.js';
import { Entries, Flag } from './entries.js';
import { Fit, sameAddress } from './fit.js';
import { commonHash, offerHash, pairHash, recordHash } from './keys.js';
import { Matcher } from './matcher.js';
import { Settling } from './settling.js';
import {
  FAR,
  NEAR,
  type Observations,
  type Side,
  STITCH_DEFAULTS,
  type StitchCounters,
  type StitchOptions,
  type StitchPorts,
} from './types.js';
import type { Views } from './views.js';

/** First packets of one side's reports differ by no more: an agent that starts anew reads its clocks anew. */
const SAME_START_US = 10_000;
/** Between what leaves and the first answer to it. */
const ALIAS_US = 2_000_000;
/** How far sides are named that may be another's. */
const OPEN: ReadonlySet<number> = new Set([Confidence.CONFIDENCE_SHARED, Confidence.CONFIDENCE_UNKNOWN]);
const FINAL: ReadonlySet<number> = new Set([EventKind.EVENT_KIND_END, EventKind.EVENT_KIND_DENY]);

export class Stitcher {
  readonly counters: StitchCounters = {
    records: 0,
    stitched: 0,
    duplicates: 0,
    discarded: 0,
    overflowed: 0,
    contested: 0,
  };
  readonly #options: StitchOptions;
  readonly #entries: Entries;
  readonly #views: Views;
  readonly #clocks = new ClockOffsets();
  readonly #matcher: Matcher;
  readonly #settling: Settling;
  readonly #hosts = new Map<string, number>();
  #changed: number[] = [];
  #removed: number[] = [];

  constructor(ports: StitchPorts, options: Partial<StitchOptions> = {}) {
    this.#options = { ...STITCH_DEFAULTS, ...options };
    this.#entries = new Entries(this.#options.entriesMax);
    this.#views = this.#entries.views;
    const host = (hostId: string) => this.#host(hostId);
    this.#matcher = new Matcher(this.#entries, ports, this.#clocks, host, this.#options.skewUs);
    this.#settling = new Settling(this.#entries, ports, host, this.#clocks);
  }

  /** Connections held. */
  get size(): number {
    return this.#entries.size;
  }

  /** Where rows are read from: see row.ts. */
  get entries(): Entries {
    return this.#entries;
  }

  /**
   * Takes records from..to. At most half of entriesMax may be taken between two drains. `nowMs` is the time of arrival by a clock
   * that does not go back.
   */
  take(records: Observations, from: number, to: number, nowMs: number): void {
    const [localIp, remoteIp] = [wordsOf(records.localIp), wordsOf(records.remoteIp)];
    for (let i = from; i < to; i += 1) this.#takeOne(records, i, localIp, remoteIp, nowMs);
  }

  /** Lets go of what has waited long enough, and settles what arrived long enough ago. Call now and then, and drain afterwards. */
  expire(nowMs: number): void {
    for (;;) {
      const entry = this.#settling.due(nowMs - this.#options.settleMs);
      if (entry < 0) break;
      this.#settle(entry, nowMs);
    }
    for (const [lane, ageMs] of [
      [0, this.#options.windowMs],
      [1, this.#options.lingerMs],
    ] as const) {
      for (let e = this.#entries.queue.oldest(lane); e >= 0; e = this.#entries.queue.oldest(lane)) {
        if (nowMs - (this.#entries.touchedMs[e] as number) < ageMs || this.#entries.has(e, Flag.changed)) break;
        this.#release(e);
      }
    }
  }

  /**
   * Calls `write` for each entry whose row is new or has changed: it writes the row and returns its id. `before` is the id of the row
   * that it takes the place of, 0 for none. `remove` gets ids of rows that nothing takes the place of.
   */
  drain(write: (entry: number, before: number) => number, remove: (id: number) => void): void {
    const { rowId } = this.#entries;
    for (const entry of this.#changed) {
      if (!this.#entries.has(entry, Flag.changed)) continue;
      this.#entries.unset(entry, Flag.changed);
      rowId[entry] = write(entry, rowId[entry] as number);
    }
    for (const id of this.#removed) remove(id);
    this.#changed = [];
    this.#removed = [];
  }

  /** A row that is stored already, as it was written: side by side as records, 0 to 1 of each. */
  restore(
    rowId: number,
    near: Observations | undefined,
    far: Observations | undefined,
    i: number,
    nowMs: number,
  ): void {
    let entry = -1;
    for (const [side, records] of [
      [NEAR, near],
      [FAR, far],
    ] as const) {
      if (records === undefined) continue;
      const [localIp, remoteIp] = [wordsOf(records.localIp), wordsOf(records.remoteIp)];
      const fresh = this.#fresh(side, records, i, localIp, remoteIp, nowMs);
      if (entry >= 0) this.#join(entry, fresh, side, Fit.proven);
      else entry = fresh;
    }
    if (entry < 0) return;
    this.#entries.rowId[entry] = rowId;
    this.#touch(entry, nowMs);
    if (far !== undefined && near === undefined) this.#settling.add(entry, nowMs);
  }

  /** Forgets everything that is held; rows stay as they are. */
  clear(): void {
    for (const lane of [0, 1] as const) {
      for (let e = this.#entries.queue.oldest(lane); e >= 0; e = this.#entries.queue.oldest(lane)) this.#release(e);
    }
    this.#changed = [];
    this.#removed = [];
  }

  #takeOne(records: Observations, i: number, localIp: Uint32Array, remoteIp: Uint32Array, nowMs: number): void {
    this.counters.records += 1;
    const { own } = this.#entries;
    const side = sideOf(records, i);
    const hash = recordHash(side, this.#host(hostOf(records, i)), records, i, localIp, remoteIp);
    let sibling = -1;
    for (let slot = own.first(hash); slot >= 0; slot = own.after(slot, hash)) {
      if (!this.#continues(slot, side, records, i, localIp, remoteIp)) continue;
      if (!this.#views.sameDecision(slot, records, i)) {
        if (sibling < 0) sibling = slot >> 1;
        continue;
      }
      if (this.#views.knows(slot, records, i)) {
        this.counters.duplicates += 1;
        return;
      }
      this.#add(slot, side, records, i, nowMs);
      return;
    }
    const alias = side === NEAR ? this.#aliasOf(records, i, localIp, remoteIp) : -1;
    if (alias >= 0) {
      this.#addAlias(alias, records, i, localIp, remoteIp, nowMs);
      return;
    }
    const entry = this.#fresh(side, records, i, localIp, remoteIp, nowMs);
    if (sibling >= 0 && this.#follow(entry, sibling, side, nowMs)) return;
    if (this.#pairUp(entry, side, nowMs)) return;
    this.#change(entry);
    this.#touch(entry, nowMs);
    if (side === FAR) this.#settling.add(entry, nowMs);
  }

  /** The slot's side of the slot's connection, however decided. */
  #continues(
    slot: number,
    side: Side,
    records: Observations,
    i: number,
    localIp: Uint32Array,
    remoteIp: Uint32Array,
  ): boolean {
    const { c, ends, reporters } = this.#views;
    if ((slot & 1) !== side || this.#entries.protocol[slot >> 1] !== records.protocol[i]) return false;
    if (c.localPort[slot] !== records.localPort[i] || c.remotePort[slot] !== records.remotePort[i]) return false;
    for (let w = 0; w < 4; w += 1) {
      if (c.localIp[4 * slot + w] !== localIp[4 * i + w] || c.remoteIp[4 * slot + w] !== remoteIp[4 * i + w])
        return false;
    }
    if (reporters[slot] !== hostOf(records, i)) return false;
    if (ends[slot]?.workloadId !== records.ends[records.local[i] as number]?.workloadId) return false;
    // Refused attempts are reported by the second, and a cut when it happens, each with a beginning of its own.
    const denied = c.kind[slot] === EventKind.EVENT_KIND_DENY && records.kind[i] === EventKind.EVENT_KIND_DENY;
    const cut = records.reason[i] === Reason.REASON_REVOKED;
    const apartUs = Math.abs((c.firstSeenUs[slot] as number) - (records.firstSeenUs[i] as number));
    return denied || cut || apartUs <= SAME_START_US;
  }

  /**
   * A host's own process that calls a port which its host translates is seen twice by its agent: as it leaves, translated, and as answers
   * come, with the address that the process called. The entry whose near side is the other one of the two, -1 for none.
   */
  #aliasOf(records: Observations, i: number, localIp: Uint32Array, remoteIp: Uint32Array): number {
    const entries = this.#entries;
    const { c, ends, remotes, reporters } = this.#views;
    const remote = records.ends[records.remote[i] as number];
    if (remote === undefined || remote.workloadId === '') return -1;
    const protocol = records.protocol[i] as number;
    const mapped = records.confidence[i] === Confidence.CONFIDENCE_MAPPED;
    const hash = commonHash(this.#host(remote.hostId), records.localPort[i] as number, protocol);
    for (let entry = entries.pair.first(hash); entry >= 0; entry = entries.pair.after(entry, hash)) {
      const slot = 2 * entry + NEAR;
      if (!entries.hasSide(entry, NEAR) || entries.protocol[entry] !== protocol) continue;
      if ((c.confidence[slot] === Confidence.CONFIDENCE_MAPPED) === mapped) continue;
      const same =
        c.localPort[slot] === records.localPort[i] &&
        c.servicePort[slot] === records.servicePort[i] &&
        remotes[slot]?.workloadId === remote.workloadId &&
        ends[slot]?.workloadId === records.ends[records.local[i] as number]?.workloadId &&
        reporters[slot] === hostOf(records, i) &&
        sameAddress(c.localIp, slot, localIp, i) &&
        !sameAddress(c.remoteIp, slot, remoteIp, i) &&
        Math.abs((c.firstSeenUs[slot] as number) - (records.firstSeenUs[i] as number)) <= ALIAS_US;
      if (same) return entry;
    }
    return -1;
  }

  /** What was observed by the translated address stands in the slot; the other one adds to it. */
  #addAlias(
    entry: number,
    records: Observations,
    i: number,
    localIp: Uint32Array,
    remoteIp: Uint32Array,
    nowMs: number,
  ): void {
    const slot = 2 * entry + NEAR;
    const { own } = this.#entries;
    if (this.#views.knows(slot, records, i, true)) {
      this.counters.duplicates += 1;
      return;
    }
    if (this.#views.c.confidence[slot] === Confidence.CONFIDENCE_MAPPED) {
      this.#views.takeOver(slot, records, i, localIp, remoteIp);
      own.remove(slot);
      own.add(slot, recordHash(NEAR, this.#host(hostOf(records, i)), records, i, localIp, remoteIp));
    } else this.#views.addAlias(slot, records, i);
    if (FINAL.has(records.kind[i] as number)) this.#entries.set(entry, Flag.ended << NEAR);
    if (!this.#entries.hasSide(entry, FAR) && this.#pairUp(entry, NEAR, nowMs)) return;
    this.#change(entry);
    this.#touch(entry, nowMs);
  }

  /**
   * The connection of `before` was decided anew at this side: what it does from now on is a row of its own, in which the other side goes
   * on. False when the other side is not known.
   */
  #follow(entry: number, before: number, side: Side, nowMs: number): boolean {
    const entries = this.#entries;
    const other = side === NEAR ? FAR : NEAR;
    if (!entries.hasSide(before, other)) return false;
    const [from, to] = [2 * before + other, 2 * entry + other];
    this.#views.copy(from, to);
    this.#views.beginRow(to);
    entries.own.add(to, entries.own.hashOf(from));
    entries.set(entry, (Flag.present << other) | Flag.proven);
    if (entries.has(before, Flag.ended << other)) entries.set(entry, Flag.ended << other);
    this.#withdraw(entry);
    this.#change(entry);
    this.#touch(entry, nowMs);
    return true;
  }

  #add(slot: number, side: Side, records: Observations, i: number, nowMs: number): void {
    const entry = slot >> 1;
    const { c } = this.#views;
    const long = (records.lastSeenUs[i] as number) - (c.rowFromUs[slot] as number) > this.#options.spanUs;
    const waits = this.#entries.has(entry, Flag.changed | (Flag.ended << NEAR) | (Flag.ended << FAR));
    if (long && !waits && this.#entries.rowId[entry] !== 0) {
      this.#views.beginRow(2 * entry + NEAR);
      this.#views.beginRow(2 * entry + FAR);
      this.#entries.rowId[entry] = 0;
    }
    this.#views.add(slot, records, i);
    if (FINAL.has(records.kind[i] as number)) this.#entries.set(entry, Flag.ended << side);
    this.#change(entry);
    this.#touch(entry, nowMs);
  }

  /** An entry with one side, in its chains. */
  #fresh(
    side: Side,
    records: Observations,
    i: number,
    localIp: Uint32Array,
    remoteIp: Uint32Array,
    nowMs: number,
  ): number {
    const entries = this.#entries;
    const entry = this.#open(nowMs);
    const slot = 2 * entry + side;
    entries.protocol[entry] = records.protocol[i] as number;
    this.#views.take(slot, records, i, localIp, remoteIp);
    entries.set(entry, Flag.present << side);
    if (FINAL.has(records.kind[i] as number)) entries.set(entry, Flag.ended << side);
    entries.own.add(slot, recordHash(side, this.#host(hostOf(records, i)), records, i, localIp, remoteIp));
    entries.pair.add(entry, this.#pairHash(entry, side));
    if (side === NEAR) this.#offer(entry);
    return entry;
  }

  /** Looks for the other side of an entry that has one; true when it has joined another entry. */
  #pairUp(entry: number, side: Side, nowMs: number, waited = false): boolean {
    const match = this.#matcher.find(entry, side, this.#pairHash(entry, side), waited);
    const { apart, entry: joined, fit } = match;
    if (match.contested) {
      if (apart >= 0) {
        this.counters.contested += 1;
        this.#entries.set(this.#split(apart, nowMs), Flag.contested);
      } else if (side === FAR) this.#entries.set(entry, Flag.contested);
      return false;
    }
    if (side === NEAR && match.doubtful >= 0) this.#settling.add(match.doubtful, nowMs);
    if (joined < 0) return false;
    let other = joined;
    if (apart >= 0) {
      // The new side takes the place of one of the same side, which goes its own way.
      const far = this.#split(apart, nowMs);
      if (side === NEAR) other = far;
    }
    this.#join(other, entry, side, fit);
    this.counters.stitched += 1;
    this.#learn(other);
    this.#change(other);
    this.#touch(other, nowMs);
    return true;
  }

  /** Moves the only side of `from` into `entry`, which lacks it. */
  #join(entry: number, from: number, side: Side, fit: Fit): void {
    const entries = this.#entries;
    const slot = 2 * from + side;
    const hash = entries.own.hashOf(slot);
    this.#views.copy(slot, 2 * entry + side);
    if (entries.has(from, Flag.ended << side)) entries.set(entry, Flag.ended << side);
    if (entries.rowId[from] !== 0) this.#removed.push(entries.rowId[from] as number);
    this.#release(from);
    entries.set(entry, (Flag.present << side) | (fit === Fit.proven ? Flag.proven : 0));
    entries.unset(entry, Flag.contested);
    entries.own.add(2 * entry + side, hash);
    this.#withdraw(entry);
  }

  /** The far side gets an entry of its own, which is returned. */
  #split(entry: number, nowMs: number): number {
    const entries = this.#entries;
    this.#touch(entry, nowMs);
    const alone = this.#open(nowMs);
    const slot = 2 * entry + FAR;
    const hash = entries.own.hashOf(slot);
    entries.own.remove(slot);
    this.#views.copy(slot, 2 * alone + FAR);
    this.#views.clear(slot);
    entries.protocol[alone] = entries.protocol[entry] as number;
    entries.createdMs[alone] = entries.createdMs[entry] as number;
    entries.set(alone, Flag.present << FAR);
    if (entries.has(entry, Flag.ended << FAR)) entries.set(alone, Flag.ended << FAR);
    entries.unset(entry, (Flag.present << FAR) | (Flag.ended << FAR) | Flag.proven);
    entries.own.add(2 * alone + FAR, hash);
    entries.pair.add(alone, this.#pairHash(alone, FAR));
    this.#offer(entry);
    for (const each of [entry, alone]) {
      this.#change(each);
      this.#touch(each, nowMs);
    }
    this.#settling.add(alone, nowMs);
    return alone;
  }

  /** A far side that has been alone for settleMs. */
  #settle(entry: number, nowMs: number): void {
    const told = this.#settling.ask(entry);
    if (told) {
      this.#entries.unset(entry, Flag.contested);
      this.#entries.pair.remove(entry);
      this.#entries.pair.add(entry, this.#pairHash(entry, FAR));
      this.#change(entry);
    }
    if (this.#pairUp(entry, FAR, nowMs, true) || told) return;
    const { confidence, told: named } = this.#views.c;
    const open = named[2 * entry + FAR] === 0 && OPEN.has(confidence[2 * entry + FAR] as number);
    // What was refused here is nowhere else on record: it stays, with a source that is not known.
    if (!open || this.#views.c.verdict[2 * entry + FAR] !== Verdict.VERDICT_ALLOWED) return;
    const near = this.#settling.favourite(entry);
    if (near < 0) return;
    this.#entries.set(near, Flag.favoured);
    this.#entries.set(entry, Flag.discarded);
    this.counters.discarded += 1;
    if (this.#entries.rowId[entry] !== 0) this.#removed.push(this.#entries.rowId[entry] as number);
    this.#entries.rowId[entry] = 0;
    this.#entries.unset(entry, Flag.changed);
  }

  #learn(entry: number): void {
    const { c, reporters } = this.#views;
    const [near, far] = [2 * entry + NEAR, 2 * entry + FAR];
    const differenceUs = (c.firstSeenUs[far] as number) - (c.firstSeenUs[near] as number);
    // A connection that an agent found open begins, for it, when it looked.
    if (Math.abs(differenceUs) > 2 * this.#options.skewUs) return;
    this.#clocks.learn(this.#host(reporters[near] ?? ''), this.#host(reporters[far] ?? ''), differenceUs);
  }

  #offer(entry: number): void {
    const hash = offerHash(this.#entries, entry, (hostId) => this.#host(hostId));
    if (hash < 0) return;
    this.#entries.set(entry, Flag.offered);
    this.#entries.offered.add(entry, hash);
  }

  #withdraw(entry: number): void {
    if (!this.#entries.has(entry, Flag.offered)) return;
    this.#entries.offered.remove(entry);
    this.#entries.unset(entry, Flag.offered);
  }

  #pairHash(entry: number, side: Side): number {
    return pairHash(this.#entries, entry, side, (hostId) => this.#host(hostId));
  }

  #change(entry: number): void {
    if (this.#entries.has(entry, Flag.changed | Flag.discarded)) return;
    this.#entries.set(entry, Flag.changed);
    this.#changed.push(entry);
  }

  #touch(entry: number, nowMs: number): void {
    this.#entries.touchedMs[entry] = nowMs;
    this.#entries.queue.touch(entry, this.#complete(entry) ? 1 : 0);
  }

  /** Nothing more is to come. */
  #complete(entry: number): boolean {
    const entries = this.#entries;
    const [near, far] = [entries.hasSide(entry, NEAR), entries.hasSide(entry, FAR)];
    if (near && !entries.has(entry, Flag.ended << NEAR)) return false;
    if (far && !entries.has(entry, Flag.ended << FAR)) return false;
    if (near && far) return true;
    if (far) return false;
    const { c, remotes } = this.#views;
    return c.verdict[2 * entry] === Verdict.VERDICT_BLOCKED || remotes[2 * entry]?.hostId === '';
  }

  #open(nowMs: number): number {
    const free = this.#entries.open(nowMs);
    if (free >= 0) return free;
    const { queue } = this.#entries;
    const done = queue.oldest(1);
    const victim = done >= 0 && !this.#entries.has(done, Flag.changed) ? done : queue.oldest(0);
    if (victim < 0 || this.#entries.has(victim, Flag.changed))
      throw new RangeError(
        `Cannot hold another connection: found ${this.#entries.size} that are not written, wanted a drain`,
      );
    if (victim !== done) this.counters.overflowed += 1;
    this.#release(victim);
    return this.#entries.open(nowMs);
  }

  #release(entry: number): void {
    const entries = this.#entries;
    for (const side of [NEAR, FAR] as const) if (entries.hasSide(entry, side)) entries.own.remove(2 * entry + side);
    entries.pair.remove(entry);
    this.#withdraw(entry);
    entries.release(entry);
  }

  #host(hostId: string): number {
    let number = this.#hosts.get(hostId);
    if (number === undefined) {
      number = this.#hosts.size + 1;
      this.#hosts.set(hostId, number);
    }
    return number;
  }
}

function sideOf(records: Observations, i: number): Side {
  return records.direction[i] === Direction.DIRECTION_INBOUND ? FAR : NEAR;
}

function hostOf(records: Observations, i: number): string {
  return records.strings[records.reporter[i] as number] ?? '';
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}
