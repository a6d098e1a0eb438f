// Which held connection a new side belongs to, when there is a choice. Two sides that a translation lies between are taken for one
// connection only when no other source behind the same address fits as well, or the clocks tell them apart.
import type { ClockOffsets } from './clocks.js';
import { type Entries, Flag } from './entries.js';
import { Fit, fits, overlap, RETRY_US, sameAddress } from './fit.js';
import { DOUBLES } from './layout.js';
import { FAR, NEAR, type Side, type StitchPorts } from './types.js';

/** One connection is nearer than another when it is this much nearer, and near enough itself. */
const CLEARLY_US = 1_000_000;
/** Beyond the offset that is expected of two clocks: how far off it may be. */
const EXPECTED_SLACK_US = 500_000;
/** Once an offset is known: what is farther off is believed only when nothing nearer came for a while. */
const DOUBTFUL_US = 300_000;

/** What `find` found; valid until it is called again. */
export interface Match {
  /** The entry that the side joins, -1 for none. */
  entry: number;
  fit: Fit;
  /** An entry with both sides that must be taken apart first, -1 for none. With `entry` the same: the new side takes a side's place. */
  apart: number;
  /** The far side fits several: it waits for proof. */
  contested: boolean;
  /** An entry whose side would fit, were the first packets not so far apart; -1 for none. Ask again later. */
  doubtful: number;
  /** The other side is known, but what is told of it by now comes after all that this one tells. */
  behind: boolean;
}

export class Matcher {
  readonly match: Match = { entry: -1, fit: Fit.none, apart: -1, contested: false, doubtful: -1, behind: false };
  readonly #entries: Entries;
  readonly #ports: StitchPorts;
  readonly #clocks: ClockOffsets;
  readonly #host: (hostId: string) => number;
  readonly #skewUs: number;
  /** The best so far, and the best of another source. */
  #best = -1;
  #bestFit: Fit = Fit.none;
  #bestUs = 0;
  #otherUs = Number.POSITIVE_INFINITY;
  /** An entry with both sides of which the new side fits one. */
  #taken = -1;
  #takenUs = Number.POSITIVE_INFINITY;

  constructor(
    entries: Entries,
    ports: StitchPorts,
    clocks: ClockOffsets,
    host: (hostId: string) => number,
    skewUs: number,
  ) {
    this.#entries = entries;
    this.#ports = ports;
    this.#clocks = clocks;
    this.#host = host;
    this.#skewUs = skewUs;
  }

