// The named things of a document that rules refer to: dimensions, label groups, IP lists, services.
import { type AddressPrefix, parsePrefix, prefixCovers } from '@ringfence/proto/address.js';
import type { Path } from './end-shape.js';
import type { IpList, IpListSpec, PolicyDocument, PortRange } from './model.js';
import { DEFAULT_DIMENSIONS, someOf } from './names.js';
import { looksLikePorts, normalisePorts, parsePorts } from './ports.js';
import { checkDimension, checkValue, type Names, type Report } from './resolve-end.js';

const HOST_NAME = /^(\*\.)?[A-Za-z][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)*\.?$/;

/** What the names of a document stand for; reports what is wrong with them. */
export function resolveNames(document: PolicyDocument, report: Report) {
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

/** The range of one port text; none, and a report, when it is no such text. */
export function portsOf(text: string, report: Report, path: Path): PortRange[] {
  const range = parsePorts(text);
  if (!('problem' in range)) return [range];
  report(path, 'RF_POLICY_PORT', range.wanted);
  return [];
}
