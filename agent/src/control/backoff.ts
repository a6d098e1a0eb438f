// How long to wait before the next try. Full jitter: a fleet that lost its controller at one instant does not return at one instant.

export interface BackoffOptions {
  /** Ceiling of the first wait. */
  readonly firstMs: number;
  /** No wait is longer. */
  readonly maxMs: number;
}

/** Exponential backoff with jitter; random is injected and yields [0, 1). */
export class Backoff {
  #attempt = 0;
  readonly #options: BackoffOptions;
  readonly #random: () => number;

  constructor(options: BackoffOptions, random: () => number) {
    this.#options = options;
    this.#random = random;
  }

  /** Milliseconds to wait before try number attempts + 1: between half the ceiling and the ceiling, which doubles each time. */
  nextMs(): number {
    const ceiling = Math.min(this.#options.maxMs, this.#options.firstMs * 2 ** Math.min(this.#attempt, 30));
    this.#attempt += 1;
    return Math.round(ceiling / 2 + (this.#random() * ceiling) / 2);
  }

  /** Tries since the last success. */
  get attempts(): number {
    return this.#attempt;
  }

  /** It worked: begin anew. */
  reset(): void {
    this.#attempt = 0;
  }
}
