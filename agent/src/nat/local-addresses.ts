// Which of this host's workloads an address before translation belongs to.
import { mappedAddress } from '@ringfence/proto/address.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FoundWorkload } from '../workloads/found-workload.js';

export interface LocalAddresses {
  /** Local id of the only workload that has the address (16 bytes, latin1). Addresses of several (a host and its services) are not in it. */
  readonly byAddress: ReadonlyMap<string, string>;
  /** Of the host itself, hexadecimal. */
  readonly own: ReadonlySet<string>;
  /** Of other workloads with addresses of their own, hexadecimal. */
  readonly others: ReadonlySet<string>;
}

export function localAddresses(found: readonly FoundWorkload[]): LocalAddresses {
  const byAddress = new Map<string, string>();
  const own = new Set<string>();
  const others = new Set<string>();
  for (const { inventory, local } of found) {
    const mapped = inventory.addresses.map(({ ip }) => Buffer.from(mappedAddress(ip)));
    const onHost = inventory.kind !== WorkloadKind.WORKLOAD_KIND_CONTAINER;
    for (const address of [...mapped, ...local.addresses.map((each) => Buffer.from(each))]) {
      (onHost ? own : others).add(address.toString('hex'));
      const key = address.toString('latin1');
      const known = byAddress.get(key);
      byAddress.set(key, known === undefined || known === inventory.localId ? inventory.localId : '');
    }
  }
  for (const hex of own) others.delete(hex);
  for (const [key, localId] of byAddress) if (localId === '') byAddress.delete(key);
  return { byAddress, own, others };
}
