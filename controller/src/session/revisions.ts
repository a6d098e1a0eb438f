// Revisions of streamed changes: they grow for ever, over restarts too, without a write per change. A block is reserved on disk
// before any number of it is used; a restart goes on after the reserved block.
import type { StateStore } from '../store/state-store.js';

const BLOCK = 1_000_000;

export class Revisions {
  readonly #store: StateStore;
  #last: number;
  #reserved: number;

  /** `reserve` must have resolved once before `next`. */
  constructor(store: StateStore) {
    this.#store = store;
    this.#last = store.get('counter', 'revision')?.value ?? 0;
    this.#reserved = this.#last;
  }

  /** Makes sure that numbers are left for a long while. */
  async reserve(): Promise<void> {
    if (this.#reserved - this.#last > BLOCK / 2) return;
    const reserved = this.#last + BLOCK;
    await this.#store.update((tx) => tx.set('counter', 'revision', { value: reserved }));
    this.#reserved = reserved;
  }

  /** The next revision. Throws RangeError when nothing is reserved. */
  next(): number {
    if (this.#last >= this.#reserved) {
      throw new RangeError(
        `Cannot give a revision: found ${this.#last} used of ${this.#reserved} reserved, wanted one left`,
      );
    }
    this.#last += 1;
    return this.#last;
  }

  /** The next one is above `revision`: an agent was seen that holds it. */
  async raise(revision: number): Promise<void> {
    if (revision <= this.#last) return;
    this.#last = revision;
    await this.reserve();
  }

  /** Newest revision given. */
  get last(): number {
    return this.#last;
  }
}
