// Entries that one host's state needs in each kernel table, so that what will not fit is refused before it is sent.
import type { HostDelta } from '@ringfence/proto/instructions.js';
import { type PortEntry, PROTOCOL_ANY } from '@ringfence/proto/policy-set.js';
import type { CapacityNeed } from './types.js';

/** Counts a host's full state. Port tables count once per group of a set, as the kernel holds them. */
export function countCapacity(state: HostDelta): CapacityNeed {
  let groups = 0;
  let ports = 0;
  for (const set of state.sets) {
    for (const group of set.groups) {
      groups += (group.anyone ? 1 : 0) + group.identities.length + group.classes.length;
      for (const entry of group.ports) ports += prefixCount(entry);
    }
  }
  return {
    hostId: state.hostId,
    tables: {
      rf_endpoints: state.assignments.length,
      rf_peers: state.bindings.length,
      rf_shared: state.bindings.reduce((sum, binding) => sum + binding.shared.length, 0),
      rf_cidrs: state.cidrs.length,
      rf_nat: state.nats?.length ?? 0,
      rf_groups: groups,
      rf_ports: ports,
    },
  };
}

/** Prefixes that cover a range of ports exactly. */
export function prefixCount(entry: Pick<PortEntry, 'protocol' | 'portLow' | 'portHigh'>): number {
  if (entry.protocol === PROTOCOL_ANY) return 1;
  let count = 0;
  let low = entry.portLow;
  while (low <= entry.portHigh) {
    let size = low === 0 ? 0x10000 : low & -low;
    while (low + size - 1 > entry.portHigh) size >>= 1;
    low += size;
    count += 1;
  }
  return count;
}
