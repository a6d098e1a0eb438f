// Numbers for things that the kernel knows by number and everyone else by content: port tables, policy sets, lists of identities
// behind shared addresses, local workloads. Equal content gets one number. A number is never given out twice while the pinned
// maps live: next only grows, and the datapath keeps it beside the maps (high-water marks) before a number is first written.

/** First number not given out yet, by kind. Each starts at 1: 0 means "none" in the kernel. */
export interface HighWater {
  readonly set: number;
  readonly group: number;
  readonly shared: number;
  readonly endpoint: number;
}

export const NOTHING_NUMBERED: HighWater = { set: 1, group: 1, shared: 1, endpoint: 1 };

/** Reference-counted numbers of one kind. */
export class NumberPool {
  readonly #held = new Map<string, { number: number; references: number }>();
  readonly #adoptable: Map<string, number>;
  #next: number;

  /** adoptable: content that the kernel already holds under a number, from before this process. */
  constructor(next: number, adoptable: ReadonlyMap<string, number>) {
    this.#adoptable = new Map(adoptable);
    this.#next = next;
    for (const number of adoptable.values()) this.#next = Math.max(this.#next, number + 1);
  }

  get next(): number {
    return this.#next;
  }

  /** The content's number, and whether it is newly held. Each acquire needs one release. */
  acquire(content: string): { readonly number: number; readonly first: boolean } {
    const held = this.#held.get(content);
    if (held !== undefined) {
      held.references += 1;
      return { number: held.number, first: false };
    }
    const adopted = this.#adoptable.get(content);
    // Adopted once: a later holder of equal content must not share a number whose entries an earlier one is about to sweep.
    this.#adoptable.delete(content);
    const number = adopted ?? this.#next++;
    if (number > 0xffffffff) throw new RangeError('Cannot number content: found 2^32 numbers given out');
    this.#held.set(content, { number, references: 1 });
    return { number, first: true };
  }

  /** The number, and whether nobody holds the content any more. */
  release(content: string): { readonly number: number; readonly last: boolean } {
    const held = this.#held.get(content);
    if (held === undefined) throw new RangeError('Cannot release content: found it not held');
    held.references -= 1;
    if (held.references === 0) this.#held.delete(content);
    return { number: held.number, last: held.references === 0 };
  }

  numberOf(content: string): number | undefined {
    return this.#held.get(content)?.number;
  }

  /** Called when the first rendering is done: what was not adopted is swept from the kernel and its number never used again. */
  forgetAdoptable(): void {
    this.#adoptable.clear();
  }
}
