// What is odd about a policy that is not wrong: rules that contradict, repeat or swallow each other, match nobody, are never hit,
// or are wider than anyone can mean. Findings never refuse anything.
import { formatPrefix } from '@ringfence/proto/address.js';
import type { End, Policy, PolicyWorkload, PortRange, Rule, Selector } from './model.js';
import { includes, type PortSet, portSetOf } from './port-set.js';
import { ANY_PROTOCOL } from './ports.js';
import { labelSets } from './reach.js';
import { compare } from './resolve.js';
import { selectorMatches, visitSelector } from './selector.js';

export type FindingKind = 'conflict' | 'shadowed' | 'redundant' | 'unused' | 'broad' | 'nobody' | 'expired';

export interface Finding {
  readonly kind: FindingKind;
  /** Id of the rule or mode. */
  readonly rule: string;
  /** The other rule it is about; empty: none. */
  readonly other: string;
  /** One sentence with the next step. */
  readonly text: string;
}

/** What lint may know beside the policy. */
export interface LintFacts {
  /** Today's workloads; undefined: not known, nothing is said about them. */
  readonly workloads?: readonly PolicyWorkload[];
  /** Connections by rule number in the window looked at; undefined: not known. */
  readonly hits?: ReadonlyMap<number, number>;
  readonly nowMs: number;
}

/** All findings, by rule number and kind. */
export function lint(policy: Policy, facts: LintFacts): Finding[] {
  return [...lintSteps(policy, facts)].flat();
}

/** The same in steps, one per rule: comparing each rule with all others takes seconds where there are thousands. */
export function* lintSteps(policy: Policy, facts: LintFacts): Generator<Finding[]> {
  const expired = (rule: Rule) => rule.expiresMs !== undefined && rule.expiresMs <= facts.nowMs;
  const live = policy.rules
    .filter((rule) => rule.enabled && !expired(rule))
    .map((rule) => ({ rule, ports: portSetOf(rule.ports) }));
  const crowd = new Crowd(policy, facts.workloads);
  let findings: Finding[] = [];
  const add = (kind: FindingKind, rule: string, text: string, other = '') => findings.push({ kind, rule, other, text });
  for (const rule of policy.rules.filter(expired))
    add('expired', rule.id, `rule ${rule.id} has expired: remove it or give it a new date`);
  for (const entry of live) {
    const { rule } = entry;
    const wide = breadth(policy, rule);
    if (wide !== undefined) add('broad', rule.id, `rule ${rule.id} allows ${wide}: narrow its ends or its service`);
    if (facts.hits !== undefined && (facts.hits.get(rule.number) ?? 0) === 0) {
      add('unused', rule.id, `no connection met rule ${rule.id} in the time looked at: remove it if it is not needed`);
    }
    for (const [name, end] of [
      ['providedBy', rule.providedBy],
      ['usedBy', rule.usedBy],
    ] as const) {
      if (facts.workloads !== undefined && crowd.matchesNobody(end)) {
        add('nobody', rule.id, `${name} of rule ${rule.id} matches no workload today: check the labels it names`);
      }
    }
    compareWithOthers(entry, live, crowd, add);
    yield findings;
    findings = [];
  }
  for (const mode of facts.workloads === undefined ? [] : policy.modes) {
    if (crowd.matching(mode.selector).size > 0) continue;
    add('nobody', mode.id, `mode ${mode.id} matches no workload today: check the labels it names`);
  }
  yield findings;
}

interface LiveRule {
  readonly rule: Rule;
  readonly ports: PortSet;
}

/** Today's workloads, those that no selector can tell apart taken as one, and who matches what. */
class Crowd {
  readonly #workloads: readonly PolicyWorkload[];
  readonly #matching = new WeakMap<Selector, ReadonlySet<PolicyWorkload>>();

  constructor(policy: Policy, workloads: readonly PolicyWorkload[] = []) {
    const dimensions = new Set<string>();
    const named = new Set<string>();
    const visit = { dimension: (name: string) => dimensions.add(name), workload: (id: string) => named.add(id) };
    for (const { providedBy, usedBy } of policy.rules) {
      for (const { selector } of [providedBy, usedBy]) if (selector !== undefined) visitSelector(selector, visit);
    }
    for (const { selector } of policy.modes) visitSelector(selector, visit);
    this.#workloads = labelSets(workloads, [...dimensions].sort(compare), named);
  }

