// Label to identities, so that a selector is answered from its rarest label instead of by a scan. Posting lists are sets of
// identities and not bitmaps: a value is typically held by a handful of identities out of very many, and a bitmap per value
// would cost identities / 8 bytes for each of them.
import type { Selector } from '../policy/model.js';
import { selectorMatches } from '../policy/selector.js';
import type { Identity } from './identity-table.js';

const NONE: ReadonlySet<Identity> = new Set();

export class LabelIndex {
  readonly #all = new Set<Identity>();
  readonly #postings = new Map<string, Set<Identity>>();

  add(identity: Identity): void {
    this.#all.add(identity);
    for (const key of postingKeys(identity)) {
      const posting = this.#postings.get(key);
      if (posting === undefined) this.#postings.set(key, new Set([identity]));
      else posting.add(identity);
    }
  }

  remove(identity: Identity): void {
    this.#all.delete(identity);
    for (const key of postingKeys(identity)) {
      const posting = this.#postings.get(key);
      posting?.delete(identity);
      if (posting?.size === 0) this.#postings.delete(key);
    }
  }

  /** Every identity that the selectors match together. */
  query(...selectors: readonly Selector[]): Identity[] {
    const found: Identity[] = [];
    const selector: Selector = { kind: 'all', of: selectors };
    const seen = new Set<Identity>();
    for (const posting of this.#candidates(selector)) {
      for (const identity of posting) {
        if (seen.has(identity) || !selectorMatches(selector, identity)) continue;
        seen.add(identity);
        found.push(identity);
      }
    }
    return found;
  }

  /** Posting lists that together contain every match: those of the cheapest part. */
  #candidates(selector: Selector): readonly ReadonlySet<Identity>[] {
    switch (selector.kind) {
      case 'label':
        return selector.values.map((value) => this.#postings.get(`${selector.dimension}=${value}`) ?? NONE);
      case 'exists':
        return [this.#postings.get(selector.dimension) ?? NONE];
      case 'workload':
        return selector.ids.map((id) => this.#postings.get(`@${id}`) ?? NONE);
      case 'any':
        return selector.of.flatMap((part) => this.#candidates(part));
      case 'all': {
        let best: readonly ReadonlySet<Identity>[] = [this.#all];
        let bestSize = this.#all.size;
        for (const part of selector.of) {
          const candidates = this.#candidates(part);
          const size = candidates.reduce((sum, posting) => sum + posting.size, 0);
          if (size < bestSize) [best, bestSize] = [candidates, size];
        }
        return best;
      }
      default:
        return [this.#all];
    }
  }
}

/** The keys under which an identity is found: `dim=value`, `dim`, and `@id` when a rule names its workload. */
export function postingKeys(identity: Pick<Identity, 'id' | 'labels'>): string[] {
  const keys = identity.id === '' ? [] : [`@${identity.id}`];
  for (const [dimension, value] of Object.entries(identity.labels)) keys.push(`${dimension}=${value}`, dimension);
  return keys;
}
