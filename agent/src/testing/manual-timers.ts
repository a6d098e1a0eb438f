import type { Timers } from '../timers.js';

/** Timers that fire when a test moves the clock. */
export class ManualTimers implements Timers {
  #now = 1_000_000;
  #next = 0;
  readonly #due = new Map<number, { at: number; fn: () => void }>();

  now(): number {
    return this.#now;
  }

  steady(): number {
    return this.#now;
  }

  after(delayMs: number, fn: () => void): () => void {
    const id = this.#next++;
    this.#due.set(id, { at: this.#now + delayMs, fn });
    return () => this.#due.delete(id);
  }

  /** Timers waiting. */
  get pending(): number {
    return this.#due.size;
  }

  /** Milliseconds to the next timer; undefined when none waits. */
  get nextIn(): number | undefined {
    const first = this.#first();
    return first && first[1].at - this.#now;
  }

  /** Moves the clock, firing what becomes due in order; lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (let first = this.#first(); first && first[1].at <= end; first = this.#first()) {
      const [id, { at, fn }] = first;
      this.#due.delete(id);
      this.#now = Math.max(this.#now, at);
      fn();
      await settle();
    }
    this.#now = end;
    await settle();
  }

  #first() {
    return [...this.#due].sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
  }
}

/** Lets everything that is already decided happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
}