  matching(selector: Selector): ReadonlySet<PolicyWorkload> {
    let found = this.#matching.get(selector);
    if (found === undefined) {
      found = new Set(this.#workloads.filter((workload) => selectorMatches(selector, workload)));
      this.#matching.set(selector, found);
    }
    return found;
  }

  matchesNobody({ anyone, ipLists, selector }: End): boolean {
    return !anyone && ipLists.length === 0 && selector !== undefined && this.matching(selector).size === 0;
  }

  /** True when some workload stands at both ends. */
  meets(a: End, b: End): boolean {
    if ((a.anyone && !this.matchesNobody(b)) || (b.anyone && !this.matchesNobody(a))) return true;
    if (a.ipLists.some((name) => b.ipLists.includes(name))) return true;
    if (a.selector === undefined || b.selector === undefined) return false;
    const others = this.matching(b.selector);
    for (const workload of this.matching(a.selector)) if (others.has(workload)) return true;
    return false;
  }
}

function compareWithOthers(
  { rule, ports }: LiveRule,
  live: readonly LiveRule[],
  crowd: Crowd,
  add: (kind: FindingKind, rule: string, text: string, other: string) => void,
): void {
  for (const { rule: other, ports: otherPorts } of live) {
    // Most pairs have nothing to do with each other: the cheap questions come first.
    if (other === rule || !touch(rule.ports, other.ports)) continue;
    const covered = coversRule(other, rule) && includes(otherPorts, ports);
    if (covered && other.action === rule.action) {
      // Of two equal rules the later one is the redundant one.
      const mutual = coversRule(rule, other) && includes(ports, otherPorts);
      if (!mutual || other.number < rule.number) {
        add(
          'redundant',
          rule.id,
          `rule ${rule.id} says nothing that rule ${other.id} does not say: remove it`,
          other.id,
        );
      }
    } else if (covered && rule.action === 'allow') {
      add('shadowed', rule.id, `rule ${rule.id} can never allow anything: deny rule ${other.id} covers it`, other.id);
    } else if (rule.action === 'allow' && other.action === 'deny' && meet(rule, other, crowd)) {
      add(
        'conflict',
        rule.id,
        `rule ${rule.id} allows what deny rule ${other.id} forbids for some workloads: the deny wins`,
        other.id,
      );
    }
  }
}

/** True when the wider rule surely speaks about every pair that the narrower does. Sound, not complete. */
function coversRule(wide: Rule, narrow: Rule): boolean {
  const direction = (wide.inbound || !narrow.inbound) && (wide.outbound || !narrow.outbound);
  const relation = subset(wide.same, narrow.same) && subset(wide.differs, narrow.differs);
  return (
    direction && relation && coversEnd(wide.providedBy, narrow.providedBy) && coversEnd(wide.usedBy, narrow.usedBy)
  );
}

function coversEnd(wide: End, narrow: End): boolean {
  if (wide.anyone) return true;
  if (narrow.anyone || !subset(narrow.ipLists, wide.ipLists)) return false;
  if (narrow.selector === undefined) return true;
  return wide.selector !== undefined && coversSelector(wide.selector, narrow.selector);
}

/** True when whatever matches `narrow` surely matches `wide`. Sound, not complete. */
export function coversSelector(wide: Selector, narrow: Selector): boolean {
  if (wide.kind === 'every' || textOf(wide) === textOf(narrow)) return true;
  if (narrow.kind === 'any') return narrow.of.every((part) => coversSelector(wide, part));
  if (wide.kind === 'all') return wide.of.every((part) => coversSelector(part, narrow));
  if (wide.kind === 'any' && wide.of.some((part) => coversSelector(part, narrow))) return true;
  if (narrow.kind === 'all') return narrow.of.some((part) => coversSelector(wide, part));
  if (wide.kind === 'label' && narrow.kind === 'label') {
    return wide.dimension === narrow.dimension && subset(narrow.values, wide.values);
  }
  if (wide.kind === 'exists')
    return (narrow.kind === 'label' || narrow.kind === 'exists') && wide.dimension === narrow.dimension;
  if (wide.kind === 'workload' && narrow.kind === 'workload') return subset(narrow.ids, wide.ids);
  return wide.kind === 'not' && narrow.kind === 'not' && coversSelector(narrow.of, wide.of);
}

/** True when some workload stands at the same end of both rules, at either end (or is an address there). */
function meet(a: Rule, b: Rule, crowd: Crowd): boolean {
  if (!((a.inbound && b.inbound) || (a.outbound && b.outbound))) return false;
  return crowd.meets(a.providedBy, b.providedBy) && crowd.meets(a.usedBy, b.usedBy);
}

/** True when two lists of ports have one in common. */
function touch(a: readonly PortRange[], b: readonly PortRange[]): boolean {
  return a.some((x) =>
    b.some(
      (y) =>
        x.protocol === ANY_PROTOCOL ||
        y.protocol === ANY_PROTOCOL ||
        (x.protocol === y.protocol && x.low <= y.high && y.low <= x.high),
    ),
  );
}

function breadth(policy: Policy, rule: Rule): string | undefined {
  if (rule.action === 'deny') return undefined;
  const everything = rule.ports.some((range) => range.protocol === 256);
  const related = rule.same.length > 0 || rule.differs.length > 0;
  const width = (end: End) => (end.anyone ? 2 : end.selector?.kind === 'every' && !related ? 1 : 0);
  if (width(rule.providedBy) > 0 && width(rule.usedBy) > 0) return 'every workload to reach every other';
  if (everything && width(rule.usedBy) === 2) return 'anyone to use every port';
  const zero = [...rule.usedBy.ipLists, ...rule.providedBy.ipLists]
    .flatMap((name) => policy.ipLists.get(name)?.include ?? [])
    .find((prefix) => prefix.length === 0 || (prefix.length === 96 && formatPrefix(prefix) === '0.0.0.0/0'));
  return everything && zero !== undefined ? `every port for ${formatPrefix(zero)}` : undefined;
}

const texts = new WeakMap<Selector, string>();

/** A selector as text, made once. */
function textOf(selector: Selector): string {
  let text = texts.get(selector);
  if (text === undefined) {
    text = JSON.stringify(selector);
    texts.set(selector, text);
  }
  return text;
}

function subset(part: readonly string[], whole: readonly string[]): boolean {
  return part.every((item) => whole.includes(item));
}
