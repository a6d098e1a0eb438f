// A fleet and a policy as they look in practice, from a seed: applications with the usual tiers in several environments, spread over
// hosts without order; most rules inside one application, some between applications, a few for the whole fleet.
import type { CompilerWorkload } from '@ringfence/controller/compile/types.js';
import {
  EMPTY_DOCUMENT,
  type EndSpec,
  type IpListSpec,
  type PolicyDocument,
  type RuleSpec,
} from '@ringfence/controller/policy/model.js';
import { type Random, random } from '@ringfence/controller/policy/testing/random.js';

export interface FleetSize {
  readonly workloads: number;
  readonly rules: number;
}

export interface Fleet {
  /** Ids of the hosts that run an agent. */
  readonly hosts: readonly string[];
  readonly workloads: readonly CompilerWorkload[];
  readonly document: PolicyDocument;
}

const WORKLOADS_PER_HOST = 20;
const RULES_PER_APP = 8;
/** Applications that every workload may use: single sign-on, source code and the like. */
const COMPANY_WIDE = 5;
/** Tier and its share of an application's workloads. */
const TIERS = [
  ['web', 0.3],
  ['api', 0.35],
  ['worker', 0.15],
  ['cache', 0.07],
  ['queue', 0.05],
  ['db', 0.08],
] as const;
const ENVIRONMENTS = ['prod', 'prod', 'prod', 'staging', 'dev'] as const;
const LOCATIONS = ['fra', 'ams', 'iad'] as const;
/** What serves every application: role and how many of it for 100,000 workloads. */
const PLATFORM = [
  ['dns', 12],
  ['monitoring', 6],
  ['log-collector', 6],
  ['registry', 4],
  ['bastion', 2],
] as const;

export function appName(index: number): string {
  return `app-${index}`;
}

/** Applications that a policy of so many rules is about. */
export function appCount(rules: number): number {
  return Math.max(1, Math.floor((rules - globalRules().length) / RULES_PER_APP));
}

/**
 * The fleet of this size. `first` shifts the numbers of workloads, hosts, addresses and applications, so that a second fleet made with
 * the size of the first as `first` stands beside it and shares nothing with it but the rules for everybody.
 */
export function makeFleet(size: FleetSize, seed: number, first: FleetSize = { workloads: 0, rules: 0 }): Fleet {
  const r = random(seed);
  const apps = appCount(size.rules);
  const firstApp = first.rules === 0 ? 0 : appCount(first.rules);
  const hostCount = Math.ceil(size.workloads / WORKLOADS_PER_HOST);
  const firstHost = Math.ceil(first.workloads / WORKLOADS_PER_HOST);
  const hosts = Array.from({ length: hostCount }, (_, i) => `host-${firstHost + i}`);
  // The fleet beside another one has no platform of its own: that would be reached by every change.
  const platform = first.rules > 0 ? [] : platformRoles(size.workloads);
  const workloads = Array.from({ length: size.workloads }, (_, i) => {
    const served = platform[i];
    const labels: Record<string, string> = served
      ? { role: served, env: 'prod', loc: r.pick(LOCATIONS) }
      : { app: appName(firstApp + (i % apps)), role: tier(r), env: r.pick(ENVIRONMENTS), loc: r.pick(LOCATIONS) };
    return workload(first.workloads + i, r.pick(hosts), labels);
  });
  const rules = first.rules === 0 ? globalRules() : [];
  for (let app = 0; rules.length < size.rules; app++) {
    const own = appRules(firstApp + (app % apps), firstApp + r.below(apps), Math.floor(app / apps), r);
    rules.push(...own.slice(0, size.rules - rules.length));
  }
  const dimensions = ['app', 'env', 'loc', 'role'].map((name) => ({ name }));
  return { hosts, workloads, document: { ...EMPTY_DOCUMENT, dimensions, ipLists: IP_LISTS, rules, modes: MODES } };
}

/** A workload with a routed IPv4 address of its own, and an IPv6 one for every fourth. */
export function workload(number: number, hostId: string, labels: Readonly<Record<string, string>>): CompilerWorkload {
  const v4 = new Uint8Array(16);
  v4.set([0xff, 0xff, 10, (number >> 16) & 255, (number >> 8) & 255, number & 255], 10);
  const v6 = new Uint8Array(16);
  v6.set([0xfd, 0, 0, 0, 0, 0, 0, 1], 0);
  new DataView(v6.buffer).setUint32(12, number);
  const addresses = (number % 4 === 0 ? [v4, v6] : [v4]).map((address) => ({ space: '', address }));
  const localId = `container:${number.toString(16).padStart(12, '0')}`;
  return { id: `${hostId}/${localId}`, labels, hostId, localId, addresses, isolated: false, reject: true };
}

