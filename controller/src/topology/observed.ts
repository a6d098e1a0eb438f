// What was observed of translations, beside what is declared: under which addresses a host's workloads leave it, and what a gateway makes of
// the addresses in the spaces that it translates.
import { addressFromHex, addressHex, isIpv4, prefixCovers } from '@ringfence/proto/address.js';
import { type SourceTranslation, type Space, SpaceTree } from './spaces.js';

/** Connections from one address leave as from another. Hexadecimal. */
export interface ObservedPair {
  readonly inside: string;
  readonly outside: string;
}

/** Connections to one address and port go to another. Addresses hexadecimal. */
export interface ObservedMapping {
  readonly protocol: number;
  readonly address: string;
  readonly port: number;
  readonly to: string;
  readonly toPort: number;
}

/** What a gateway told. */
export interface Observed {
  readonly pairs: readonly ObservedPair[];
  readonly destinations?: readonly ObservedMapping[] | undefined;
}

/**
 * The tree with what the gateways were seen to do for the spaces that name them. Sources: all addresses that a gateway gave, one pool to
 * each family for which the space declares nothing. Destinations: its ports that lead into the space, beside those that the space declares;
 * a declared one of the same address and port stands. `observed`: undefined when a host told nothing.
 */
export function withObserved(tree: SpaceTree, observed: (gatewayId: string) => Observed | undefined): SpaceTree {
  if (!tree.all().some(({ gateway }) => gateway !== undefined)) return tree;
  return new SpaceTree(
    tree.all().map((space) => {
      const told = space.gateway === undefined ? undefined : observed(space.gateway);
      return told === undefined ? space : mapped(behind(space, told.pairs), told.destinations ?? []);
    }),
  );
}

/** Without ranges a space may hold any address; who is in it decides, then. */
function mapped(space: Space, seen: readonly ObservedMapping[]): Space {
  const keyOf = (protocol: number, hex: string, port: number) => `${protocol} ${hex} ${port}`;
  const declared = new Set(space.destinations.map((each) => keyOf(each.protocol, addressHex(each.address), each.port)));
  const more = seen
    .filter(({ protocol, address, port }) => !declared.has(keyOf(protocol, address, port)))
    .map((each) => ({ ...each, address: addressFromHex(each.address), to: addressFromHex(each.to) }))
    .filter(({ to }) => space.networks.length === 0 || space.networks.some((network) => prefixCovers(network, to)));
  return more.length === 0 ? space : { ...space, destinations: [...space.destinations, ...more] };
}

function behind(space: Space, pairs: readonly ObservedPair[]): Space {
  const declared = new Set(space.sources.flatMap(familiesOf));
  const outside = [...new Set(pairs.filter(({ inside, outside }) => inside !== outside).map((pair) => pair.outside))];
  const sources = [true, false].flatMap((v4): SourceTranslation[] => {
    const addresses = outside
      .map(addressFromHex)
      .filter((address) => isIpv4(address) === v4)
      .sort((a, b) => (addressHex(a) < addressHex(b) ? -1 : 1));
    return declared.has(v4) || addresses.length === 0 ? [] : [{ kind: 'shared', addresses }];
  });
  return { ...space, sources: [...space.sources, ...sources] };
}

function familiesOf(source: SourceTranslation): boolean[] {
  return source.kind === 'shared' ? source.addresses.map(isIpv4) : [isIpv4(source.inside.address)];
}
