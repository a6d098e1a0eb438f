// Deterministic random choices: the same seed gives the same run.

export interface Random {
  /** A whole number from 0 to below n. */
  below(n: number): number;
  /** True with this probability. */
  chance(p: number): boolean;
  /** One of the items; throws on an empty list. */
  pick<T>(items: readonly T[]): T;
  /** At least one of the items, in their order. */
  some<T>(items: readonly T[]): T[];
}

/** Mulberry32: 32 bits of state, good enough to shuffle test cases. */
export function random(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  const below = (n: number) => Math.floor(next() * n);
  const pick = <T>(items: readonly T[]): T => {
    if (items.length === 0) throw new RangeError('Cannot pick: found no items, wanted one at least');
    return items[below(items.length)] as T;
  };
  return {
    below,
    chance: (p) => next() < p,
    pick,
    some: (items) => {
      const found = items.filter(() => next() < 0.5);
      return found.length > 0 ? found : [pick(items)];
    },
  };
}
