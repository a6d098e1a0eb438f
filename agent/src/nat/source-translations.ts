// Under which addresses connections were seen to leave this host: pairs of an address and what became of it. Found by observing, so no rule
// language has to be read: Docker's masquerade, the host's own nftables or iptables, and a gateway's all look the same in conntrack.

import { wireAddress } from '@ringfence/proto/address.js';
import { SourceTranslations } from '@ringfence/proto/gen/ringfence/v1/agent.js';

export interface SourceTranslationsOptions {
  /** The host translates for others: pairs of addresses that are none of its own count too. */
  readonly gateway: boolean;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Looks once at all that is open: whether a connection from one address (hexadecimal) that left as the other is among it. */
  readonly openNow: () => (inside: string, outside: string) => boolean;
}

/** A pair as it is kept over restarts. Addresses are 32 hexadecimal digits, IPv4 mapped. */
export interface SeenTranslation {
  readonly inside: string;
  readonly outside: string;
  readonly seenMs: number;
}

/** Pairs that are reported. */
export const PAIRS_MAX = 4096;
/** A pair of others of which a gateway has seen no connection for so long, and has none open, is given up. */
const OTHERS_MS = 24 * 3_600_000;

interface Pair {
  seenMs: number;
}

export class SourceTranslationBook {
  readonly #options: SourceTranslationsOptions;
  /** By inside and outside, 64 hexadecimal digits. */
  readonly #pairs = new Map<string, Pair>();
  #own: ReadonlySet<string> = new Set();
  #local: ReadonlySet<string> = new Set();
  readonly #leftOut = new Set<string>();
  /** Keys that count, sorted; undefined: to be found anew. */
  #counting: readonly string[] | undefined;
  #outsides: ReadonlySet<string> = new Set();
  /** The same as of when they were last told. */
  #toldOf: readonly string[] | undefined;
  #told = '';

  /** `before`: what an earlier run kept. */
  constructor(options: SourceTranslationsOptions, before: readonly SeenTranslation[] = []) {
    this.#options = options;
    for (const { inside, outside, seenMs } of before) this.#pairs.set(inside + outside, { seenMs });
  }

  /** Addresses (hexadecimal) of the host itself, and of its other workloads. */
  setLocal(own: Iterable<string>, others: Iterable<string>): void {
    this.#own = new Set(own);
    this.#local = new Set(others);
    this.#counting = undefined;
  }

  /** A connection from `inside` left as `outside` (16 bytes each, latin1). */
  note(inside: string, outside: string): void {
    const key = Buffer.from(inside + outside, 'latin1').toString('hex');
    const known = this.#pairs.get(key);
    if (known !== undefined) {
      known.seenMs = this.#options.now();
      return;
    }
    // Room is made by `changed`, not here: this is called for every connection.
    if (this.#pairs.size >= PAIRS_MAX) {
      if (this.#leftOut.size < PAIRS_MAX) this.#leftOut.add(key);
      return;
    }
    this.#leftOut.delete(key);
    this.#pairs.set(key, { seenMs: this.#options.now() });
    this.#counting = undefined;
  }

  /** The whole, when it differs from what this returned last. Gives up what is idle; cheap while nothing comes and goes. */
  changed(): SourceTranslations | undefined {
    this.#sweep();
    const keys = this.#keys();
    if (keys === this.#toldOf) return undefined;
    this.#toldOf = keys;
    const told = keys.join();
    if (told === this.#told) return undefined;
    this.#told = told;
    return this.report();
  }

  /** The whole: pairs of this host's workloads; at a gateway everybody's. */
  report(): SourceTranslations {
    return SourceTranslations.create({
      gateway: this.#options.gateway,
      translations: this.#keys().map((key) => ({ inside: wireOf(key.slice(0, 32)), outside: wireOf(key.slice(32)) })),
      leftOut: this.#leftOut.size,
    });
  }

  /** All addresses that were given, hexadecimal; the same set while they are the same. */
  outsides(): ReadonlySet<string> {
    this.#keys();
    return this.#outsides;
  }

  /** For the next run. */
  kept(): SeenTranslation[] {
    return [...this.#pairs].map(([key, { seenMs }]) => ({ inside: key.slice(0, 32), outside: key.slice(32), seenMs }));
  }

  #keys(): readonly string[] {
    if (this.#counting === undefined) {
      this.#counting = [...this.#pairs.keys()].filter((key) => this.#counts(key)).sort();
      const outsides = new Set(this.#counting.map((key) => key.slice(32)));
      const same = outsides.size === this.#outsides.size && [...outsides].every((each) => this.#outsides.has(each));
      if (!same) this.#outsides = outsides;
    }
    return this.#counting;
  }

  /** A workload of this host, or at a gateway anybody, that leaves under another address. One of the host's own addresses for another is none. */
  #counts(key: string): boolean {
    const [inside, outside] = [key.slice(0, 32), key.slice(32)];
    if (this.#own.has(inside)) return !this.#own.has(outside);
    return this.#options.gateway || this.#local.has(inside);
  }

  #sweep(): void {
    const now = this.#options.now();
    let isOpen: ((inside: string, outside: string) => boolean) | undefined;
    for (const [key, pair] of this.#pairs) {
      if (now - pair.seenMs <= OTHERS_MS) continue;
      const inside = key.slice(0, 32);
      // A workload that went may come back under its address; what stays idle that long is asked for again by its next connection.
      if (this.#local.has(inside) || this.#own.has(inside)) continue;
      isOpen ??= this.#options.openNow();
      if (isOpen(inside, key.slice(32))) pair.seenMs = now;
      else {
        this.#pairs.delete(key);
        this.#counting = undefined;
      }
    }
  }
}

function wireOf(hex: string): Buffer {
  return Buffer.from(wireAddress(Buffer.from(hex, 'hex')));
}
