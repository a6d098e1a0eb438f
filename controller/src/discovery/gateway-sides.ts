// For whom a gateway translates: the hosts of the spaces that name it.
import type { Distributor } from '../session/distributor.js';
import type { StateStore } from '../store/state-store.js';
import type { Space } from '../topology/spaces.js';
import { HOST_ITSELF } from '../topology/view.js';
import { storedTree } from './space-book.js';
import type { TranslationResolverOptions } from './translation-resolver.js';

/** What the resolver of translations asks about hosts and their spaces. */
export function gatewaySides(
  store: StateStore,
  distributor: Pick<Distributor, 'topology'>,
): Pick<TranslationResolverOptions, 'behind' | 'inside' | 'mayTell'> {
  // Asked for every record that wants a name: worked out once for as long as no space changes.
  let byGateway: Map<string, Space[]> | undefined;
  store.onCommit((changes) => {
    if (changes.some(({ kind }) => kind === 'spaces' || kind === 'translation')) byGateway = undefined;
  });
  const spacesOf = (gatewayId: string): readonly Space[] => {
    if (byGateway === undefined) {
      byGateway = new Map();
      for (const space of storedTree(store.table('spaces'), store.table('translation')).all()) {
        const { gateway } = space;
        if (gateway !== undefined) byGateway.set(gateway, [...(byGateway.get(gateway) ?? []), space]);
      }
    }
    return byGateway.get(gatewayId) ?? [];
  };
  return {
    // The owner of an address on the inner side means by it itself and its services: whoever is behind it is told apart by its own
    // translations.
    behind: (hostId, hex) => {
      const inner = spacesOf(hostId).flatMap(({ hosts }) => hosts);
      const owner = inner.find((each) =>
        store.get('workload', `${each}/${HOST_ITSELF}`)?.addresses.some(({ ip }) => ip === hex),
      );
      if (owner !== undefined) return distributor.topology.behind(owner, hex);
      // Without an agent of its own: what the hosts beside it know the address as.
      const neighbours = inner.map((each) => distributor.topology.behind(each, hex)).find((ids) => ids.length > 0);
      return neighbours ?? distributor.topology.behind(hostId, hex);
    },
    mayTell: (workloadId, hostId) => {
      const own = store.get('workload', workloadId)?.hostId ?? '';
      return own !== '' && own !== hostId;
    },
    inside: (gatewayId, hostId) => {
      const spaces = spacesOf(gatewayId);
      return spaces.length === 0 ? undefined : spaces.some(({ hosts }) => hosts.includes(hostId));
    },
  };
}
