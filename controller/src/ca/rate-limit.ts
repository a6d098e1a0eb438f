// How often one source may fail. Successes cost nothing, so a fleet behind one address can enrol at once.
import { LRUCache } from 'lru-cache';

/** A bucket of failures per source: `burst` at once, one more each `refillMs`. Remembers the newest `sources_max` sources. */
export class FailureLimit {
  readonly #burst: number;
  readonly #refillMs: number;
  readonly #buckets: LRUCache<string, { tokens: number; atMs: number }>;

  constructor(burst: number, refillMs: number, sourcesMax = 10_000) {
    this.#burst = burst;
    this.#refillMs = refillMs;
    this.#buckets = new LRUCache({ max: sourcesMax });
  }

  /** True when this source has failed too often lately. */
  exceeded(source: string, nowMs: number): boolean {
    return this.#left(source, nowMs) < 1;
  }

  /** Notes a failure. */
  failed(source: string, nowMs: number): void {
    this.#buckets.set(source, { tokens: Math.max(0, this.#left(source, nowMs) - 1), atMs: nowMs });
  }

  #left(source: string, nowMs: number): number {
    const bucket = this.#buckets.get(source);
    if (bucket === undefined) return this.#burst;
    return Math.min(this.#burst, bucket.tokens + Math.max(0, nowMs - bucket.atMs) / this.#refillMs);
  }
}
