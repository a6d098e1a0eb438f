// Which batches of one agent run were taken. Batches come in order on a stream and again from the first unacknowledged one after
// a reconnect; numbers may be left out (a batch dropped from the agent's spool).

const WINDOW = 4096;

export class SequenceWindow {
  #highest = 0n;
  /** This and everything below was taken by an earlier process. */
  #floor = 0n;
  readonly #seen = new Set<bigint>();

  /** Highest number taken; 0 before the first. */
  get highest(): bigint {
    return this.#highest;
  }

  /** Everything up to `sequence` was taken before: batches of a run come in order. */
  startAfter(sequence: bigint): void {
    this.#floor = sequence;
    this.#highest = sequence;
  }

  /** Takes a number; false when it was taken before, or is so old that it must have been. */
  take(sequence: bigint): boolean {
    if (sequence <= this.#floor || this.#seen.has(sequence) || sequence + BigInt(WINDOW) <= this.#highest) return false;
    this.#seen.add(sequence);
    if (sequence > this.#highest) this.#highest = sequence;
    if (this.#seen.size > 2 * WINDOW) {
      for (const old of this.#seen) if (old + BigInt(WINDOW) <= this.#highest) this.#seen.delete(old);
    }
    return true;
  }
}
