// Ends as numbers between the main thread and the store's: what an end is travels once, then its number.
import type { FlowEndInfo } from '../block.js';

export class EndSession {
  readonly #numbers = new WeakMap<FlowEndInfo, number>();
  /** By everything that an end is: another object with the same content has the same number. */
  readonly #contents = new Map<string, number>();
  readonly #lists = new WeakMap<readonly FlowEndInfo[], number[]>();
  #fresh: FlowEndInfo[] = [];

  /** Numbers of ends, in their order. A list may grow between two calls: it is looked through once, then only what was added. */
  numbersOf(ends: readonly FlowEndInfo[]): readonly number[] {
    const numbers = this.#lists.get(ends) ?? [];
    this.#lists.set(ends, numbers);
    for (let i = numbers.length; i < ends.length; i += 1) numbers.push(this.#numberOf(ends[i] as FlowEndInfo));
    return numbers;
  }

  /** Ends that got a number since this was last asked, in the order of their numbers. */
  takeFresh(): readonly FlowEndInfo[] {
    const fresh = this.#fresh;
    if (fresh.length > 0) this.#fresh = [];
    return fresh;
  }

  #numberOf(info: FlowEndInfo): number {
    const known = this.#numbers.get(info);
    if (known !== undefined) return known;
    const { workloadId, workloadName, hostId, labels, identity } = info;
    const content = JSON.stringify([workloadId, workloadName, hostId, identity, Object.entries(labels).sort()]);
    const same = this.#contents.get(content);
    const number = same ?? this.#contents.size;
    if (same === undefined) {
      this.#contents.set(content, number);
      this.#fresh.push(info);
    }
    this.#numbers.set(info, number);
    return number;
  }
}
