// Kernel events carry CLOCK_MONOTONIC; records carry wall time. The distance between the two is sampled, and taken over only
// when it moved by more than the sampling error: records of one connection do not jitter, and a wall clock that is set moves
// later records by exactly that much, never backwards in the middle of a batch.

/** Reads both clocks at (nearly) one instant. */
export type ReadClocks = () => { monotonicNs: bigint; realtimeNs: bigint };

/** Distances that differ by less are the same distance. */
const TOLERANCE_US = 2000;

export class WallClock {
  readonly #read: ReadClocks;
  #offsetUs: number;
  /** How often the wall clock was found set to another time. */
  jumps = 0;

  constructor(read: ReadClocks) {
    this.#read = read;
    this.#offsetUs = this.#sample();
  }

  /** Call once per flush. */
  resample(): void {
    const offset = this.#sample();
    if (Math.abs(offset - this.#offsetUs) <= TOLERANCE_US) return;
    this.#offsetUs = offset;
    this.jumps += 1;
  }

  /** Unix microseconds of a monotonic time in nanoseconds. */
  toWallUs(monotonicNs: number): number {
    return Math.max(0, Math.round(monotonicNs / 1000 + this.#offsetUs));
  }

  /** Now, in monotonic nanoseconds. */
  monotonicNs(): number {
    return Number(this.#read().monotonicNs);
  }

  #sample(): number {
    const { monotonicNs, realtimeNs } = this.#read();
    return Number((realtimeNs - monotonicNs) / 1000n);
  }
}
