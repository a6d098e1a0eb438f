// What was observed of translations, beside what is declared: under which addresses a host's workloads leave it, and what a gateway makes of
// the addresses in the spaces that it translates.
import { addressFromHex, addressHex, isIpv4 } from '@ringfence/proto/address.js';
import { type SourceTranslation, type Space, SpaceTree } from './spaces.js';

/** Connections from one address leave as from another. Hexadecimal. */
export interface ObservedPair {
  readonly inside: string;
  readonly outside: string;
}

/**
 * The tree with the sources of spaces that name a gateway: all addresses that the gateway was seen to give, one pool to each family for
 * which the space declares nothing. `observed`: the pairs of a host; none when it told nothing.
 */
export function withObserved(tree: SpaceTree, observed: (gatewayId: string) => readonly ObservedPair[]): SpaceTree {
  if (!tree.all().some(({ gateway }) => gateway !== undefined)) return tree;
  return new SpaceTree(
    tree.all().map((space) => (space.gateway === undefined ? space : behind(space, observed(space.gateway)))),
  );
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
