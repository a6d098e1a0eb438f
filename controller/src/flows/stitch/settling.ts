// Far sides that nobody came for: their true source may have been told meanwhile; else a near side that they may belong to speaks
// for them.
import { Confidence } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { ClockOffsets } from './clocks.js';
import { type Entries, Flag } from './entries.js';
import { fitsDestination, fitsSource, hasEchoId, overlap, sameAddress } from './fit.js';
import { offerHash } from './keys.js';
import { BYTES, DOUBLES, SHORTS } from './layout.js';
import { FAR, NEAR, type StitchPorts } from './types.js';
import { bytesOf } from './views.js';

/** First packets of a far side and the near one that speaks for it, beyond what the clocks let expect, are no farther apart. */
const TOGETHER_US = 300_000;
/** Near sides that are looked at for one far side. */
const OFFERS_MAX = 256;
/** How a far side names its source where it can be nobody else. */
const CERTAIN: ReadonlySet<number> = new Set([Confidence.CONFIDENCE_EXACT, Confidence.CONFIDENCE_TAGGED]);
/** What is done with is cut off the front now and then. */
const CUT_AT = 4096;

export class Settling {
  readonly #entries: Entries;
  readonly #ports: StitchPorts;
  readonly #host: (hostId: string) => number;
  readonly #clocks: ClockOffsets;
  readonly #skewUs: number;
  #waiting: number[] = [];
  #sinceMs: number[] = [];
  #head = 0;

  constructor(
    entries: Entries,
    ports: StitchPorts,
    host: (hostId: string) => number,
    clocks: ClockOffsets,
    skewUs: number,
  ) {
    this.#skewUs = skewUs;
    this.#entries = entries;
    this.#ports = ports;
    this.#host = host;
    this.#clocks = clocks;
  }

  /** A far side is alone from now on. */
  add(entry: number, nowMs: number): void {
    this.#waiting.push(entry);
    this.#sinceMs.push(nowMs);
  }

  /** The next far side that came before this time and is alone still, -1 for none. */
  due(beforeMs: number): number {
    while (this.#head < this.#waiting.length && (this.#sinceMs[this.#head] as number) <= beforeMs) {
      const [entry, sinceMs] = [this.#waiting[this.#head] as number, this.#sinceMs[this.#head] as number];
      this.#head += 1;
      if (this.#head >= CUT_AT) this.#cut();
      if (this.#isAlone(entry) && (this.#entries.createdMs[entry] as number) <= sinceMs) return entry;
    }
    return -1;
  }

  /** Asks for the true source; true when it was told, and stands in the entry. */
  ask(entry: number): boolean {
    const { c, reporters, remotes } = this.#entries.views;
    const slot = 2 * entry + FAR;
    if (c.told[BYTES * slot] !== 0 || c.confidence[BYTES * slot] === Confidence.CONFIDENCE_EXACT) return false;
    const protocol = this.#entries.protocol[entry] as number;
    const echo = hasEchoId(protocol);
    const source = this.#ports.trueSource?.({
      hostId: reporters[slot] ?? '',
      protocol,
      sourceIp: bytesOf(c.remoteIp, slot),
      sourcePort: (echo ? c.localPort : c.remotePort)[SHORTS * slot] as number,
      destinationIp: bytesOf(c.localIp, slot),
      destinationPort: (echo ? c.remotePort : c.localPort)[SHORTS * slot] as number,
      firstSeenUs: c.firstSeenUs[DOUBLES * slot] as number,
      final: true,
    });
    if (source === undefined) return false;
    c.told[BYTES * slot] = 1;
    c.toldPort[SHORTS * slot] = source.port;
    bytesOf(c.toldIp, slot).set(source.ip);
    remotes[slot] = source.end;
    return true;
  }

  /**
   * The near side alone of the workload that the far one names for certain (by its tag, or alone behind its address), whatever a translation
   * made of its port. -1 for none, and when there are several.
   */
  certain(entry: number): number {
    const { c, ends, remotes } = this.#entries.views;
    const far = 2 * entry + FAR;
    const named = remotes[far]?.workloadId ?? '';
    if (named === '' || !CERTAIN.has(c.confidence[BYTES * far] as number)) return -1;
    let found = -1;
    for (const candidate of this.#offered(entry)) {
      const near = 2 * candidate + NEAR;
      // Without a translation ports stay what they are.
      if (ends[near]?.workloadId !== named || sameAddress(c.localIp, near, c.remoteIp, far)) continue;
      if (this.#expected(near, far) !== undefined && this.#apartUs(near, far) > TOGETHER_US) continue;
      if (found >= 0) return -1;
      found = candidate;
    }
    return found;
  }

  /** A near side alone that the far one may be the other side of, whatever its port became; -1 for none. */
  favourite(entry: number): number {
    const far = 2 * entry + FAR;
    for (const near of this.#offered(entry)) {
      const known = this.#expected(2 * near + NEAR, far) !== undefined;
      if (known && this.#apartUs(2 * near + NEAR, far) <= TOGETHER_US) return near;
    }
    return -1;
  }

  /** Near sides alone that call what the far one is, at its time, and may be whom it names. */
  *#offered(entry: number): Generator<number> {
    const { offered, views, protocol } = this.#entries;
    const far = 2 * entry + FAR;
    const hash = offerHash(this.#entries, entry, this.#host, FAR);
    let looked = 0;
    for (let c = offered.first(hash); c >= 0 && looked < OFFERS_MAX; c = offered.after(c, hash)) {
      looked += 1;
      const near = 2 * c + NEAR;
      const fits =
        !this.#entries.has(c, Flag.favoured) &&
        protocol[c] === protocol[entry] &&
        overlap(views, near, far, this.#expected(near, far) ?? 0, this.#skewUs) &&
        fitsDestination(views, this.#ports, protocol[c] as number, near, far) &&
        fitsSource(views, this.#ports, near, far);
      if (fits) yield c;
    }
  }

  #expected(near: number, far: number): number | undefined {
    const { reporters } = this.#entries.views;
    return this.#clocks.expected(this.#host(reporters[near] ?? ''), this.#host(reporters[far] ?? ''));
  }

  /** How far first packets are apart beyond what the clocks let expect. */
  #apartUs(near: number, far: number): number {
    const { firstSeenUs } = this.#entries.views.c;
    const differenceUs = (firstSeenUs[DOUBLES * far] as number) - (firstSeenUs[DOUBLES * near] as number);
    return Math.abs(differenceUs - (this.#expected(near, far) ?? 0));
  }

  #isAlone(entry: number): boolean {
    const entries = this.#entries;
    return entries.hasSide(entry, FAR) && !entries.hasSide(entry, NEAR) && !entries.has(entry, Flag.discarded);
  }

  #cut(): void {
    this.#waiting = this.#waiting.slice(this.#head);
    this.#sinceMs = this.#sinceMs.slice(this.#head);
    this.#head = 0;
  }
}
