// From a document of names to a policy that can be evaluated, with every check that needs more than one object. Pure and total:
// it always returns a policy, and reports everything wrong with it; only a policy without reports may be used.
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Path } from './end-shape.js';
import type {
  End,
  ModeName,
  ModeRule,
  Policy,
  PolicyDocument,
  PortRange,
  Rule,
  RuleNumbers,
  RuleSetSpec,
  RuleSpec,
  Selector,
} from './model.js';
import { NAME_PATTERN, someOf, USER_GROUP_DIMENSION } from './names.js';
import { isBarePort, looksLikePorts, normalisePorts } from './ports.js';
import { checkDimension, checkValue, type Names, type Report, resolveEnd, resolveSelector } from './resolve-end.js';
import { portsOf, resolveNames } from './resolve-names.js';
import { resolveTest } from './resolve-tests.js';

const MODES: Readonly<Record<ModeName, Mode>> = {
  visibility: Mode.MODE_VISIBILITY,
  test: Mode.MODE_TEST,
  enforce: Mode.MODE_ENFORCE,
};
const CONSTRAINT_BITS = { encrypted: 1, authenticated: 2 } as const;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

interface Context {
  readonly names: Names;
  readonly services: ReadonlyMap<string, readonly PortRange[]>;
  readonly numbers: RuleNumbers;
  readonly report: Report;
}

/** The policy that a document means. Numbers are asked for in the order of rule ids. */
export function resolve(document: PolicyDocument, numbers: RuleNumbers, report: Report): Policy {
  const { names, services, ipLists } = resolveNames(document, report);
  const context: Context = { names, services, numbers, report };
  const pending: {
    readonly spec: RuleSpec;
    readonly path: Path;
    readonly set?: RuleSetSpec;
    readonly setPath?: Path;
  }[] = [];
  document.rules.forEach((spec, index) => {
    pending.push({ spec, path: ['rules', index] });
  });
  document.ruleSets.forEach((set, index) => {
    const setPath = ['ruleSets', index];
    checkScope(set, context, setPath);
    set.rules.forEach((spec, at) => {
      pending.push({ spec, path: [...setPath, 'rules', at], set, setPath });
    });
  });
  checkUnique(document, pending, report);
  const meaning = meaningOfNames(document);
  const seen = new Set<string>();
  const rules = pending
    .sort((a, b) => compare(a.spec.id, b.spec.id))
    .map(({ spec, path, set }) => knownRule(spec, set, context, path, meaning))
    .filter((rule) => !seen.has(rule.id) && seen.add(rule.id))
    .sort((a, b) => a.number - b.number);
  const modes = document.modes.map((spec, index): ModeRule => {
    const path = ['modes', index];
    const both = spec.direction === undefined || spec.direction === 'both';
    return {
      id: spec.id,
      selector: resolveSelector(spec.match, names, report, [...path, 'match']),
      inbound: both || spec.direction === 'inbound',
      outbound: both || spec.direction === 'outbound',
      mode: MODES[spec.mode],
      priority: spec.priority ?? 0,
    };
  });
  checkUserGroups(document, names, report);
  const tests = document.tests.map((spec, index) => resolveTest(spec, names, report, ['tests', index]));
  return { rules, ipLists, modes, tests };
}

/** Rules that give labels by login: they name somebody, and give a value that their dimension permits. */
function checkUserGroups(document: PolicyDocument, names: Names, report: Report): void {
  document.userGroups.forEach((spec, index) => {
    const path = ['userGroups', index];
    if (spec.users === undefined && spec.groups === undefined)
      report(path, 'RF_POLICY_EMPTY', 'users, groups, or both: a rule that names nobody never means everybody');
    if (spec.value === '') report([...path, 'value'], 'RF_POLICY_EMPTY', 'a value');
    else checkValue(USER_GROUP_DIMENSION, spec.value, names, report, [...path, 'value']);
  });
}

function servicePorts(texts: readonly string[], context: Context, path: Path): PortRange[] {
  return normalisePorts(
    texts.flatMap((text, index) => {
      const named = context.services.get(text);
      if (named !== undefined) return [...named];
      const at = [...path, index];
      if (looksLikePorts(text) || isBarePort(text) || !NAME_PATTERN.test(text))
        return portsOf(text, context.report, at);
      context.report(
        at,
        'RF_POLICY_UNKNOWN',
        `ports (tcp/443) or a declared service (${someOf(context.services.keys())})`,
      );
      return [];
    }),
  );
}

