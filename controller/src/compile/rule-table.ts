// The rules in force now, out of the provisioned policy and the time; says what changed, by content and not by object.
import type { Policy, Rule } from '../policy/model.js';
import { sameFields } from '../policy/same-value.js';
import { visitSelector } from '../policy/selector.js';
import { adjust } from './counts.js';
import type { Relevance } from './identity-table.js';
import type { ActiveRule } from './rule-index.js';

export interface RuleChanges {
  readonly added: readonly ActiveRule[];
  readonly removed: readonly ActiveRule[];
}

export class RuleTable {
  /** By rule id: of two policies side by side both may have a rule of one number. */
  readonly #active = new Map<string, ActiveRule>();
  readonly #mentions = { dimensions: new Mentions(), workloads: new Mentions(), ipLists: new Mentions() };
  #serial = 0;
  /** As of the last update. */
  #rules: readonly Rule[] = [];
  /** Those in force that expire: id to instant. */
  readonly #expiring = new Map<string, number>();

  /**
   * Takes over the rules of a policy that are enabled and not expired. Rules that are the same objects as before, at the beginning
   * and at the end of the list, cost next to nothing: a policy with one more rule does not look at the others.
   */
  update(policy: Policy, nowMs: number): RuleChanges {
    const added: ActiveRule[] = [];
    const removed: ActiveRule[] = [];
    const seen = new Set<string>();
    // When time itself ended a rule, any of them may be that one.
    const expired = (this.nextExpiryMs() ?? Number.POSITIVE_INFINITY) <= nowMs;
    const [before, now] = expired ? [this.#rules, policy.rules] : differing(this.#rules, policy.rules);
    for (const rule of now) {
      if (!isActive(rule, nowMs)) continue;
      seen.add(rule.id);
      if (rule.expiresMs === undefined) this.#expiring.delete(rule.id);
      else this.#expiring.set(rule.id, rule.expiresMs);
      const old = this.#active.get(rule.id);
      if (old !== undefined && sameRule(old.rule, rule)) continue;
      if (old !== undefined) removed.push(old);
      this.#serial += 1;
      const active: ActiveRule = { rule, serial: this.#serial, inboundNodes: new Set(), outboundNodes: new Set() };
      this.#active.set(rule.id, active);
      added.push(active);
    }
    for (const { id } of before) {
      const old = seen.has(id) ? undefined : this.#active.get(id);
      if (old === undefined) continue;
      removed.push(old);
      this.#active.delete(id);
      this.#expiring.delete(id);
    }
    this.#rules = policy.rules;
    for (const { rule } of added) this.#mention(rule, 1);
    for (const { rule } of removed) this.#mention(rule, -1);
    return { added, removed };
  }

  /** The earliest instant at which a rule in force expires; undefined: none does. */
  nextExpiryMs(): number | undefined {
    let next: number | undefined;
    for (const expiresMs of this.#expiring.values()) if (next === undefined || expiresMs < next) next = expiresMs;
    return next;
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

function isActive(rule: Rule, nowMs: number): boolean {
  return rule.enabled && (rule.expiresMs === undefined || rule.expiresMs > nowMs);
}

/** Two lists without the objects that they share at their beginning and at their end. */
function differing<T>(before: readonly T[], now: readonly T[]): readonly [T[], T[]] {
  const shorter = Math.min(before.length, now.length);
  let first = 0;
  while (first < shorter && before[first] === now[first]) first += 1;
  let last = 0;
  while (last < shorter - first && before[before.length - 1 - last] === now[now.length - 1 - last]) last += 1;
  return [before.slice(first, before.length - last), now.slice(first, now.length - last)];
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

/** What of a rule says nothing to the compiler. */
const NAMES: ReadonlySet<string> = new Set(['name', 'ruleSet', 'expiresMs', 'id'] satisfies (keyof Rule)[]);

/** Same meaning for the compiler: names do not count. A policy that was read anew is compared rule by rule, so this must be quick. */
function sameRule(a: Rule, b: Rule): boolean {
  return a === b || sameFields(a, b, NAMES);
}
