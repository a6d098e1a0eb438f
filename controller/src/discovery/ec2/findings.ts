// A region's inventory to spaces and workloads: each VPC is a space in the routed world; an instance with a public address or an Elastic IP is
// seen outside one to one, everybody else of a subnet behind the NAT gateway that the subnet's default route names. IPv6 is routed.
import type { Findings, FoundPeer, FoundSpace } from '../findings.js';
import type { Ec2Instance, Ec2Inventory, Ec2Vpc } from './inventory.js';

/** What the connector is told. */
export interface Ec2FindingsOptions {
  /** Name of the connector: part of the names of its spaces. */
  readonly name: string;
  /** Dimension to the tag that gives its value. */
  readonly labels: Readonly<Record<string, string>>;
  /** Labels of every instance without an agent, where no tag says otherwise. */
  readonly defaultLabels: Readonly<Record<string, string>>;
  /** Only these VPCs; empty: all. */
  readonly vpcs: readonly string[];
  /** Instances without an agent become workloads. */
  readonly unmanaged: boolean;
}

/** A host with an agent, and its own addresses as text. */
export interface KnownHost {
  readonly id: string;
  readonly addresses: readonly string[];
}

/** Tag that says which host's agent runs on an instance, where addresses do not tell. */
export const HOST_TAG = 'ringfence:host';
const GONE = new Set(['terminated', 'shutting-down']);

/** Pure. */
export function ec2Findings(
  inventory: Ec2Inventory,
  hosts: readonly KnownHost[],
  options: Ec2FindingsOptions,
): Findings {
  const notes: string[] = [];
  const wanted = inventory.vpcs.filter(({ id }) => options.vpcs.length === 0 || options.vpcs.includes(id));
  for (const id of options.vpcs) {
    if (!wanted.some((vpc) => vpc.id === id)) notes.push(`Cannot find VPC ${id}: found none of this id in the region`);
  }
  const inScope = new Set(wanted.map(({ id }) => id));
  const instances = inventory.instances
    .filter(({ vpcId, state }) => inScope.has(vpcId) && !GONE.has(state))
    .map((instance) => withElasticIps(instance, inventory));
  const hostOf = placeHosts(instances, hosts, notes);
  const spaces = wanted.map((vpc) => spaceOf(vpc, inventory, instances, hostOf, options));
  const workloads = instances
    .filter(({ id }) => options.unmanaged && !hostOf.has(id))
    .map((instance) => peerOf(instance, options));
  return { spaces, workloads: workloads.sort((a, b) => (a.id < b.id ? -1 : 1)), notes };
}

function spaceName(options: Ec2FindingsOptions, vpcId: string): string {
  return `ec2.${options.name}.${vpcId}`;
}

function withElasticIps(instance: Ec2Instance, { elasticIps }: Ec2Inventory): Ec2Instance {
  const own = new Map(
    elasticIps.filter(({ instanceId }) => instanceId === instance.id).map((each) => [each.privateIp, each.publicIp]),
  );
  if (own.size === 0) return instance;
  const addresses = instance.addresses.map((each) => ({ ...each, publicIp: own.get(each.privateIp) ?? each.publicIp }));
  return { ...instance, addresses };
}

/** Which host's agent runs on which instance: by its tag, else by a private address that only the two of them have. */
function placeHosts(
  instances: readonly Ec2Instance[],
  hosts: readonly KnownHost[],
  notes: string[],
): Map<string, string> {
  const placed = new Map<string, string>();
  const known = new Set(hosts.map(({ id }) => id));
  for (const { id, tags } of instances) {
    const host = tags[HOST_TAG];
    if (host === undefined) continue;
    if (!known.has(host)) notes.push(`Cannot place host ${host} of instance ${id}: found no such host yet`);
    else if ([...placed.values()].includes(host))
      notes.push(`Cannot place host ${host} twice: found it on instance ${id} too`);
    else placed.set(id, host);
  }
  const taken = new Set(placed.values());
  const byAddress = new Map<string, string[]>();
  for (const instance of instances) {
    for (const { privateIp } of instance.addresses)
      byAddress.set(privateIp, [...(byAddress.get(privateIp) ?? []), instance.id]);
  }
  for (const { id: host, addresses } of hosts) {
    if (taken.has(host)) continue;
    const found = new Set(addresses.flatMap((address) => byAddress.get(address) ?? []));
    const rivals = hosts.filter(
      (other) => other.id !== host && other.addresses.some((each) => addresses.includes(each)),
    );
    const [only, ...others] = found;
    if (only === undefined || placed.has(only)) continue;
    if (others.length > 0 || rivals.length > 0)
      notes.push(
        `Cannot tell on which instance host ${host} runs: found ${[...found].join(', ')} with its addresses, wanted one; tag it ${HOST_TAG}=${host}`,
      );
    else placed.set(only, host);
  }
  return placed;
}

function spaceOf(
  vpc: Ec2Vpc,
  inventory: Ec2Inventory,
  all: readonly Ec2Instance[],
  hostOf: ReadonlyMap<string, string>,
  options: Ec2FindingsOptions,
): FoundSpace {
  const instances = all.filter(({ vpcId }) => vpcId === vpc.id);
  const oneToOne = instances.flatMap(({ addresses }) =>
    addresses
      .filter(({ publicIp }) => publicIp !== '')
      .map(({ privateIp, publicIp }) => ({ oneToOne: { inside: `${privateIp}/32`, outside: `${publicIp}/32` } })),
  );
  return {
    name: spaceName(options, vpc.id),
    hosts: instances.flatMap(({ id }) => hostOf.get(id) ?? []).sort(),
    networks: [...vpc.cidrs].sort(),
    source: [...sortedBy(oneToOne), ...natSources(vpc, inventory)],
  };
}

/** Subnets behind the NAT gateways that their default routes name. */
function natSources(vpc: Ec2Vpc, { subnets, routeTables, natGateways }: Ec2Inventory): object[] {
  const tables = routeTables.filter(({ vpcId }) => vpcId === vpc.id);
  const sources = subnets
    .filter(({ vpcId }) => vpcId === vpc.id)
    .flatMap(({ id, cidr }) => {
      const table = tables.find(({ subnetIds }) => subnetIds.includes(id)) ?? tables.find(({ main }) => main);
      const gateway = natGateways.find((each) => each.id === table?.natGatewayId && each.state === 'available');
      const pool = [...(gateway?.publicIps ?? [])].sort();
      return pool.length === 0 ? [] : [{ pool, inside: cidr }];
    });
  return sortedBy(sources);
}

function peerOf(instance: Ec2Instance, options: Ec2FindingsOptions): FoundPeer {
  const { id, tags, vpcId, addresses, ipv6, subnetId } = instance;
  const labels = { ...options.defaultLabels };
  for (const [dimension, tag] of Object.entries(options.labels)) {
    const value = tags[tag];
    if (value !== undefined && value !== '') labels[dimension] = value;
  }
  const space = spaceName(options, vpcId);
  const all = [...addresses.map(({ privateIp }) => privateIp), ...ipv6];
  return {
    id,
    name: tags.Name ?? id,
    addresses: [...new Set(all)].sort().map((address) => ({ address, space })),
    labels,
    metadata: { ...prefixed(tags), 'ec2:instance': id, 'ec2:vpc': vpcId, 'ec2:subnet': subnetId },
  };
}

function prefixed(tags: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(tags).map(([key, value]) => [`tag:${key}`, value]));
}

function sortedBy<T>(list: readonly T[]): T[] {
  return [...list].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}
