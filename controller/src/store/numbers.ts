// Numbers that are given once: identities, classes of IP lists, rules. They are handed out in memory, in the middle of a
// computation, and must be written before anything that carries them leaves the process: `save` is called in between.
import type { StateStore } from './state-store.js';

type NumberKind = 'identity' | 'ipClass' | 'rule';

/** A persistent key → number map. Numbers ascend from 1 and are never handed out twice, released ones included. */
export class PersistentNumbers {
  readonly #store: StateStore;
  readonly #kind: NumberKind;
  readonly #numbers = new Map<string, number>();
  #last: number;
  readonly #unsaved = new Map<string, number | undefined>();

  constructor(store: StateStore, kind: NumberKind) {
    this.#store = store;
    this.#kind = kind;
    for (const [key, { number }] of store.table(kind)) this.#numbers.set(key, number);
    this.#last = store.get('counter', kind)?.value ?? 0;
    for (const number of this.#numbers.values()) this.#last = Math.max(this.#last, number);
  }

  /** The number of a key; a new one when it has none. */
  numberOf(key: string): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#last += 1;
    this.#numbers.set(key, this.#last);
    this.#unsaved.set(key, this.#last);
    return this.#last;
  }

  /** Forgets a key. Its number is not handed out again. */
  release(key: string): void {
    if (this.#numbers.delete(key)) this.#unsaved.set(key, undefined);
  }

  /** Keys in use and their numbers. */
  entries(): IterableIterator<[string, number]> {
    return this.#numbers.entries();
  }

  get size(): number {
    return this.#numbers.size;
  }

  /**
   * A view that hands out numbers beyond the persistent ones and forgets them: for computations whose result is thrown away.
   */
  trial(): { numberOf(key: string): number; release(key: string): void } {
    const extra = new Map<string, number>();
    // A trial may take a while: numbers that are given meanwhile are not its own, and must not meet those that it makes up.
    const last = this.#last;
    return {
      numberOf: (key) => {
        const kept = this.#numbers.get(key);
        const known = kept !== undefined && kept <= last ? kept : extra.get(key);
        if (known !== undefined) return known;
        const number = last + extra.size + 1;
        extra.set(key, number);
        return number;
      },
      release: () => {},
    };
  }

  /** Writes what changed since the last save. When it rejects, the next save writes it. */
  async save(): Promise<void> {
    if (this.#unsaved.size === 0) return;
    const batch = [...this.#unsaved];
    const last = this.#last;
    await this.#store.update((tx) => {
      for (const [key, number] of batch) {
        if (number === undefined) tx.delete(this.#kind, key);
        else tx.set(this.#kind, key, { number });
      }
      tx.set('counter', this.#kind, { value: last });
    });
    // Only what is still as it was written: a key may have been released while the write was on its way.
    for (const [key, number] of batch) if (this.#unsaved.get(key) === number) this.#unsaved.delete(key);
  }
}
