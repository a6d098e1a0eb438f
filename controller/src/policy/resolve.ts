// From a document of names to a policy that can be evaluated, with every check that needs more than one object. Pure and total:
// it always returns a policy, and reports everything wrong with it; only a policy without reports may be used.
import { type AddressPrefix, parseAddress, parsePrefix, prefixCovers } from '@ringfence/proto/address.js';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Path } from './end-shape.js';
import type {
  End,
  IpList,
  IpListSpec,
  ModeName,
  ModeRule,
  Policy,
  PolicyDocument,
  PolicyTest,
  PortRange,
  Rule,
  RuleNumbers,
  RuleSetSpec,
  RuleSpec,
  Selector,
  TestEndSpec,
  TestSpec,
} from './model.js';
import { DEFAULT_DIMENSIONS, NAME_PATTERN, someOf, USER_GROUP_DIMENSION } from './names.js';
import { ANY_PROTOCOL, isBarePort, looksLikePorts, normalisePorts, parsePorts } from './ports.js';
import { checkDimension, checkValue, type Names, type Report, resolveEnd, resolveSelector } from './resolve-end.js';

const MODES: Readonly<Record<ModeName, Mode>> = {
  visibility: Mode.MODE_VISIBILITY,
  test: Mode.MODE_TEST,
  enforce: Mode.MODE_ENFORCE,
};
const CONSTRAINT_BITS = { encrypted: 1, authenticated: 2 } as const;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;
const HOST_NAME = /^(\*\.)?[A-Za-z][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)*\.?$/;

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
  const seen = new Set<string>();
  const rules = pending
    .sort((a, b) => compare(a.spec.id, b.spec.id))
    .map(({ spec, path, set }) => resolveRule(spec, set, context, path))
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
  const tests = document.tests.map((spec, index) => resolveTest(spec, context, ['tests', index]));
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

function resolveNames(document: PolicyDocument, report: Report) {
  const dimensions = new Map<string, ReadonlySet<string> | undefined>(
    DEFAULT_DIMENSIONS.map((name) => [name, undefined]),
  );
  for (const spec of document.dimensions) dimensions.set(spec.name, spec.values && new Set(spec.values));
  const groups = new Map<string, { dimension: string; values: readonly string[] }>();
  const ipLists = new Map<string, IpList>();
  const names: Names = { dimensions, groups, ipLists: new Set(document.ipLists.map((list) => list.name)) };
  resolveGroups(document, names, groups, report);
  document.ipLists.forEach((spec, index) => {
    ipLists.set(spec.name, resolveIpList(spec, report, ['ipLists', index]));
  });
  const services = new Map<string, readonly PortRange[]>();
  document.services.forEach((spec, index) => {
    const path = ['services', index];
    if (looksLikePorts(spec.name)) {
      report([...path, 'name'], 'RF_POLICY_NAME', 'a name that cannot be read as ports (not tcp, udp, any, …)');
    }
    const ranges = spec.ports.flatMap((text, at) => portsOf(text, report, [...path, 'ports', at]));
    services.set(spec.name, normalisePorts(ranges));
  });
  return { names, services, ipLists };
}

/** Expands nested groups; a cycle is reported at each group that closes it. */
function resolveGroups(
  document: PolicyDocument,
  names: Names,
  groups: Map<string, { dimension: string; values: readonly string[] }>,
  report: Report,
): void {
  const specs = new Map(document.labelGroups.map((spec, index) => [spec.name, { spec, path: ['labelGroups', index] }]));
  const open = new Set<string>();
  const expand = (name: string): readonly string[] => {
    const done = groups.get(name);
    if (done !== undefined) return done.values;
    const entry = specs.get(name);
    if (entry === undefined) return [];
    const { spec, path } = entry;
    open.add(name);
    const values = new Set<string>();
    const known = checkDimension(spec.dimension, names, report, [...path, 'dimension']);
    if (spec.values === undefined && spec.groups === undefined) {
      report(path, 'RF_POLICY_EMPTY', 'values, groups, or both: an empty group never means everything');
    }
    spec.values?.forEach((value, index) => {
      if (known) checkValue(spec.dimension, value, names, report, [...path, 'values', index]);
      values.add(value);
    });
    spec.groups?.forEach((inner, index) => {
      const at = [...path, 'groups', index];
      const other = specs.get(inner)?.spec;
      if (other === undefined) report(at, 'RF_POLICY_UNKNOWN', `a declared label group (${someOf(specs.keys())})`);
      else if (other.dimension !== spec.dimension) {
        report(at, 'RF_POLICY_UNKNOWN', `a label group of dimension ${spec.dimension}, not of ${other.dimension}`);
      } else if (open.has(inner)) report(at, 'RF_POLICY_CYCLE', `a group that does not contain ${name} again`);
      else for (const value of expand(inner)) values.add(value);
    });
    open.delete(name);
    groups.set(name, { dimension: spec.dimension, values: [...values].sort() });
    return [...values];
  };
  for (const name of specs.keys()) expand(name);
}

