// How often records may leave between two regular flushes. A new connection or a deny is worth showing at once; a host that opens many must
// not pay with a batch for each. A bucket of tokens: a quiet host always has some, a busy one gets `perSecond` of them.

export interface PromptBudgetOptions {
  /** Prompt flushes a second, in the long run; 0: none. */
  readonly perSecond: number;
  /** Prompt flushes that may come one after the other when there were none for a while. */
  readonly burst: number;
}

export class PromptBudget {
  readonly #options: PromptBudgetOptions;
  #tokens: number;
  #atNs: number;

  /** Times are any monotonic clock's, in nanoseconds. */
  constructor(options: PromptBudgetOptions, nowNs: number) {
    this.#options = options;
    this.#tokens = options.perSecond > 0 ? options.burst : 0;
    this.#atNs = nowNs;
  }

  /** Whether one may leave now; it is used up then. */
  take(nowNs: number): boolean {
    const { perSecond, burst } = this.#options;
    this.#tokens = Math.min(burst, this.#tokens + ((nowNs - this.#atNs) / 1e9) * perSecond);
    this.#atNs = nowNs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Milliseconds from the last take until one may leave; undefined: never. */
  get waitMs(): number | undefined {
    const { perSecond } = this.#options;
    return perSecond > 0 ? Math.ceil((Math.max(0, 1 - this.#tokens) / perSecond) * 1000) : undefined;
  }
}
