// One row per connection from what both of its hosts report. Pure: time comes with the calls, rows leave through `drain`.
//
// Records are taken in any order. One that continues a side that is held adds to it; else it looks for the other side; else it waits.
// What changed is written anew, as a row that takes the place of the one before.
//
//   near ──┐                    ┌─ both, translated ──(another fits as well)──► apart again, far side contested
//          ├─(the other comes)──┤
//   far ───┘                    └─ both, proven
//   far, nobody came for settleMs ──► told by now, or its source is certain: paired
//                                 ──► translated: given up in favour of a near one that it may belong to │ stays as it is
//
// After an absence one end's reports may come long before the other's: what is told of a time that stands in earlier rows stays in rows of
// its own end until both keep pace (behind).
//
// An entry that nobody reports on leaves after windowMs, a complete one after lingerMs; its row stays.
import { Confidence, Direction, EventKind, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { aliasesOf, isCalled } from './aliases.js';
import { ClockOffsets } from './clocks.js';
import { type Entries, Flag } from './entries.js';
import { Fit } from './fit.js';
import { Held } from './held.js';
import { recordHash } from './keys.js';
import { BYTES, DOUBLES, SHORTS, WORDS } from './layout.js';
import { Matcher } from './matcher.js';
import { Settling } from './settling.js';
import {
  FAR,
  hostOf,
  NEAR,
  type Observations,
  type Side,
  STITCH_DEFAULTS,
  type StitchCounters,
  type StitchOptions,
  type StitchPorts,
  type Words,
} from './types.js';

/** First packets of one side's reports differ by no more: an agent that starts anew reads its clocks anew. */
const SAME_START_US = 10_000;
/** How far sides are named that may be another's. */
const OPEN: ReadonlySet<number> = new Set([Confidence.CONFIDENCE_SHARED, Confidence.CONFIDENCE_UNKNOWN]);

export class Stitcher {
  readonly #counters = { records: 0, stitched: 0, duplicates: 0, discarded: 0, contested: 0 };
  readonly #options: StitchOptions;
  readonly #held: Held;
  readonly #clocks = new ClockOffsets();
  readonly #matcher: Matcher;
  readonly #settling: Settling;

  constructor(ports: StitchPorts, options: Partial<StitchOptions> = {}) {
    this.#options = { ...STITCH_DEFAULTS, ...options };
    this.#held = new Held(this.#options.entriesMax);
    const { entries, host } = this.#held;
    this.#matcher = new Matcher(entries, ports, this.#clocks, host, this.#options.skewUs);
    this.#settling = new Settling(entries, ports, host, this.#clocks, this.#options.skewUs);
  }

  get counters(): StitchCounters {
    return { ...this.#counters, overflowed: this.#held.overflowed };
  }

  /** Connections held. */
  get size(): number {
    return this.#held.entries.size;
  }

  /** Where rows are read from: see row.ts. */
  get entries(): Entries {
    return this.#held.entries;
  }

  /**
   * Takes records from..to. At most half of entriesMax may be taken between two drains. `nowMs` is the time of arrival by a clock
   * that does not go back.
   */
  take(records: Observations, from: number, to: number, nowMs: number): void {
    const words = wordsOf(records);
    for (let i = from; i < to; i += 1) this.#takeOne(records, i, words, nowMs);
  }

  /** Lets go of what has waited long enough, and settles what arrived long enough ago. Call now and then, and drain afterwards. */
  expire(nowMs: number): void {
    for (;;) {
      const entry = this.#settling.due(nowMs - this.#options.settleMs);
      if (entry < 0) break;
      this.#settle(entry, nowMs);
    }
    const { entries } = this.#held;
    for (const [lane, ageMs] of [
      [0, this.#options.windowMs],
      [1, this.#options.lingerMs],
    ] as const) {
      for (let e = entries.queue.oldest(lane); e >= 0; e = entries.queue.oldest(lane)) {
        if (nowMs - (entries.touchedMs[e] as number) < ageMs || entries.has(e, Flag.changed)) break;
        this.#held.release(e);
      }
    }
  }

  /**
   * Calls `write` for each entry whose row is new or has changed: it writes the row and returns its id. `before` is the id of the row
   * that it takes the place of, 0 for none. `remove` gets ids of rows that nothing takes the place of.
   */
  drain(write: (entry: number, before: number) => number, remove: (id: number) => void): void {
    const { entries, changed, removed } = this.#held;
    this.#held.changed = [];
    this.#held.removed = [];
    for (const entry of changed) {
      if (!entries.has(entry, Flag.changed)) continue;
      entries.unset(entry, Flag.changed);
      entries.rowId[entry] = write(entry, entries.rowId[entry] as number);
    }
    for (const id of removed) remove(id);
  }

  /** A row that is stored already: the views that it was made of, at place 0 each. */
  restore(rowId: number, near: Observations | undefined, far: Observations | undefined, nowMs: number): void {
    let entry = -1;
    for (const [side, records] of [
      [NEAR, near],
      [FAR, far],
    ] as const) {
      if (records === undefined) continue;
      const fresh = this.#held.fresh(side, records, 0, wordsOf(records), nowMs);
      // What is stored is not taken again (SequenceWindow); a row tells one end for both sides, so it would be mistaken for this one's.
      this.#held.entries.views.forgetReports(2 * fresh + side);
      if (entry >= 0) this.#held.join(entry, fresh, side, Fit.proven);
      else entry = fresh;
    }
    if (entry < 0) return;
    this.#held.entries.rowId[entry] = rowId;
    this.#held.touch(entry, nowMs);
    if (near === undefined) this.#settling.add(entry, nowMs);
  }

  /** Forgets everything that is held; rows stay as they are. */
  clear(): void {
    const { queue } = this.#held.entries;
    for (const lane of [0, 1] as const) {
      for (let e = queue.oldest(lane); e >= 0; e = queue.oldest(lane)) this.#held.release(e);
    }
    this.#held.changed = [];
    this.#held.removed = [];
  }

  #takeOne(records: Observations, i: number, words: Words, nowMs: number): void {
    this.#counters.records += 1;
    const { own, views } = this.#held.entries;
    const side = records.direction[i] === Direction.DIRECTION_INBOUND ? FAR : NEAR;
    const hash = recordHash(side, this.#held.host(hostOf(records, i)), records, i, words);
    let sibling = -1;
    for (let slot = own.first(hash); slot >= 0; slot = own.after(slot, hash)) {
      if (!this.#continues(slot, side, records, i, words)) continue;
      if (views.sameDecision(slot, records, i)) {
        if (views.knows(slot, records, i)) this.#counters.duplicates += 1;
        else if (this.#held.add(slot, records, i, this.#options.spanUs, nowMs)) this.#catchUp(slot >> 1, side, nowMs);
        return;
      }
      if (sibling < 0) sibling = slot >> 1;
    }
    if (side === NEAR && this.#takeAlias(records, i, words, nowMs)) return;
    const entry = this.#held.fresh(side, records, i, words, nowMs);
    if (sibling >= 0 && this.#held.follow(entry, sibling, side, nowMs)) return;
    if (this.#pairUp(entry, side, nowMs)) return;
    this.#held.change(entry, nowMs);
    if (side === FAR) this.#settling.add(entry, nowMs);
  }

  /** A row has begun that holds one report: the side may have come to what the other one tells by now. */
  #catchUp(entry: number, side: Side, nowMs: number): void {
    if (this.#held.entries.has(entry, Flag.behind)) this.#pairUp(entry, side, nowMs);
  }

  /** The slot's side of the slot's connection, however decided. */
  #continues(slot: number, side: Side, records: Observations, i: number, { localIp, remoteIp }: Words): boolean {
    const { entries } = this.#held;
    const { c, ends, reporters } = entries.views;
    if ((slot & 1) !== side || entries.protocol[slot >> 1] !== records.protocol[i]) return false;
    if (c.localPort[SHORTS * slot] !== records.localPort[i] || c.remotePort[SHORTS * slot] !== records.remotePort[i])
      return false;
    for (let w = 0; w < 4; w += 1) {
      if (c.localIp[WORDS * slot + w] !== localIp[4 * i + w] || c.remoteIp[WORDS * slot + w] !== remoteIp[4 * i + w])
        return false;
    }
    if (reporters[slot] !== hostOf(records, i)) return false;
    if (ends[slot]?.workloadId !== records.ends[records.local[i] as number]?.workloadId) return false;
    // Refused attempts are reported by the second, and a cut when it happens, each with a beginning of its own.
    const denied = c.kind[BYTES * slot] === EventKind.EVENT_KIND_DENY && records.kind[i] === EventKind.EVENT_KIND_DENY;
    const cut = records.reason[i] === Reason.REASON_REVOKED;
    const apartUs = Math.abs((c.firstSeenUs[DOUBLES * slot] as number) - (records.firstSeenUs[i] as number));
    return denied || cut || apartUs <= SAME_START_US;
  }

  /** Takes a near record that is a held near side under another address; false when it is none. */
  #takeAlias(records: Observations, i: number, words: Words, nowMs: number): boolean {
    const [entry, ...others] = aliasesOf(this.#held, records, i);
    if (entry === undefined) return false;
    const { entries } = this.#held;
    if (entries.views.knows(2 * entry + NEAR, records, i, true)) {
      this.#counters.duplicates += 1;
      return true;
    }
    this.#held.addAlias(entry, records, i, words, !isCalled(records, i), nowMs);
    for (const other of others) this.#held.absorb(entry, other);
    if (!entries.hasSide(entry, FAR)) this.#pairUp(entry, NEAR, nowMs);
    return true;
  }

  /** Looks for the other side of an entry that has one; true when it has joined another entry. */
  #pairUp(entry: number, side: Side, nowMs: number, waited = false): boolean {
    if (!this.#held.entries.has(entry, Flag.paired)) return false;
    const match = this.#matcher.find(entry, side, this.#held.pairHash(entry, side), waited);
    const { apart, entry: joined, fit } = match;
    if (match.behind) this.#held.entries.set(entry, Flag.behind);
    if (match.contested) {
      if (apart >= 0) {
        this.#counters.contested += 1;
        this.#held.entries.set(this.#split(apart, nowMs), Flag.contested);
      } else if (side === FAR) this.#held.entries.set(entry, Flag.contested);
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
    this.#join(other, entry, side, fit, nowMs);
    return true;
  }

  #join(entry: number, from: number, side: Side, fit: Fit, nowMs: number): void {
    this.#held.join(entry, from, side, fit);
    this.#counters.stitched += 1;
    this.#learn(entry);
    this.#held.change(entry, nowMs);
  }

  #split(entry: number, nowMs: number): number {
    const alone = this.#held.split(entry, nowMs);
    this.#settling.add(alone, nowMs);
    return alone;
  }

  /** A far side that has been alone for settleMs. */
  #settle(entry: number, nowMs: number): void {
    const { entries } = this.#held;
    const told = this.#settling.ask(entry);
    if (told) {
      entries.unset(entry, Flag.contested);
      this.#held.rekey(entry);
      this.#held.change(entry, nowMs);
    }
    if (this.#pairUp(entry, FAR, nowMs, true) || told || entries.has(entry, Flag.behind)) return;
    const certain = this.#settling.certain(entry);
    if (certain >= 0) {
      this.#join(certain, entry, FAR, Fit.proven, nowMs);
      return;
    }
    const { confidence, told: named, verdict } = entries.views.c;
    const far = 2 * entry + FAR;
    // What was refused here is nowhere else on record: it stays, with a source that is not known.
    if (
      named[BYTES * far] !== 0 ||
      !OPEN.has(confidence[BYTES * far] as number) ||
      verdict[BYTES * far] !== Verdict.VERDICT_ALLOWED
    )
      return;
    const near = this.#settling.favourite(entry);
    if (near < 0) return;
    entries.set(near, Flag.favoured);
    this.#held.discard(entry);
    this.#counters.discarded += 1;
  }

  #learn(entry: number): void {
    const { c, reporters } = this.#held.entries.views;
    const [near, far] = [2 * entry + NEAR, 2 * entry + FAR];
    const differenceUs = (c.firstSeenUs[DOUBLES * far] as number) - (c.firstSeenUs[DOUBLES * near] as number);
    // A connection that an agent found open begins, for it, when it looked.
    if (Math.abs(differenceUs) > 2 * this.#options.skewUs) return;
    this.#clocks.learn(this.#held.host(reporters[near] ?? ''), this.#held.host(reporters[far] ?? ''), differenceUs);
  }
}

function wordsOf({ localIp, remoteIp }: Observations): Words {
  return { localIp: words(localIp), remoteIp: words(remoteIp) };
}

function words(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}