function resolveIpList(spec: IpListSpec, report: Report, path: Path): IpList {
  const read = (texts: readonly string[], key: string): AddressPrefix[] =>
    texts.flatMap((text, index) => {
      const at = [...path, key, index];
      const prefix = parsePrefix(text);
      if (!('problem' in prefix)) return [prefix];
      if (HOST_NAME.test(text)) {
        report(at, 'RF_POLICY_FQDN', 'an address or CIDR: host names in IP lists are not resolved yet');
      } else
        report(
          at,
          'RF_POLICY_CIDR',
          `an address or CIDR such as 10.0.0.0/8 or 2001:db8::/32; this has ${prefix.problem}`,
        );
      return [];
    });
  const include = read(spec.include, 'include');
  const exclude = read(spec.exclude ?? [], 'exclude');
  if (include.length === spec.include.length) {
    exclude.forEach((prefix, index) => {
      const inside = include.some((outer) => outer.length <= prefix.length && prefixCovers(outer, prefix.address));
      if (exclude.length === (spec.exclude ?? []).length && !inside) {
        report([...path, 'exclude', index], 'RF_POLICY_CIDR', 'a part of an included prefix: this excludes nothing');
      }
    });
  }
  return { name: spec.name, include, exclude };
}

function portsOf(text: string, report: Report, path: Path): PortRange[] {
  const range = parsePorts(text);
  if (!('problem' in range)) return [range];
  report(path, 'RF_POLICY_PORT', range.wanted);
  return [];
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

function resolveRule(spec: RuleSpec, set: RuleSetSpec | undefined, context: Context, path: Path): Rule {
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
    number: context.numbers.numberOf(spec.id),
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

function resolveTest(spec: TestSpec, context: Context, path: Path): PolicyTest {
  checkTestEnd(spec.from, context, [...path, 'from']);
  checkTestEnd(spec.to, context, [...path, 'to']);
  if ('address' in spec.from && 'address' in spec.to) {
    context.report([...path, 'to'], 'RF_POLICY_END', 'a workload at one end at least: addresses alone enforce nothing');
  }
  const ports = onePort(spec.service, context.report, [...path, 'service']);
  return {
    name: spec.name,
    from: spec.from,
    to: spec.to,
    protocol: ports.protocol,
    port: ports.low,
    expectAllowed: spec.expect === 'allowed',
  };
}

/** A test is about one connection: one port, one ICMP type, or a protocol that has neither. */
function onePort(text: string, report: Report, path: Path): { readonly protocol: number; readonly low: number } {
  const range = parsePorts(text);
  if ('problem' in range) {
    report(path, 'RF_POLICY_PORT', range.wanted);
    return { protocol: 0, low: 0 };
  }
  const several = range.protocol === ANY_PROTOCOL || (text.includes('-') && range.low !== range.high);
  if (several || ['tcp', 'udp', 'sctp', 'icmp', 'icmpv6'].includes(text)) {
    report(
      path,
      'RF_POLICY_PORT',
      'one connection: a single port (tcp/443), ICMP type (icmp/8) or protocol (protocol/47)',
    );
  }
  return range;
}

function checkTestEnd(end: TestEndSpec, context: Context, path: Path): void {
  if ('address' in end) {
    if (parseAddress(end.address) === undefined)
      context.report([...path, 'address'], 'RF_POLICY_CIDR', 'one IPv4 or IPv6 address');
    return;
  }
  if (!('labels' in end)) return;
  for (const [dimension, value] of Object.entries(end.labels)) {
    const at = [...path, 'labels', dimension];
    if (checkDimension(dimension, context.names, context.report, at)) {
      checkValue(dimension, value, context.names, context.report, at);
    }
  }
}

/** Orders texts by code unit: the same on every machine. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
