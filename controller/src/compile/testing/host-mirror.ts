// What an agent holds after applying deltas: the receiving end of the compiler, for tests. Refuses what no agent could apply.
import { addressHex, prefixContains, prefixKey } from '@ringfence/proto/address.js';
import {
  type AssignmentState,
  type BindingState,
  bindingKey,
  type CidrState,
  type HostDelta,
  type NatState,
} from '@ringfence/proto/instructions.js';
import type { PolicySet } from '@ringfence/proto/policy-set.js';

export class HostMirror {
  readonly sets = new Map<string, PolicySet>();
  readonly assignments = new Map<string, AssignmentState>();
  readonly bindings = new Map<string, BindingState>();
  readonly cidrs = new Map<string, CidrState>();
  readonly nats = new Map<string, NatState>();

  apply(delta: HostDelta): void {
    if (delta.full)
      for (const table of [this.sets, this.assignments, this.bindings, this.cidrs, this.nats]) table.clear();
    for (const set of delta.sets) this.sets.set(set.hash, set);
    for (const assignment of delta.assignments) this.assignments.set(assignment.localId, assignment);
    for (const binding of delta.bindings) this.bindings.set(bindingKey(binding), binding);
    for (const cidr of delta.cidrs) this.cidrs.set(prefixKey(cidr.prefix), cidr);
    for (const nat of delta.nats ?? []) this.nats.set(natKey(nat), nat);
    // Added and gone again between two flushes may be told as gone.
    for (const at of delta.removedNats ?? []) this.nats.delete(natKey(at));
    for (const localId of delta.removedAssignments) must(this.assignments.delete(localId), `assignment ${localId}`);
    for (const hash of delta.removedSets) must(this.sets.delete(hash), `set ${hash}`);
    for (const at of delta.removedBindings) must(this.bindings.delete(bindingKey(at)), `binding ${bindingKey(at)}`);
    for (const prefix of delta.removedCidrs) must(this.cidrs.delete(prefixKey(prefix)), `prefix ${prefixKey(prefix)}`);
    for (const { setIn, setOut, localId } of this.assignments.values()) {
      for (const hash of [setIn, setOut])
        must(hash === '' || this.sets.has(hash), `set ${hash} of assignment ${localId}`);
    }
  }

  /** Everything, in one comparable form. */
  state() {
    const sorted = <T>(table: Map<string, T>) =>
      [...table].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
    return {
      sets: sorted(this.sets),
      assignments: sorted(this.assignments),
      bindings: sorted(this.bindings).map((b) => ({ ...b, address: addressHex(b.address) })),
      nats: sorted(this.nats).map((nat) => ({ ...nat, address: addressHex(nat.address) })),
      cidrs: sorted(this.cidrs).map(({ prefix, classId }) => ({ prefix: prefixKey(prefix), classId })),
    };
  }

  /** Who is behind an address, as the kernel would find it. */
  candidates(address: Uint8Array): readonly number[] {
    const binding = this.bindings.get(bindingKey({ space: '', address }));
    if (binding === undefined) return [];
    return binding.shared.length > 0 ? binding.shared : [binding.identity];
  }

  /** The class of an address: the longest prefix decides. */
  classOf(address: Uint8Array): number {
    let best: CidrState | undefined;
    for (const state of this.cidrs.values()) {
      if (prefixContains(state.prefix, address) && (best?.prefix.length ?? -1) < state.prefix.length) best = state;
    }
    return best?.classId ?? 0;
  }
}

function natKey(at: Pick<NatState, 'address' | 'protocol' | 'port'>): string {
  return `${addressHex(at.address)}|${at.protocol}|${at.port}`;
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`Cannot apply delta: found no ${what}`);
}