/** One more rule inside an application. */
export function extraRule(app: string): RuleSpec {
  return {
    id: `extra-${app}`,
    service: ['tcp/9999'],
    providedBy: { all: [`app=${app}`, 'role=api'] },
    usedBy: { all: [`app=${app}`, 'role=worker'] },
    same: ['env'],
  };
}

/** One more rule for everybody. */
export const RULE_FOR_ALL: RuleSpec = {
  id: 'extra-for-all',
  service: ['tcp/10050'],
  providedBy: 'workloads',
  usedBy: 'role=bastion',
};

function platformRoles(workloads: number): string[] {
  return PLATFORM.flatMap(([role, count]) => Array(Math.max(1, Math.round((count * workloads) / 100_000))).fill(role));
}

function tier(r: Random): string {
  let draw = r.below(1000) / 1000;
  for (const [name, share] of TIERS) {
    if (draw < share) return name;
    draw -= share;
  }
  return 'api';
}

const MODES: PolicyDocument['modes'] = [
  { id: 'prod', match: 'env=prod', mode: 'enforce' },
  { id: 'staging', match: 'env=staging', mode: 'test' },
];

const IP_LISTS: readonly IpListSpec[] = [
  { name: 'office', include: ['192.0.2.0/24', '198.51.100.0/25', '2001:db8:1::/48'] },
  { name: 'partners', include: ['203.0.113.0/24'], exclude: ['203.0.113.128/26'] },
  {
    name: 'internet',
    include: ['0.0.0.0/0', '::/0'],
    exclude: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fd00::/8'],
  },
];

function globalRules(): RuleSpec[] {
  return [
    { id: 'dns', service: ['udp/53', 'tcp/53'], providedBy: 'role=dns', usedBy: 'anyone' },
    {
      id: 'ask-dns',
      service: ['udp/53', 'tcp/53'],
      providedBy: 'role=dns',
      usedBy: 'workloads',
      direction: 'outbound',
    },
    { id: 'scrape', service: ['tcp/9100', 'tcp/9273'], providedBy: 'workloads', usedBy: 'role=monitoring' },
    { id: 'ship-logs', service: ['tcp/5140'], providedBy: 'role=log-collector', usedBy: 'workloads' },
    { id: 'pull-images', service: ['tcp/5000'], providedBy: 'role=registry', usedBy: 'workloads' },
    { id: 'ssh', service: ['tcp/22'], providedBy: 'workloads', usedBy: 'role=bastion' },
    { id: 'ssh-bastion', service: ['tcp/22'], providedBy: 'role=bastion', usedBy: { ipList: 'office' } },
    { id: 'ping', service: ['icmp/8', 'icmpv6/128'], providedBy: 'workloads', usedBy: 'role=monitoring' },
    {
      id: 'no-dev-to-prod-data',
      action: 'deny',
      service: ['any'],
      providedBy: { all: ['env=prod', 'role=db'] },
      usedBy: { all: ['env=dev', 'role=bastion'] },
    },
  ];
}

/** The rules of one application; `round` above 0 gives further ones on other ports. */
function appRules(app: number, other: number, round: number, r: Random): RuleSpec[] {
  const name = appName(app);
  const at = (role: string): string[] => [`app=${name}`, `role=${role}`];
  const id = (what: string): string => `${name}-${what}-${round}`;
  const port = (base: number): string[] => [`tcp/${base + round}`];
  const within = (what: string, base: number, provider: string, consumers: readonly string[]): RuleSpec => ({
    id: id(what),
    service: port(base),
    providedBy: { all: at(provider) },
    usedBy: { all: [`app=${name}`, { label: 'role', in: consumers }] },
    same: ['env'],
  });
  const outside = r.pick(['office', 'partners', 'internet'] as const);
  const front: EndSpec = app < COMPANY_WIDE ? 'anyone' : { ipList: outside };
  return [
    { id: id('front'), service: ['tcp/443'], providedBy: { all: at('web') }, usedBy: front },
    within('api', 8080, 'api', ['web']),
    within('db', 5432, 'db', ['api', 'worker']),
    within('cache', 6379, 'cache', ['api']),
    within('queue', 5672, 'queue', ['api', 'worker']),
    {
      id: id('uses'),
      service: port(8443),
      providedBy: { all: [`app=${appName(other)}`, 'role=api'] },
      usedBy: { all: at('api') },
      same: ['env'],
    },
    { id: id('hooks'), service: ['tcp/443'], providedBy: { ipList: 'partners' }, usedBy: { all: at('worker') } },
    {
      id: id('no-dev-data'),
      action: 'deny',
      service: ['any'],
      providedBy: { all: [...at('db'), 'env=prod'] },
      usedBy: { all: [`app=${name}`, { not: 'env=prod' }] },
    },
  ];
}
