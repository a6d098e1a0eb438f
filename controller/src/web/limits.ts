// How much one address or one session may ask for at once.

/** A bucket per key: `burst` at once, `perSecond` more each second. Keys that are full again are forgotten. */
export class RateLimit {
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(
    readonly burst: number,
    readonly perSecond: number,
    readonly keysMax = 10_000,
  ) {}

  /** Takes one; false when there is none. */
  take(key: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(key) ?? { tokens: this.burst, atMs: nowMs };
    const tokens = Math.min(this.burst, bucket.tokens + (Math.max(0, nowMs - bucket.atMs) * this.perSecond) / 1000);
    if (tokens < 1) return false;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: tokens - 1, atMs: nowMs });
    const oldest = this.#buckets.keys().next();
    if (this.#buckets.size > this.keysMax && !oldest.done) this.#buckets.delete(oldest.value);
    return true;
  }
}

/** How many are under way, by key. */
export class Gauge {
  readonly #counts = new Map<string, number>();

  constructor(readonly max: number) {}

  /** Enters; the way to leave again (harmless when called twice), or undefined when too many are in. */
  enter(key: string): (() => void) | undefined {
    const count = this.#counts.get(key) ?? 0;
    if (count >= this.max) return undefined;
    this.#counts.set(key, count + 1);
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      const left = (this.#counts.get(key) ?? 1) - 1;
      if (left <= 0) this.#counts.delete(key);
      else this.#counts.set(key, left);
    };
  }
}
