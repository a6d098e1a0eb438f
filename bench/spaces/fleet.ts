// A world of many address spaces, from a seed: sites behind gateways, private networks behind routers inside the sites, one host in each
// space with its containers behind it, and everywhere the same private ranges. Applications are spread over all of it without order.

import type { CompilerWorkload } from '@ringfence/controller/compile/types.js';
import type { PolicyDocument } from '@ringfence/controller/policy/model.js';
import { address } from '@ringfence/controller/policy/testing/generate.js';
import { random } from '@ringfence/controller/policy/testing/random.js';
import type { DestinationMapping, Space } from '@ringfence/controller/topology/spaces.js';
import { makeFleet } from '../compile/fleet.js';

export interface WorldSize {
  readonly spaces: number;
  readonly workloads: number;
}

export interface World {
  readonly spaces: readonly Space[];
  /** One host per space, in the order of the spaces. */
  readonly hosts: readonly string[];
  /** The hosts themselves and their containers, host by host. */
  readonly workloads: readonly CompilerWorkload[];
  readonly document: PolicyDocument;
}

/** Spaces of one site: itself, and the networks inside it. */
export const SPACES_PER_SITE = 20;
export const TCP = 6;

/** The address of every host in its own space. */
const HOST_ADDRESS = '10.0.0.10';
/** Of every host on its container network. */
const BRIDGE_ADDRESS = '172.17.0.1';

export function hostName(space: number): string {
  return `host-${space}`;
}

/** The world of this size. */
export function makeWorld(size: WorldSize, seed: number): World {
  const r = random(seed);
  const perHost = Math.floor(size.workloads / size.spaces);
  // Applications and rules as in bench/compile: 8 rules for 80 workloads.
  const like = makeFleet({ workloads: size.workloads, rules: Math.floor(size.workloads / 10) }, seed);
  const labels = like.workloads.map((workload) => workload.labels);
  const spaces = Array.from({ length: size.spaces }, (_, at) => spaceAt(at));
  const hosts = spaces.map((_, at) => hostName(at));
  const workloads = hosts.flatMap((hostId, at) =>
    Array.from({ length: perHost }, (_, local) => {
      const own = labels[(at * perHost + local) % labels.length] ?? {};
      return local === 0 ? hostItself(hostId, own) : container(hostId, local, own, local === 1 || r.chance(0.1));
    }),
  );
  return { spaces, hosts, workloads, document: like.document };
}

/** The address of a space's translator in the space around it. */
export function outside(at: number, generation = 0): Uint8Array {
  const [site, net] = [Math.floor(at / SPACES_PER_SITE), at % SPACES_PER_SITE];
  if (net > 0) return address(`10.64.${generation}.${10 + net}`);
  return address(`100.${64 + (site >> 8) + 32 * generation}.${site & 255}.1`);
}

/** Space number `at`. The first of each site is the site itself; its gateway shares one address, or every second one has one for each. */
function spaceAt(at: number): Space {
  const [site, net] = [Math.floor(at / SPACES_PER_SITE), at % SPACES_PER_SITE];
  const name = spaceName(at);
  const hosts = [hostName(at)];
  const of = (text: string, length: number) => ({ address: address(text), length: 96 + length });
  if (net === 0) {
    const oneToOne = {
      kind: 'one-to-one' as const,
      inside: of('10.64.0.0', 24),
      outside: { address: address(`101.${site >> 8}.${site & 255}.0`), length: 96 + 24 },
    };
    const shared = { kind: 'shared' as const, addresses: [outside(at)] };
    return {
      name,
      parent: '',
      hosts,
      networks: [],
      sources: site % 2 === 0 ? [shared] : [oneToOne, shared],
      destinations: [],
    };
  }
  // One network of each site is not translated: it is routed inside the site.
  const sources = net === SPACES_PER_SITE - 1 ? [] : [{ kind: 'shared' as const, addresses: [outside(at)] }];
  // One network of each site offers a service outside.
  const destinations = net === 1 ? [mapping(outside(at), 443, 8443)] : [];
  return { name, parent: spaceName(at - net), hosts, networks: [], sources, destinations };
}

export function spaceName(at: number): string {
  return `space-${at}`;
}

/** A router's mapping to the host behind it. */
export function mapping(from: Uint8Array, port: number, toPort: number): DestinationMapping {
  return { protocol: TCP, address: from, port, to: address(HOST_ADDRESS), toPort };
}

function hostItself(hostId: string, labels: Readonly<Record<string, string>>): CompilerWorkload {
  const addresses = [
    { space: '', address: address(HOST_ADDRESS) },
    { space: 'local:bridge', address: address(BRIDGE_ADDRESS) },
  ];
  return { id: `${hostId}/host`, labels, hostId, localId: 'host', addresses, isolated: false, reject: true };
}

function container(
  hostId: string,
  local: number,
  labels: Readonly<Record<string, string>>,
  published: boolean,
): CompilerWorkload {
  return {
    id: `${hostId}/container:${local}`,
    labels,
    hostId,
    localId: `container:${local}`,
    addresses: [{ space: 'local:bridge', address: address(`172.17.0.${1 + local}`) }],
    published: published ? [{ protocol: TCP, address: undefined, hostPort: 8442 + local, port: 443 }] : [],
    isolated: false,
    reject: true,
  };
}
