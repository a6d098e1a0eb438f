// How much later the clock of one host shows than that of another, learned from connections that are known to be the same. Tells
// which of several connections fits better; nothing is refused by it alone.

interface Offset {
  us: number;
  count: number;
  /** Connections since the last one that was learned from that it alone kept apart. */
  doubts: number;
}

const PAIRS_MAX = 100_000;
/** Connections after which an offset is relied on. */
const RELIED_ON = 4;
/** Once it is relied on, one connection moves it by no more: a first packet may have been sent again. */
const STEP_MAX_US = 50_000;
/** After so many connections that it kept apart an offset is forgotten: a clock has been set. */
const DOUBTS_MAX = 8;

export class ClockOffsets {
  readonly #pairs = new Map<number, Offset>();

  /** The called host saw the first packet `differenceUs` after the opening one, each by its own clock. */
  learn(near: number, far: number, differenceUs: number): void {
    const key = near * 0x200000 + far;
    const known = this.#pairs.get(key);
    if (known === undefined) {
      if (this.#pairs.size >= PAIRS_MAX) this.#pairs.clear();
      this.#pairs.set(key, { us: differenceUs, count: 1, doubts: 0 });
      return;
    }
    known.count += 1;
    known.doubts = 0;
    const step = (differenceUs - known.us) / Math.min(known.count, 8);
    known.us += known.count > RELIED_ON ? Math.max(-STEP_MAX_US, Math.min(STEP_MAX_US, step)) : step;
  }

  /** Two sides that nobody else came for would be one connection if it were not for this offset. */
  doubt(near: number, far: number): void {
    const key = near * 0x200000 + far;
    const known = this.#pairs.get(key);
    if (known === undefined) return;
    known.doubts += 1;
    if (known.doubts >= DOUBTS_MAX) this.#pairs.delete(key);
  }

  /** What to expect; undefined: not known yet. */
  expected(near: number, far: number): number | undefined {
    const known = this.#pairs.get(near * 0x200000 + far);
    return known !== undefined && known.count >= RELIED_ON ? known.us : undefined;
  }
}
