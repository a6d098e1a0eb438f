// Entries in the order in which they were last touched, in two lanes. Linked by number: touching and leaving cost the same whatever
// the length.

export class TouchQueue {
  #prev: Int32Array;
  #next: Int32Array;
  /** Lane + 1; 0: in none. */
  #lane: Uint8Array;
  readonly #oldest: [number, number] = [-1, -1];
  readonly #newest: [number, number] = [-1, -1];

  constructor(entries: number) {
    this.#prev = new Int32Array(entries);
    this.#next = new Int32Array(entries);
    this.#lane = new Uint8Array(entries);
  }

  /** The entry of a lane that was not touched for the longest time, -1 for none. */
  oldest(lane: 0 | 1): number {
    return this.#oldest[lane];
  }

  /** The entry is now the newest of this lane. */
  touch(entry: number, lane: 0 | 1): void {
    this.remove(entry);
    const before = this.#newest[lane];
    this.#lane[entry] = lane + 1;
    this.#prev[entry] = before;
    this.#next[entry] = -1;
    if (before >= 0) this.#next[before] = entry;
    else this.#oldest[lane] = entry;
    this.#newest[lane] = entry;
  }

  /** Leaves its lane, if it is in one. */
  remove(entry: number): void {
    const lane = (this.#lane[entry] as number) - 1;
    if (lane !== 0 && lane !== 1) return;
    const [prev, next] = [this.#prev[entry] as number, this.#next[entry] as number];
    if (prev >= 0) this.#next[prev] = next;
    else this.#oldest[lane] = next;
    if (next >= 0) this.#prev[next] = prev;
    else this.#newest[lane] = prev;
    this.#lane[entry] = 0;
  }

  grow(entries: number): void {
    this.#prev = copied(new Int32Array(entries), this.#prev);
    this.#next = copied(new Int32Array(entries), this.#next);
    this.#lane = copied(new Uint8Array(entries), this.#lane);
  }
}

function copied<T extends Int32Array | Uint8Array>(to: T, from: T): T {
  to.set(from);
  return to;
}
