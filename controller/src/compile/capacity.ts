// Entries that one host's state needs in each kernel table, so that what will not fit is refused before it is sent.
import type { BindingState, HostDelta } from '@ringfence/proto/instructions.js';
import { type PolicySet, type PortEntry, PROTOCOL_ANY } from '@ringfence/proto/policy-set.js';
import type { CapacityNeed } from './types.js';

/** Counts a host's full state. */
export function countCapacity(state: HostDelta): CapacityNeed {
  const counts = new TableCounts();
  for (const set of state.sets) counts.set(set, 1);
  for (const binding of state.bindings) counts.binding(binding, 1);
  counts.add('rf_endpoints', state.assignments.length);
  counts.add('rf_cidrs', state.cidrs.length);
  counts.add('rf_nat', state.nats?.length ?? 0);
  return counts.need(state.hostId);
}

/** Entries of one host per kernel table, kept as they come and go. `by`: 1 more, -1 one fewer. */
export class TableCounts {
  readonly #tables: Record<KernelTable, number> = {
    rf_endpoints: 0,
    rf_peers: 0,
    rf_shared: 0,
    rf_cidrs: 0,
    rf_nat: 0,
    rf_groups: 0,
    rf_ports: 0,
  };

  add(table: KernelTable, by: number): void {
    this.#tables[table] += by;
  }

  set(set: PolicySet, by: 1 | -1): void {
    const { groups, ports } = entriesOf(set);
    this.#tables.rf_groups += by * groups;
    this.#tables.rf_ports += by * ports;
  }

  binding(binding: BindingState, by: 1 | -1): void {
    this.#tables.rf_peers += by;
    this.#tables.rf_shared += by * binding.shared.length;
  }

  need(hostId: string): CapacityNeed {
    return { hostId, tables: { ...this.#tables } };
  }
}

export type KernelTable = 'rf_endpoints' | 'rf_peers' | 'rf_shared' | 'rf_cidrs' | 'rf_nat' | 'rf_groups' | 'rf_ports';

/** Sets are shared by many hosts and never change. */
const ENTRIES = new WeakMap<PolicySet, { readonly groups: number; readonly ports: number }>();

/** Port tables count once per group of a set, as the kernel holds them. */
function entriesOf(set: PolicySet): { readonly groups: number; readonly ports: number } {
  const known = ENTRIES.get(set);
  if (known !== undefined) return known;
  let groups = 0;
  let ports = 0;
  for (const group of set.groups) {
    groups += (group.anyone ? 1 : 0) + group.identities.length + group.classes.length;
    for (const entry of group.ports) ports += prefixCount(entry);
  }
  const entries = { groups, ports };
  ENTRIES.set(set, entries);
  return entries;
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
