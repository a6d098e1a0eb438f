// Two policies in force at once, each for its own workloads: a canary. The result is an ordinary policy, so that compiler, capacity
// check and evaluator need to know nothing of it.
//
// A decision belongs to one workload, the one at whose end it is made. So every rule that the two do not share is narrowed to its
// subject: at the provider for inbound, at the consumer for outbound. Its peer end stays as it is written. What follows for a
// connection between a canary workload and another one: each end decides by its own policy, and both must allow it.
import { prefixKey } from '@ringfence/proto/address.js';
import type { End, IpList, ModeRule, Policy, PolicyWorkload, Rule, Selector } from './model.js';
import { selectorMatches } from './selector.js';

/** The policy that decides at this workload's end. */
export function policyOf<P>(base: P, candidate: P, canary: Selector, workload: PolicyWorkload): P {
  return selectorMatches(canary, workload) ? candidate : base;
}

/** One policy under which workloads that `canary` selects are decided by `candidate`, all others by `base`. Tests are left out. */
export function sideBySide(base: Policy, candidate: Policy, canary: Selector): Policy {
  const lists = mergeLists(base.ipLists, candidate.ipLists);
  const theirs = candidate.rules.map((rule) => withLists(rule, lists.renamed));
  const shared = new Map(base.rules.map((rule) => [meaning(rule), rule]));
  const common = new Set(theirs.map(meaning).filter((text) => shared.has(text)));
  const others: Selector = { kind: 'not', of: canary };
  const rules = [
    ...base.rules.flatMap((rule) => (common.has(meaning(rule)) ? [rule] : narrowed(rule, others, 'base'))),
    ...theirs.flatMap((rule) => (common.has(meaning(rule)) ? [] : narrowed(rule, canary, 'canary'))),
  ];
  return {
    rules: rules.sort((a, b) => a.number - b.number || (a.id < b.id ? -1 : 1)),
    ipLists: lists.all,
    modes: [
      ...base.modes.map((mode) => narrowedMode(mode, others, 'base')),
      ...candidate.modes.map((mode) => narrowedMode(mode, canary, 'canary')),
    ],
    tests: [],
  };
}

/** A rule as it holds for these subjects: apart for each direction, since its subject is another end in each. */
function narrowed(rule: Rule, subjects: Selector, part: string): Rule[] {
  const halves: Rule[] = [];
  const half = (direction: 'inbound' | 'outbound', own: End, ends: Pick<Rule, 'providedBy' | 'usedBy'>) =>
    halves.push({
      ...rule,
      ...ends,
      // A relation does not touch an end that is anyone; narrowed, that end is a selection and must stay outside of it.
      same: own.anyone ? [] : rule.same,
      differs: own.anyone ? [] : rule.differs,
      id: `${rule.id} (${part} ${direction})`,
      inbound: direction === 'inbound',
      outbound: direction === 'outbound',
    });
  const [provider, consumer] = [subjectEnd(rule.providedBy, subjects), subjectEnd(rule.usedBy, subjects)];
  if (rule.inbound && provider !== undefined)
    half('inbound', rule.providedBy, { providedBy: provider, usedBy: rule.usedBy });
  if (rule.outbound && consumer !== undefined)
    half('outbound', rule.usedBy, { providedBy: rule.providedBy, usedBy: consumer });
  return halves;
}

/** An end that only subjects match; undefined when it has none: IP lists never match a subject. */
function subjectEnd(end: End, subjects: Selector): End | undefined {
  const own = end.anyone ? ({ kind: 'every' } as const) : end.selector;
  return own && { anyone: false, selector: both(own, subjects), ipLists: [] };
}

function narrowedMode(mode: ModeRule, subjects: Selector, part: string): ModeRule {
  return { ...mode, id: `${mode.id} (${part})`, selector: both(mode.selector, subjects) };
}

function both(a: Selector, b: Selector): Selector {
  return a.kind === 'every' ? b : { kind: 'all', of: [a, b] };
}

/** Lists of one name and two contents are two lists. */
function mergeLists(base: ReadonlyMap<string, IpList>, candidate: ReadonlyMap<string, IpList>) {
  const all = new Map(base);
  const renamed = new Map<string, string>();
  for (const [name, list] of candidate) {
    const known = base.get(name);
    if (known === undefined || content(known) === content(list)) {
      all.set(name, known ?? list);
      continue;
    }
    // No list can be called so by its author.
    const other = `${name} (canary)`;
    renamed.set(name, other);
    all.set(other, { ...list, name: other });
  }
  return { all, renamed };
}

function withLists(rule: Rule, renamed: ReadonlyMap<string, string>): Rule {
  const touched = (end: End) => end.ipLists.some((name) => renamed.has(name));
  if (!touched(rule.providedBy) && !touched(rule.usedBy)) return rule;
  const end = (old: End): End => ({ ...old, ipLists: old.ipLists.map((name) => renamed.get(name) ?? name).sort() });
  return { ...rule, providedBy: end(rule.providedBy), usedBy: end(rule.usedBy) };
}

function content({ include, exclude }: IpList): string {
  return JSON.stringify([include.map(prefixKey), exclude.map(prefixKey)]);
}

/** Equal for rules that decide alike. */
function meaning({ name: _name, ruleSet: _ruleSet, ...rest }: Rule): string {
  return JSON.stringify(rest);
}
