// Random but meaningful policies, workloads and connections, all by seed. The compiler's and the kernel's differential tests
// draw from the same generator. Small worlds on purpose: few values and ports, so that rules overlap and collide.
import { formatAddress, parseAddress } from '@ringfence/proto/address.js';
import type { CompilerWorkload } from '../../compile/types.js';
import { evaluate, type Tuple } from '../evaluate.js';
import {
  EMPTY_DOCUMENT,
  type EndSpec,
  type IpListSpec,
  type LabelGroupSpec,
  type ModeSpec,
  type Policy,
  type PolicyDocument,
  type RuleNumbers,
  type RuleSetSpec,
  type RuleSpec,
  type SelectorSpec,
} from '../model.js';
import { checkDocument, resolvePolicy } from '../parse.js';
import { ruleNumbers } from './numbers.js';
import { type Random, random } from './random.js';

export { evaluate };

const VALUES: Readonly<Record<string, readonly string[]>> = {
  role: ['web', 'db', 'cache', 'batch'],
  env: ['prod', 'test'],
  app: ['shop', 'mail', 'wiki'],
  loc: ['ams', 'fra', 'nyc'],
};
const DIMENSIONS = Object.keys(VALUES);
const HOSTS = ['h1', 'h2', 'h3'];
const PORTS = [
  'any',
  'tcp',
  'tcp/80',
  'tcp/443',
  'tcp/0-1023',
  'tcp/80-90',
  'tcp/5432',
  'tcp/1024-65535',
  'udp',
  'udp/53',
  'udp/50-60',
  'icmp',
  'icmp/8',
  'icmp/3:4',
  'icmpv6/128',
  'protocol/47',
];
const PREFIXES = [
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.2.0/24',
  '10.1.2.3',
  '192.0.2.0/24',
  '0.0.0.0/0',
  '::/0',
  '2001:db8::/32',
  '2001:db8:1::/48',
];
const ADDRESSES = [
  '10.1.2.3',
  '10.1.2.4',
  '10.1.9.9',
  '10.200.0.1',
  '192.0.2.7',
  '203.0.113.5',
  '2001:db8::5',
  '2001:db8:1::9',
  'fd00::1',
];

/** A policy of up to `rulesMax` rules with groups, lists, scopes, relations, denies and modes. Always well formed. */
export function randomDocument(r: Random, rulesMax = 12): PolicyDocument {
  const labelGroups: LabelGroupSpec[] = [
    { name: 'g1', dimension: 'loc', values: r.some(VALUES.loc ?? []) },
    { name: 'g2', dimension: 'loc', values: ['nyc'], groups: ['g1'] },
  ];
  const ipLists: IpListSpec[] = ['l1', 'l2', 'l3'].map((name) => {
    const include = [...new Set([r.pick(PREFIXES), r.pick(PREFIXES)])];
    const inner = [
      ['10.0.0.0/8', '10.1.2.0/24'],
      ['10.1.0.0/16', '10.1.2.3'],
      ['0.0.0.0/0', '192.0.2.0/25'],
      ['2001:db8::/32', '2001:db8:1::/48'],
      ['::/0', '2001:db8::/33'],
    ];
    const exclude = inner
      .filter(([outer]) => include.includes(outer ?? '') && r.chance(0.5))
      .map(([, cut]) => cut ?? '');
    return exclude.length > 0 ? { name, include, exclude } : { name, include };
  });
  const services = [{ name: 's1', ports: r.some(PORTS) }];
  const rules = Array.from({ length: 1 + r.below(rulesMax) }, (_, index) => randomRule(r, `r${index}`));
  const ruleSets: RuleSetSpec[] = r.chance(0.5)
    ? [
        {
          id: 'set',
          scope: r.pick([['app'], ['app', 'env'], ['app=shop'], ['env=prod', 'app']]),
          // A scope says that ends are the same: no rule inside it may say that they differ.
          rules: Array.from({ length: 1 + r.below(3) }, (_, index) => ({
            ...randomRule(r, `s${index}`),
            differs: undefined,
          })),
        },
      ]
    : [];
  const modes: ModeSpec[] = Array.from({ length: r.below(5) }, (_, index) => ({
    id: `m${index}`,
    match: randomSelector(r, 2),
    mode: r.pick(['visibility', 'test', 'enforce', 'enforce'] as const),
    direction: r.pick(['inbound', 'outbound', 'both'] as const),
    priority: r.below(3),
  }));
  return { ...EMPTY_DOCUMENT, labelGroups, ipLists, services, rules, ruleSets, modes };
}