function checkScope(set: RuleSetSpec, context: Context, path: Path): void {
  set.scope?.forEach((entry, index) => {
    const at = [...path, 'scope', index];
    const equals = entry.indexOf('=');
    const dimension = equals < 0 ? entry : entry.slice(0, equals);
    if (!checkDimension(dimension, context.names, context.report, at) || equals < 0) return;
    const value = entry.slice(equals + 1);
    if (value === '') context.report(at, 'RF_POLICY_EMPTY', 'a value after the =, or the dimension alone');
    else checkValue(dimension, value, context.names, context.report, at);
  });
}

/** Inside the scope: workload ends have its values, and both ends one value of each bare dimension. */
function scoped(end: End, set: RuleSetSpec | undefined): End {
  if (end.selector === undefined || set?.scope === undefined) return end;
  const parts = set.scope.map((entry): Selector => {
    const equals = entry.indexOf('=');
    if (equals < 0) return { kind: 'exists', dimension: entry };
    return { kind: 'label', dimension: entry.slice(0, equals), values: [entry.slice(equals + 1)] };
  });
  return { ...end, selector: { kind: 'all', of: [end.selector, ...parts] } };
}

/**
 * What a rule came to, and what the names in it meant then. Specs and rules are never changed, so that a rule that is written as it was is
 * the same object: what comes after compares objects first.
 */
const RESOLVED = new WeakMap<RuleSpec, { readonly meaning: string; readonly set: string; readonly rule: Rule }>();

/** The last few of them, so that equal ones are one text: thousands of rules are compared by it. */
const MEANINGS: string[] = [];
const MEANINGS_MAX = 4;

/** All that a rule's names can stand for. */
function meaningOfNames(document: PolicyDocument): string {
  const { dimensions, labelGroups, services, ipLists } = document;
  const text = JSON.stringify([dimensions, labelGroups, services, ipLists.map(({ name }) => name)]);
  const known = MEANINGS.find((meaning) => meaning === text);
  if (known !== undefined) return known;
  MEANINGS.unshift(text);
  MEANINGS.length = Math.min(MEANINGS.length, MEANINGS_MAX);
  return text;
}

/** As resolveRule, once for each spec as long as its names mean the same. What was reported is reported again. */
function knownRule(spec: RuleSpec, set: RuleSetSpec | undefined, context: Context, path: Path, meaning: string): Rule {
  const number = context.numbers.numberOf(spec.id);
  const inSet = set === undefined ? '' : JSON.stringify([set.id, set.enabled, set.scope]);
  const known = RESOLVED.get(spec);
  const holds = known !== undefined && known.meaning === meaning && known.set === inSet;
  if (holds && known.rule.number === number) return known.rule;
  let clean = true;
  const report: Report = (...problem) => {
    clean = false;
    context.report(...problem);
  };
  const rule = holds ? { ...known.rule, number } : resolveRule(spec, set, { ...context, report }, path, number);
  // 0 stands for no number at all: a check, which takes nothing from what is in force.
  if (clean && (number !== 0 || !holds)) RESOLVED.set(spec, { meaning, set: inSet, rule });
  return rule;
}

