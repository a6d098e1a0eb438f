// Under which address one end of a hypothetical connection is seen by the host that decides at the other end: the compiler's view.
import { addressFromHex, addressHex, formatAddress, isIpv4 } from '@ringfence/proto/address.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Distributor } from '../session/distributor.js';
import type { WorkloadRecord } from '../store/records.js';

/** How the deciding host sees the other end. */
export interface Seen {
  /** Mapped; undefined: it never sees it. */
  readonly address: Uint8Array | undefined;
  /** Ids of the workloads that it may be. */
  readonly behind: readonly string[];
  /** What stands between the two, one sentence; empty when nothing does. */
  readonly note: string;
}

/** `record` has an address of the deciding host's space, or is translated on the way. `like`: an address of the family that counts. */
export function seenAs(
  topology: Distributor['topology'],
  hostId: string,
  record: WorkloadRecord,
  like: Uint8Array | undefined,
  service: { readonly protocol: number; readonly port: number },
  direction: Direction,
): Seen {
  const scopes = topology.scopes(hostId);
  const own = new Set(record.addresses.map(({ ip }) => ip));
  const visible = topology.placesOf(record.id).filter(({ scope }) => scopes.includes(scope));
  const fits = ({ hex }: { readonly hex: string }) =>
    like === undefined || isIpv4(addressFromHex(hex)) === isIpv4(like);
  const seenAt = (hex: string, note: string): Seen => {
    const behind = topology.behind(hostId, hex);
    return { address: addressFromHex(hex), behind: behind.includes(record.id) ? behind : [record.id], note };
  };
  const plain = visible.filter(({ hex }) => own.has(hex));
  const exact = like && addressHex(like);
  const direct = plain.find(({ hex }) => hex === exact) ?? plain.find(fits) ?? plain[0];
  if (direct !== undefined) return seenAt(direct.hex, '');
  if (direction === Direction.DIRECTION_INBOUND) {
    const translated = visible.find(fits) ?? visible[0];
    if (translated === undefined) return { address: undefined, behind: [record.id], note: '' };
    return seenAt(
      translated.hex,
      `The source is translated: seen as ${formatAddress(addressFromHex(translated.hex))}.`,
    );
  }
  const reached = topology
    .servicesOf(record.id)
    .filter(
      ({ scope, protocol, toPort }) =>
        scopes.includes(scope) && protocol === service.protocol && toPort === service.port,
    );
  const mapping = reached.find(fits) ?? reached[0];
  if (mapping !== undefined) {
    const address = addressFromHex(mapping.hex);
    const note = `The destination is reached as ${formatAddress(address)} port ${mapping.port}.`;
    return { address, behind: [record.id], note };
  }
  const note = 'No path: the destination is in a private network and nothing publishes this port.';
  return { address: undefined, behind: [record.id], note };
}

/** What is reached under an address and port from the source's host: a mapping's workload and its own port. */
export function mappedAt(
  topology: Distributor['topology'],
  sourceHostId: string,
  address: Uint8Array,
  service: { readonly protocol: number; readonly port: number },
): { readonly workloadId: string; readonly port: number } | undefined {
  return topology.serviceAt(sourceHostId, service.protocol, addressHex(address), service.port);
}
