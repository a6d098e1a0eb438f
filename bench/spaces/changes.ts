// One change of the world at a time, each followed by its reverse.
import type { Compiler, CompilerWorkload } from '@ringfence/controller/compile/types.js';
import { address } from '@ringfence/controller/policy/testing/generate.js';
import { type Space, SpaceTree } from '@ringfence/controller/topology/spaces.js';
import { mapping, outside, SPACES_PER_SITE, spaceName, TCP, type World } from './fleet.js';

export const CHANGES = {
  'address-container': 'a container gets another address',
  'address-host': "a host's address changes, all behind it move",
  'publish-space': 'port published, seen in its space',
  'publish-site': 'port published, mapped into its site by a router',
  'publish-world': 'port published, mapped into the routed world by two gateways',
  'translator-added': 'a routed network gets a translator',
  'translator-changed': "a router's outer address changes",
  'gateway-changed': "a site's gateway changes its outer address",
} as const;
export type ChangeName = keyof typeof CHANGES;

export type Change = (round: number) => { apply: () => void; revert: () => void };

export function changesOf(compiler: Compiler, world: World): Record<ChangeName, Change> {
  const sites = Math.floor(world.spaces.length / SPACES_PER_SITE);
  const perHost = world.workloads.length / world.hosts.length;
  /** Number of a space, of another site each round: its `net`; where `oneToOne`, of a site whose gateway maps addresses one to one. */
  const spaceOf = (round: number, net: number, oneToOne: boolean): number => {
    const site = ((round * 7) % Math.floor(sites / 2)) * 2 + (oneToOne ? 1 : 0);
    return site * SPACES_PER_SITE + net;
  };
  const workloadOf = (space: number, local: number): CompilerWorkload => {
    const found = world.workloads[space * perHost + local];
    if (found === undefined) throw new Error(`Cannot change workload ${local} of space ${space}: found none`);
    return found;
  };
  const replace = (before: CompilerWorkload, change: Partial<CompilerWorkload>) => ({
    apply: () => compiler.setWorkload({ ...before, ...change }),
    revert: () => compiler.setWorkload(before),
  });
  // The tree is made anew, as the controller makes it whenever spaces are declared or found.
  const declare = (at: number, change: (space: Space) => Space) => ({
    apply: () =>
      compiler.setSpaces(new SpaceTree(world.spaces.map((space, each) => (each === at ? change(space) : space)))),
    revert: () => compiler.setSpaces(new SpaceTree(world.spaces)),
  });
  const publish = (space: number, hostPort: number) => {
    const before = workloadOf(space, 3);
    const port = { protocol: TCP, address: undefined, hostPort, port: 80 };
    return replace(before, { published: [...(before.published ?? []), port] });
  };
  return {
    'address-container': (round) =>
      replace(workloadOf(spaceOf(round, 3, false), 4), {
        addresses: [{ space: 'local:bridge', address: address(`172.17.9.${round % 250}`) }],
      }),
    'address-host': (round) => {
      const before = workloadOf(spaceOf(round, 4, false), 0);
      const [, bridge] = before.addresses;
      const own = { space: '', address: address(`10.0.9.${round % 250}`) };
      return replace(before, { addresses: bridge ? [own, bridge] : [own] });
    },
    'publish-space': (round) => publish(spaceOf(round, 5, false), 9999),
    'publish-site': (round) => publish(spaceOf(round, 6, false), MAPPED_PORT),
    'publish-world': (round) => publish(spaceOf(round, 7, true), MAPPED_PORT),
    'translator-added': (round) => {
      const at = spaceOf(round, SPACES_PER_SITE - 1, false);
      return declare(at, (space) => ({ ...space, sources: [{ kind: 'shared', addresses: [outside(at)] }] }));
    },
    'translator-changed': (round) => {
      const at = spaceOf(round, 8, false);
      return declare(at, (space) => ({ ...space, sources: [{ kind: 'shared', addresses: [outside(at, 1)] }] }));
    },
    'gateway-changed': (round) => {
      const at = spaceOf(round, 0, false);
      return declare(at, (space) => ({ ...space, sources: [{ kind: 'shared', addresses: [outside(at, 1)] }] }));
    },
  };
}

/** A port that the routers of networks 6 and 7 map and nobody publishes at first. */
const MAPPED_PORT = 7777;

/** The same world with these mappings declared. */
export function withSpareMappings(world: World): World {
  const spaces = world.spaces.map((space, at) => {
    const net = at % SPACES_PER_SITE;
    const oneToOne = Math.floor(at / SPACES_PER_SITE) % 2 === 1;
    if (space.name !== spaceName(at) || net !== (oneToOne ? 7 : 6)) return space;
    return { ...space, destinations: [...space.destinations, mapping(outside(at), 777, MAPPED_PORT)] };
  });
  return { ...world, spaces };
}
