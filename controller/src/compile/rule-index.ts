// Identity to rules: the rules an identity is an end of, found from its own labels. Each selector hangs under anchors, keys of
// which every match holds at least one; an identity looks only under its own keys.
import type { End, Rule, Selector } from '../policy/model.js';
import { selectorMatches } from '../policy/selector.js';
import type { Identity } from './identity-table.js';
import { postingKeys } from './label-index.js';
import type { SetNode } from './set-node.js';

/** A rule that is in force now. Rule content never changes: a changed rule is another ActiveRule with a new serial. */
export interface ActiveRule {
  readonly rule: Rule;
  /** Tells contents of one rule number apart; never leaves the compiler. */
  readonly serial: number;
  /** Nodes that carry this rule: at its provider's end (inbound) and at its consumer's (outbound). */
  readonly inboundNodes: Set<SetNode>;
  readonly outboundNodes: Set<SetNode>;
}

export type Side = 'provider' | 'consumer';

interface Hung {
  readonly active: ActiveRule;
  readonly side: Side;
  readonly selector: Selector;
}

/** Matches of this anchor can be anybody. */
const EVERYBODY = '*';

export class RuleIndex {
  readonly #anchors = new Map<string, Set<Hung>>();
  readonly #hung = new Map<ActiveRule, { readonly entry: Hung; readonly keys: readonly string[] }[]>();
  /** Rules with anyone at an end: every identity is subject to them there. */
  readonly #anyone: Readonly<Record<Side, Set<ActiveRule>>> = { provider: new Set(), consumer: new Set() };

  add(active: ActiveRule): void {
    const hung: { entry: Hung; keys: readonly string[] }[] = [];
    for (const side of ['provider', 'consumer'] as const) {
      const end = endOf(active.rule, side);
      if (end.anyone) this.#anyone[side].add(active);
      if (end.selector === undefined) continue;
      const entry: Hung = { active, side, selector: end.selector };
      const keys = this.#anchorsOf(end.selector);
      for (const key of keys) {
        const bucket = this.#anchors.get(key);
        if (bucket === undefined) this.#anchors.set(key, new Set([entry]));
        else bucket.add(entry);
      }
      hung.push({ entry, keys });
    }
    this.#hung.set(active, hung);
  }

  remove(active: ActiveRule): void {
    this.#anyone.provider.delete(active);
    this.#anyone.consumer.delete(active);
    for (const { entry, keys } of this.#hung.get(active) ?? []) {
      for (const key of keys) {
        const bucket = this.#anchors.get(key);
        bucket?.delete(entry);
        if (bucket?.size === 0) this.#anchors.delete(key);
      }
    }
    this.#hung.delete(active);
  }

  /** Rules with anyone at this end. */
  anyone(side: Side): ReadonlySet<ActiveRule> {
    return this.#anyone[side];
  }

  /** Rules whose selector at an end matches this identity. */
  matching(identity: Identity): Readonly<Record<Side, ReadonlySet<ActiveRule>>> {
    const found = { provider: new Set<ActiveRule>(), consumer: new Set<ActiveRule>() };
    const look = (key: string) => {
      for (const { active, side, selector } of this.#anchors.get(key) ?? []) {
        if (!found[side].has(active) && selectorMatches(selector, identity)) found[side].add(active);
      }
    };
    look(EVERYBODY);
    for (const key of postingKeys(identity)) look(key);
    return found;
  }

  /** Of an `all` the part whose anchors carry the fewest rules so far; of an `any` those of all parts. */
  #anchorsOf(selector: Selector): readonly string[] {
    switch (selector.kind) {
      case 'label':
        return selector.values.map((value) => `${selector.dimension}=${value}`);
      case 'exists':
        return [selector.dimension];
      case 'workload':
        return selector.ids.map((id) => `@${id}`);
      case 'any': {
        const keys = new Set(selector.of.flatMap((part) => this.#anchorsOf(part)));
        return keys.has(EVERYBODY) ? [EVERYBODY] : [...keys];
      }
      case 'all': {
        let best: readonly string[] = [EVERYBODY];
        let bestLoad = Number.POSITIVE_INFINITY;
        for (const part of selector.of) {
          const keys = this.#anchorsOf(part);
          if (keys.includes(EVERYBODY)) continue;
          const load = keys.reduce((sum, key) => sum + 1 + (this.#anchors.get(key)?.size ?? 0), 0);
          if (load < bestLoad) [best, bestLoad] = [keys, load];
        }
        return best;
      }
      default:
        return [EVERYBODY];
    }
  }
}

/** The end of a rule at this side. */
export function endOf(rule: Rule, side: Side): End {
  return side === 'provider' ? rule.providedBy : rule.usedBy;
}