  /**
   * Looks for the other side of an entry that has this one alone and stands in the pair chain under `hash`. `waited`: nothing nearer is to
   * be expected any more.
   */
  find(entry: number, side: Side, hash: number, waited: boolean): Match {
    const { match } = this;
    match.entry = -1;
    match.apart = -1;
    match.contested = false;
    match.doubtful = -1;
    match.behind = false;
    this.#look(entry, side, hash, waited);
    const known = this.#best >= 0 || this.#taken >= 0 ? this.#expects(entry, side) : false;
    if (this.#best >= 0 && !waited && known && this.#bestUs > DOUBTFUL_US) {
      match.doubtful = this.#best;
    } else if (this.#best >= 0 && this.#bestFit === Fit.proven) {
      this.#take(this.#best, Fit.proven);
    } else if (side === NEAR && this.#taken >= 0 && (this.#best < 0 || this.#takenUs < this.#bestUs)) {
      this.#contest(known);
    } else if (this.#best >= 0) {
      const alone = this.#otherUs === Number.POSITIVE_INFINITY;
      if (alone || (known && clearly(this.#bestUs, this.#otherUs))) this.#take(this.#best, Fit.translated);
      else match.contested = true;
    } else if (side === FAR && this.#taken >= 0) {
      const t = this.#taken;
      // The near side has a far one that fits worse: that one is another connection's.
      if (known && clearly(this.#takenUs, this.#distance(2 * t + NEAR, 2 * t + FAR))) this.#replace(t);
    }
    if (match.entry >= 0 && match.apart < 0 && match.fit === Fit.proven && this.#isBehind(entry, side, match.entry)) {
      match.entry = -1;
      match.behind = true;
    }
    return match;
  }

  /** What the other side told at this time stands in rows of its own: together with a later one this side would count beside them. */
  #isBehind(entry: number, side: Side, other: number): boolean {
    const { firstSeenUs, rowFromUs, lastSeenUs } = this.#entries.views.c;
    const [own, its] = side === NEAR ? [2 * entry + NEAR, 2 * other + FAR] : [2 * entry + FAR, 2 * other + NEAR];
    const fromUs = rowFromUs[DOUBLES * its] as number;
    return fromUs > (firstSeenUs[DOUBLES * its] as number) && (lastSeenUs[DOUBLES * own] as number) <= fromUs;
  }

  #take(entry: number, fit: Fit): void {
    this.match.entry = entry;
    this.match.fit = fit;
  }

  #replace(entry: number): void {
    this.match.apart = entry;
    this.#take(entry, Fit.translated);
  }

  /** Two near sides fit one far side, which one of them has. */
  #contest(known: boolean): void {
    const t = this.#taken;
    const hasUs = this.#distance(2 * t + NEAR, 2 * t + FAR);
    if (known && clearly(hasUs, this.#takenUs)) {
      if (this.#best >= 0) this.#take(this.#best, Fit.translated);
    } else if (known && clearly(this.#takenUs, hasUs)) this.#replace(t);
    else {
      this.match.apart = t;
      this.match.contested = true;
    }
  }

  #look(entry: number, side: Side, hash: number, waited: boolean): void {
    const { views, pair, protocol } = this.#entries;
    this.#best = -1;
    this.#bestFit = Fit.none;
    this.#otherUs = Number.POSITIVE_INFINITY;
    this.#taken = -1;
    this.#takenUs = Number.POSITIVE_INFINITY;
    const own = 2 * entry + side;
    for (let c = pair.first(hash); c >= 0; c = pair.after(c, hash)) {
      if (c === entry || protocol[c] !== protocol[entry] || this.#entries.has(c, Flag.discarded)) continue;
      const both = this.#entries.hasSide(c, NEAR) && this.#entries.hasSide(c, FAR);
      if (both ? this.#entries.has(c, Flag.proven) : this.#entries.hasSide(c, side)) continue;
      const [near, far] = side === NEAR ? [own, 2 * c + FAR] : [2 * c + NEAR, own];
      const fit = fits(views, this.#ports, protocol[c] as number, near, far);
      if (fit === Fit.none || !this.#inTime(near, far, fit, waited)) continue;
      const us = this.#distance(near, far);
      if (both) {
        const another = side === FAR || this.#sourcesDiffer(own, 2 * c + NEAR);
        if (another && us < this.#takenUs) [this.#taken, this.#takenUs] = [c, us];
      } else if (fit === Fit.proven || !this.#entries.has(c, Flag.contested)) this.#consider(c, fit, us, side);
    }
  }

  #consider(c: number, fit: Fit, us: number, side: Side): void {
    const before = this.#best;
    const better = before < 0 || fit > this.#bestFit || (fit === this.#bestFit && us < this.#bestUs);
    const differ = before >= 0 && side === FAR && this.#sourcesDiffer(2 * before + NEAR, 2 * c + NEAR);
    if (differ) this.#otherUs = Math.min(this.#otherUs, better ? this.#bestUs : us);
    if (better) [this.#best, this.#bestFit, this.#bestUs] = [c, fit, us];
  }

  #sourcesDiffer(a: number, b: number): boolean {
    const { c, ends } = this.#entries.views;
    return ends[a]?.workloadId !== ends[b]?.workloadId || !sameAddress(c.localIp, a, c.localIp, b);
  }

  /** How far the difference of first packets is from what the clocks let expect, microseconds. */
  #distance(near: number, far: number): number {
    const { c } = this.#entries.views;
    const difference = (c.firstSeenUs[DOUBLES * far] as number) - (c.firstSeenUs[DOUBLES * near] as number);
    return Math.abs(difference - (this.#expected(near, far) ?? 0));
  }

  /** A clock may have been set since an offset was learned: what nobody else can be is believed as before it was, and the offset is doubted. */
  #inTime(near: number, far: number, fit: Fit, waited: boolean): boolean {
    const { views } = this.#entries;
    const expected = this.#expected(near, far);
    if (expected !== undefined && overlap(views, near, far, expected, EXPECTED_SLACK_US)) return true;
    if (!overlap(views, near, far, 0, this.#skewUs)) return false;
    if (expected === undefined || fit === Fit.proven) return true;
    const { reporters } = views;
    if (waited) this.#clocks.doubt(this.#host(reporters[near] ?? ''), this.#host(reporters[far] ?? ''));
    return false;
  }

  #expected(near: number, far: number): number | undefined {
    const { reporters } = this.#entries.views;
    return this.#clocks.expected(this.#host(reporters[near] ?? ''), this.#host(reporters[far] ?? ''));
  }

  #expects(entry: number, side: Side): boolean {
    const other = this.#best >= 0 ? this.#best : this.#taken;
    const [near, far] = side === NEAR ? [entry, other] : [other, entry];
    return this.#expected(2 * near + NEAR, 2 * far + FAR) !== undefined;
  }
}

function clearly(us: number, otherUs: number): boolean {
  return us <= RETRY_US && otherUs - us >= CLEARLY_US;
}