function resolveRule(spec: RuleSpec, set: RuleSetSpec | undefined, context: Context, path: Path, number: number): Rule {
  const { names, report } = context;
  const providedBy = resolveEnd(spec.providedBy, names, report, [...path, 'providedBy']);
  const usedBy = resolveEnd(spec.usedBy, names, report, [...path, 'usedBy']);
  checkEnds(spec, providedBy, usedBy, report, path);
  for (const key of ['same', 'differs'] as const) {
    spec[key]?.forEach((dimension, index) => {
      checkDimension(dimension, names, report, [...path, key, index]);
      if (key === 'differs' && spec.same?.includes(dimension)) {
        report(
          [...path, key, index],
          'RF_POLICY_RELATION',
          'a dimension that is not in same as well: no pair can be both',
        );
      }
    });
  }
  const same = set?.scope?.filter((entry) => !entry.includes('=')) ?? [];
  spec.differs?.forEach((dimension, index) => {
    if (!same.includes(dimension)) return;
    report(
      [...path, 'differs', index],
      'RF_POLICY_RELATION',
      `a dimension outside the scope: inside it both ends have one ${dimension}`,
    );
  });
  const expires = spec.expires === undefined ? undefined : parseInstant(spec.expires);
  if (spec.expires !== undefined && expires === undefined) {
    report([...path, 'expires'], 'RF_POLICY_TIME', 'an ISO 8601 instant with zone, such as 2027-01-31T18:00:00Z');
  }
  const both = spec.direction === undefined || spec.direction === 'both';
  return {
    id: spec.id,
    number,
    name: spec.name ?? '',
    action: spec.action ?? 'allow',
    ports: servicePorts(spec.service, context, [...path, 'service']),
    providedBy: scoped(providedBy, set),
    usedBy: scoped(usedBy, set),
    inbound: both || spec.direction === 'inbound',
    outbound: both || spec.direction === 'outbound',
    same: [...new Set([...(spec.same ?? []), ...same])].sort(),
    differs: [...new Set(spec.differs ?? [])].sort(),
    constraints: (spec.constraints ?? []).reduce((bits, constraint) => bits | CONSTRAINT_BITS[constraint], 0),
    enabled: (spec.enabled ?? true) && (set?.enabled ?? true),
    expiresMs: expires,
    ruleSet: set?.id ?? '',
  };
}

/** Unix milliseconds of an instant; undefined when it is none, as 30 February. */
function parseInstant(text: string): number | undefined {
  const ms = Date.parse(text);
  const [year, month, day] = text.split(/[-T]/, 3).map(Number);
  if (!INSTANT.test(text) || Number.isNaN(ms)) return undefined;
  return (day ?? 0) <= new Date(Date.UTC(year ?? 0, month ?? 0, 0)).getUTCDate() ? ms : undefined;
}

/** A rule that no workload can enforce, or a relation with an end that has no labels, is a mistake. */
function checkEnds(spec: RuleSpec, providedBy: End, usedBy: End, report: Report, path: Path): void {
  const enforceable = (end: End) => end.anyone || end.selector !== undefined;
  if (!enforceable(providedBy) && (!enforceable(usedBy) || spec.direction === 'inbound')) {
    report(
      [...path, 'providedBy'],
      'RF_POLICY_END',
      'workloads (or anyone) at an end that this rule decides at, not IP lists only',
    );
  } else if (!enforceable(usedBy) && spec.direction === 'outbound') {
    report(
      [...path, 'usedBy'],
      'RF_POLICY_END',
      'workloads (or anyone) at an end that this rule decides at, not IP lists only',
    );
  }
  if (spec.same === undefined && spec.differs === undefined) return;
  for (const [key, end] of [
    ['providedBy', providedBy],
    ['usedBy', usedBy],
  ] as const) {
    if (!end.anyone && end.ipLists.length === 0) continue;
    report(
      [...path, key],
      'RF_POLICY_RELATION',
      'a selector of workloads: same and differs compare the labels of both ends',
    );
  }
}

/** Names and ids are unique within their kind, also when only upper and lower case tell them apart. */
function checkUnique(document: PolicyDocument, rules: readonly { spec: RuleSpec; path: Path }[], report: Report): void {
  const check = (items: readonly { readonly key: string; readonly path: Path }[]) => {
    const seen = new Map<string, string>();
    for (const { key, path } of items) {
      const before = seen.get(key.toLowerCase());
      if (before !== undefined)
        report(path, 'RF_POLICY_DUPLICATE', `a name of its own: ${before} is taken, letter case aside`);
      else seen.set(key.toLowerCase(), key);
    }
  };
  for (const section of ['dimensions', 'labelGroups', 'ipLists', 'services', 'tests'] as const) {
    check(document[section].map((spec, index) => ({ key: spec.name, path: [section, index, 'name'] })));
  }
  for (const section of ['ruleSets', 'modes', 'userGroups'] as const) {
    check(document[section].map((spec, index) => ({ key: spec.id, path: [section, index, 'id'] })));
  }
  check(rules.map(({ spec, path }) => ({ key: spec.id, path: [...path, 'id'] })));
}

/** Orders texts by code unit: the same on every machine. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
