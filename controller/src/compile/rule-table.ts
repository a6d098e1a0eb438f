// The rules in force now, out of the provisioned policy and the time; says what changed, by content and not by object.
import type { Policy, Rule } from '../policy/model.js';
import { visitSelector } from '../policy/selector.js';
import { adjust } from './counts.js';
import type { Relevance } from './identity-table.js';
import type { ActiveRule } from './rule-index.js';

export interface RuleChanges {
  readonly added: readonly ActiveRule[];
  readonly removed: readonly ActiveRule[];
}

export class RuleTable {
  readonly #active = new Map<number, ActiveRule>();
  readonly #mentions = { dimensions: new Mentions(), workloads: new Mentions(), ipLists: new Mentions() };
  #serial = 0;

  /** Takes over the rules of a policy that are enabled and not expired. Cheap for a rule that is the same object as before. */
  update(policy: Policy, nowMs: number): RuleChanges {
    const added: ActiveRule[] = [];
    const removed: ActiveRule[] = [];
    const seen = new Set<number>();
    for (const rule of policy.rules) {
      if (!rule.enabled || (rule.expiresMs !== undefined && rule.expiresMs <= nowMs)) continue;
      seen.add(rule.number);
      const before = this.#active.get(rule.number);
      if (before !== undefined && sameRule(before.rule, rule)) continue;
      if (before !== undefined) removed.push(before);
      this.#serial += 1;
      const active: ActiveRule = { rule, serial: this.#serial, inboundNodes: new Set(), outboundNodes: new Set() };
      this.#active.set(rule.number, active);
      added.push(active);
    }
    for (const [number, active] of this.#active) {
      if (seen.has(number)) continue;
      removed.push(active);
      this.#active.delete(number);
    }
    for (const { rule } of added) this.#mention(rule, 1);
    for (const { rule } of removed) this.#mention(rule, -1);
    return { added, removed };
  }

  /** Names of the IP lists that rules in force mention. */
  ipLists(): readonly string[] {
    return this.#mentions.ipLists.names();
  }

  /** The dimensions and workload ids that rules in force and modes mention. */
  relevance(policy: Policy): Relevance {
    const dimensions = new Set(this.#mentions.dimensions.names());
    const workloads = new Set(this.#mentions.workloads.names());
    const visit = {
      dimension: (name: string) => void dimensions.add(name),
      workload: (id: string) => void workloads.add(id),
    };
    for (const mode of policy.modes) visitSelector(mode.selector, visit);
    return { dimensions: [...dimensions].sort(), workloads };
  }

  #mention(rule: Rule, by: 1 | -1): void {
    const { dimensions, workloads, ipLists } = this.#mentions;
    const visit = {
      dimension: (name: string) => dimensions.count(name, by),
      workload: (id: string) => workloads.count(id, by),
    };
    for (const end of [rule.providedBy, rule.usedBy]) {
      if (end.selector !== undefined) visitSelector(end.selector, visit);
      for (const name of end.ipLists) ipLists.count(name, by);
    }
    for (const dimension of [...rule.same, ...rule.differs]) dimensions.count(dimension, by);
  }
}

/** Names with the number of times that rules mention them. */
class Mentions {
  readonly #counts = new Map<string, number>();

  count(name: string, by: 1 | -1): void {
    adjust(this.#counts, name, by);
  }

  names(): readonly string[] {
    return [...this.#counts.keys()].sort();
  }
}

/** The earliest instant after now at which a rule expires. */
export function nextExpiryMs(policy: Policy, nowMs: number): number | undefined {
  let next: number | undefined;
  for (const { enabled, expiresMs } of policy.rules) {
    if (enabled && expiresMs !== undefined && expiresMs > nowMs && (next === undefined || expiresMs < next))
      next = expiresMs;
  }
  return next;
}

/** Same meaning for the compiler: names do not count. */
function sameRule(a: Rule, b: Rule): boolean {
  if (a === b) return true;
  const meaning = ({ name: _name, ruleSet: _set, expiresMs: _expires, id: _id, ...rest }: Rule) => JSON.stringify(rest);
  return meaning(a) === meaning(b);
}
