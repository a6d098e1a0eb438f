// Who stands behind an address as a host sees it: the oracle that differential tests give to evaluate.ts, straight from the
// topology and without any of the compiler's tables.
import { addressHex } from '@ringfence/proto/address.js';
import type { Located, Topology } from '../view.js';

/** From the innermost scope in which anybody is at the address: everybody there, in no order. */
export function behind<T extends Located>(
  topology: Topology,
  workloads: readonly T[],
  hostId: string,
  remote: Uint8Array,
): T[] {
  const hex = addressHex(remote);
  for (const scope of topology.scopes(hostId)) {
    const found = workloads.filter((peer) =>
      topology.placesOf(peer).some((place) => place.scope === scope && place.hex === hex),
    );
    if (found.length > 0) return found;
  }
  return [];
}
