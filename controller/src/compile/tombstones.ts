// Who was behind an address until lately: flow records that arrive after a workload has gone, or has moved, still find its name.
// Kernels are not told: to them an address without a workload is unknown at once.
import { type Place, placeKey } from '../topology/view.js';

/** One that was there. */
export interface Departed {
  readonly workloadId: string;
  readonly identity: number;
}

interface Grave extends Departed {
  readonly key: string;
  readonly untilMs: number;
}

/** Places remembered at most; the oldest go first. */
const GRAVES_MAX = 200_000;

export class Tombstones {
  readonly #byKey = new Map<string, Grave[]>();
  /** In order of their end, since all rest equally long; those before `#first` are gone. */
  #queue: Grave[] = [];
  #first = 0;
  readonly #restMs: number;
  #nowMs = 0;

  /** `restMs`: how long each is remembered. */
  constructor(restMs: number) {
    this.#restMs = restMs;
  }

  /** The workload has left these places. */
  bury(departed: Departed, places: readonly Place[]): void {
    for (const { key } of places) {
      const grave = { ...departed, key, untilMs: this.#nowMs + this.#restMs };
      this.#queue.push(grave);
      const others = this.#byKey.get(key);
      if (others === undefined) this.#byKey.set(key, [grave]);
      else others.push(grave);
    }
    while (this.#queue.length - this.#first > GRAVES_MAX) this.#forgetFirst();
  }

  /** Unix milliseconds; does not go back. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    while (this.#first < this.#queue.length && (this.#queue[this.#first]?.untilMs ?? 0) <= nowMs) this.#forgetFirst();
    if (this.#first < 1024 || this.#first * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#first);
    this.#first = 0;
  }

  /** Those who were lately at an address in one of these scopes, the last one first. */
  at(scopes: readonly string[], hex: string): Departed[] {
    return scopes.flatMap((scope) => [...(this.#byKey.get(placeKey(scope, hex)) ?? [])].reverse());
  }

  #forgetFirst(): void {
    const grave = this.#queue[this.#first];
    this.#first += 1;
    if (grave === undefined) return;
    const others = this.#byKey.get(grave.key)?.filter((each) => each !== grave) ?? [];
    if (others.length === 0) this.#byKey.delete(grave.key);
    else this.#byKey.set(grave.key, others);
  }
}
