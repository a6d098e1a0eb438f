// What changes between two policies: in words, object by object, and in reach, which label sets gain or lose which ports.

import type { Identity } from '../compile/identity-table.js';
import { LabelIndex } from '../compile/label-index.js';
import { canonicalDocument } from './canonical.js';
import type { End, Policy, PolicyDocument, PolicyWorkload, Rule } from './model.js';
import { type LabelSet, labelSets, type ReachChange, reachChange } from './reach.js';
import { compare } from './resolve.js';
import { SECTIONS, type Section } from './schema.js';
import { visitSelector } from './selector.js';

/** One object that differs. */
export interface ObjectChange {
  readonly section: Section;
  /** Name or id. */
  readonly key: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** For changed ones: each field that differs, as JSON texts; undefined: absent. */
  readonly fields: readonly {
    readonly field: string;
    readonly before: string | undefined;
    readonly after: string | undefined;
  }[];
}

/** Objects that differ, by section and key. Rules of rule sets stand under `rules`, whichever set they are in. */
export function diffDocuments(before: PolicyDocument, after: PolicyDocument): ObjectChange[] {
  const [old, now] = [objectsOf(before), objectsOf(after)];
  const changes: ObjectChange[] = [];
  for (const id of [...new Set([...old.keys(), ...now.keys()])].sort(compare)) {
    const [a, b] = [old.get(id), now.get(id)];
    const { section, key } = a ?? b ?? { section: 'rules' as const, key: id };
    if (a === undefined || b === undefined) {
      changes.push({ section, key, change: a === undefined ? 'added' : 'removed', fields: [] });
      continue;
    }
    const names = [...new Set([...Object.keys(a.spec), ...Object.keys(b.spec)])];
    const fields = names
      .map((field) => ({ field, before: JSON.stringify(a.spec[field]), after: JSON.stringify(b.spec[field]) }))
      .filter((field) => field.before !== field.after);
    if (fields.length > 0) changes.push({ section, key, change: 'changed', fields });
  }
  return changes;
}

/** What changes in reach between today's workloads. */
export interface ReachDiff {
  readonly changes: readonly ReachChange[];
  /** Pairs that had to be looked at. */
  readonly pairs: number;
  /** Some were left out: there were more than the limit. */
  readonly truncated: boolean;
}

/** Pairs that gain or lose ports. Only pairs that a changed rule is about are looked at, at most `pairsMax` of them. */
export function diffReach(
  before: Policy,
  after: Policy,
  workloads: readonly PolicyWorkload[],
  nowMs: number,
  pairsMax = 200_000,
): ReachDiff {
  const { dimensions, named } = mentions([...before.rules, ...after.rules]);
  const index = new LabelIndex();
  const sets = new Map<LabelSet, Identity>();
  for (const set of labelSets(workloads, dimensions, named)) {
    const identity = asIdentity(set);
    sets.set(set, identity);
    index.add(identity);
  }
  const setOf = new Map([...sets].map(([set, identity]) => [identity, set]));
  const matching = (end: End): readonly Identity[] => {
    if (end.anyone) return [...sets.values()];
    return end.selector === undefined ? [] : index.query(end.selector);
  };
  const pairs = new Map<string, readonly [LabelSet, LabelSet]>();
  let truncated = false;
  for (const rule of changedRules(before, after)) {
    const providers = matching(rule.providedBy);
    for (const consumer of matching(rule.usedBy)) {
      for (const provider of providers) {
        if (pairs.size >= pairsMax) {
          truncated = true;
          break;
        }
        const [from, to] = [setOf.get(consumer), setOf.get(provider)];
        if (from !== undefined && to !== undefined) pairs.set(`${consumer.key}\n${provider.key}`, [from, to]);
      }
    }
  }
  const changes = [...pairs.values()].flatMap(([from, to]) => reachChange(before, after, from, to, nowMs) ?? []);
  return { changes, pairs: pairs.size, truncated };
}

function changedRules(before: Policy, after: Policy): Rule[] {
  const text = (rule: Rule) => JSON.stringify({ ...rule, name: '' });
  const [old, now] = [new Set(before.rules.map(text)), new Set(after.rules.map(text))];
  return [
    ...before.rules.filter((rule) => !now.has(text(rule))),
    ...after.rules.filter((rule) => !old.has(text(rule))),
  ];
}

function mentions(rules: readonly Rule[]) {
  const dimensions = new Set<string>();
  const named = new Set<string>();
  const visit = {
    dimension: (name: string) => void dimensions.add(name),
    workload: (id: string) => void named.add(id),
  };
  for (const rule of rules) {
    for (const { selector } of [rule.providedBy, rule.usedBy])
      if (selector !== undefined) visitSelector(selector, visit);
    for (const dimension of [...rule.same, ...rule.differs]) dimensions.add(dimension);
  }
  return { dimensions: [...dimensions].sort(compare), named };
}

function asIdentity(set: LabelSet): Identity {
  return {
    id: set.id,
    labels: set.labels,
    number: 0,
    key: JSON.stringify([set.id, set.labels]),
    members: new Set(set.members),
    indexed: true,
    wanted: 0,
    hosts: new Map(),
    inbound: undefined,
    outbound: undefined,
  };
}

function objectsOf(document: PolicyDocument) {
  const objects = new Map<string, { section: Section; key: string; spec: Record<string, unknown> }>();
  const add = (section: Section, spec: Record<string, unknown>) => {
    const key = String(spec.id ?? spec.name);
    objects.set(`${section}/${key}`, { section, key, spec });
  };
  const canonical = canonicalDocument(document);
  for (const section of SECTIONS) {
    for (const item of canonical[section]) {
      const spec = { ...item } as Record<string, unknown>;
      if (section === 'ruleSets') {
        for (const rule of spec.rules as readonly Record<string, unknown>[])
          add('rules', { ...rule, ruleSet: spec.id });
        delete spec.rules;
      }
      add(section, spec);
    }
  }
  return objects;
}
