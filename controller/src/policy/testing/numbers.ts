// Allocators in memory, for tests and benchmarks: what the store keeps on disk.
import type { IdentityNumbers } from '../../compile/types.js';
import type { RuleNumbers } from '../model.js';

/** Rule numbers from 1, one per id. */
export function ruleNumbers(): RuleNumbers {
  const known = new Map<string, number>();
  return {
    numberOf(ruleId) {
      const number = known.get(ruleId) ?? known.size + 1;
      known.set(ruleId, number);
      return number;
    },
  };
}

/** Identity or class numbers from 1; a released key's number is never handed out again. */
export function identityNumbers(): IdentityNumbers & { readonly live: ReadonlyMap<string, number> } {
  const live = new Map<string, number>();
  let last = 0;
  return {
    live,
    numberOf(key) {
      const known = live.get(key);
      if (known !== undefined) return known;
      last += 1;
      live.set(key, last);
      return last;
    },
    release(key) {
      live.delete(key);
    },
  };
}