/** One rule that passes every check. */
export function randomRule(r: Random, id: string): RuleSpec {
  const relation = r.chance(0.3);
  const providedBy = relation ? randomSelector(r, 2) : randomEnd(r);
  const usedBy = relation ? randomSelector(r, 2) : randomEnd(r);
  const rule: RuleSpec = {
    id,
    action: r.chance(0.25) ? 'deny' : 'allow',
    service: r.chance(0.2) ? ['s1'] : r.some(PORTS).slice(0, 3),
    providedBy,
    usedBy,
    direction: r.pick(['both', 'both', 'both', 'inbound', 'outbound'] as const),
    enabled: !r.chance(0.05),
    ...(r.chance(0.1) ? { expires: r.pick(['2020-01-01T00:00:00Z', '2040-01-01T00:00:00Z']) } : {}),
    ...(relation
      ? r.pick([{ same: ['app'] }, { same: ['app', 'env'] }, { differs: ['env'] }, { same: ['app'], differs: ['loc'] }])
      : {}),
  };
  const broken = checkDocument({
    ...EMPTY_DOCUMENT,
    labelGroups: GROUPS,
    ipLists: LISTS,
    services: SERVICES,
    rules: [rule],
  });
  return broken.length === 0
    ? rule
    : { ...rule, providedBy: 'workloads', usedBy: 'anyone', same: undefined, differs: undefined };
}

const GROUPS = ['g1', 'g2'].map((name) => ({ name, dimension: 'loc', values: ['ams'] }));
const LISTS = ['l1', 'l2', 'l3'].map((name) => ({ name, include: ['10.0.0.0/8'] }));
const SERVICES = [{ name: 's1', ports: ['any'] }];

/** A selector of at most this depth. */
export function randomSelector(r: Random, depth: number): SelectorSpec {
  const dimension = r.pick(DIMENSIONS);
  const values = VALUES[dimension] ?? [];
  const kind = r.below(depth > 0 ? 10 : 6);
  if (kind < 3) return `${dimension}=${r.pick(values)}`;
  if (kind === 3) return { label: dimension, in: r.some(values) };
  if (kind === 4)
    return r.chance(0.5) ? { label: dimension, exists: r.chance(0.7) } : { label: 'loc', group: r.pick(['g1', 'g2']) };
  if (kind === 5) return r.chance(0.6) ? 'workloads' : { workload: `w${r.below(12)}` };
  if (kind === 9) return { not: randomSelector(r, depth - 1) };
  const of = Array.from({ length: 1 + r.below(3) }, () => randomSelector(r, depth - 1));
  return kind < 8 ? { all: of } : { any: of };
}

function randomEnd(r: Random): EndSpec {
  const kind = r.below(10);
  if (kind === 0) return 'anyone';
  if (kind < 3) return { ipList: r.pick(['l1', 'l2', 'l3']) };
  if (kind === 3) return { any: [{ ipList: r.pick(['l1', 'l2', 'l3']) }, randomSelector(r, 1)] };
  return randomSelector(r, 2);
}

/** A policy ready to use. */
export function randomPolicy(r: Random, rulesMax = 12, numbers: RuleNumbers = ruleNumbers()): Policy {
  return resolvePolicy(randomDocument(r, rulesMax), numbers);
}

/** Workload `w<index>` with some labels, on a host or unmanaged, with up to two addresses; some addresses are shared. */
export function randomWorkload(r: Random, index: number): CompilerWorkload {
  const labels: Record<string, string> = {};
  for (const dimension of DIMENSIONS) if (r.chance(0.75)) labels[dimension] = r.pick(VALUES[dimension] ?? []);
  const hostId = r.chance(0.15) ? '' : r.pick(HOSTS);
  const text = r.chance(0.3)
    ? r.pick(ADDRESSES)
    : r.chance(0.8)
      ? `10.${r.below(3)}.2.${index + 10}`
      : `2001:db8::${index + 16}`;
  const addresses = [{ space: '', address: address(text) }];
  if (r.chance(0.3)) addresses.push({ space: 'local:bridge', address: address(`172.17.0.${2 + r.below(6)}`) });
  return {
    id: `w${index}`,
    labels,
    hostId,
    localId: hostId === '' ? '' : `container:${index}`,
    addresses,
    isolated: r.chance(0.05),
    reject: r.chance(0.5),
  };
}

/** The hosts themselves, some of them: each with an address of its own and one on its bridge. */
export function randomHosts(r: Random): CompilerWorkload[] {
  return HOSTS.filter(() => r.chance(0.6)).map((hostId, index) => ({
    ...randomWorkload(r, 100 + index),
    hostId,
    localId: 'host',
    addresses: [
      { space: '', address: address(`10.200.0.${index + 1}`) },
      { space: 'local:bridge', address: address('172.17.0.1') },
    ],
  }));
}

/** A tuple that the ports above can tell apart, from an address with or without a workload. */
export function randomTuple(r: Random, remotes: readonly Uint8Array[]): Tuple {
  const [protocol, port] = r.pick<readonly [number, number]>([
    [6, r.pick([0, 79, 80, 85, 91, 443, 1023, 1024, 5432, 65535])],
    [17, r.pick([49, 50, 53, 60, 61, 65535])],
    [1, r.pick([8 * 256, 8 * 256 + 1, 3 * 256 + 4, 3 * 256 + 3, 0])],
    [58, r.pick([128 * 256, 129 * 256])],
    [47, 0],
    [50, 0],
  ]);
  const remote = remotes.length > 0 && r.chance(0.7) ? r.pick(remotes) : address(r.pick(ADDRESSES));
  return { protocol, port, remote };
}

export function address(text: string): Uint8Array {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new RangeError(`Cannot parse ${text}: wanted an address`);
  return parsed;
}

export { formatAddress, type Random, random };
