// What each host is told: from its standing state and what a flush touched to one delta, and from scratch to its whole state.

import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type {
  AssignmentState,
  BindingAddress,
  BindingState,
  HostDelta,
  NatAddress,
  NatState,
} from '@ringfence/proto/instructions.js';
import { WORLD } from '../topology/view.js';
import type { AddressBook } from './address-book.js';
import type { BindingTable } from './binding-table.js';
import type { CidrClasses } from './cidr-classes.js';
import type { HostState } from './host-state.js';
import type { Identity, SubjectState } from './identity-table.js';
import type { NatTable } from './nat-table.js';
import type { Placement } from './placement.js';
import { allBindings, type BindingSources, bindingChanges } from './relevance.js';
import { isEmpty, sameAssignment, sequence } from './sequencer.js';
import type { SetBuilder } from './set-builder.js';
import type { CompilerWorkload } from './types.js';

/** A workload with its identity. */
export interface Placed {
  readonly workload: CompilerWorkload;
  readonly identity: Identity;
}

export interface TellerParts {
  readonly bindings: BindingTable;
  readonly book: AddressBook;
  readonly classes: CidrClasses;
  readonly nats: NatTable;
  readonly placement: Placement;
  readonly sets: SetBuilder;
  readonly workloads: ReadonlyMap<string, Placed>;
  readonly hosts: ReadonlyMap<string, HostState>;
  /** A living identity. */
  identity(number: number): Identity | undefined;
}

const NO_CHANGE = { set: [], removed: [] };

const NONE: readonly never[] = [];

function mappingDelta(
  hostId: string,
  policyVersion: number,
  nats: readonly NatState[],
  removedNats: readonly NatAddress[],
): HostDelta {
  return {
    hostId,
    full: false,
    policyVersion,
    sets: NONE,
    removedSets: NONE,
    assignments: NONE,
    removedAssignments: NONE,
    bindings: NONE,
    removedBindings: NONE,
    cidrs: NONE,
    removedCidrs: NONE,
    nats,
    removedNats,
  };
}

export class Teller {
  readonly #parts: TellerParts;
  readonly #sources: BindingSources;

  constructor(parts: TellerParts) {
    this.#parts = parts;
    const { bindings, book, placement } = parts;
    this.#sources = { bindings, book, scopes: (hostId) => placement.scopes(hostId) };
  }

  /** The deltas of a flush, one after the other. Each host counts as told when its delta is taken. */
  *deltas(dirtyHosts: ReadonlySet<HostState>, version: number): Generator<HostDelta> {
    const { hosts, sets, placement, identity } = this.#parts;
    const bindings = bindingChanges({
      ...this.#sources,
      dirtyHosts,
      hosts,
      sets,
      identity,
      hostsSeeing: (scope) => placement.hostsSeeing(scope),
      around: (scope) => placement.around(scope),
    });
    const told = new Set([...dirtyHosts, ...bindings.keys()]);
    for (const host of [...told].sort((a, b) => (a.id < b.id ? -1 : 1))) {
      const { set, removed } = bindings.get(host) ?? NO_CHANGE;
      const delta = host.fresh ? this.#first(host, version) : this.#change(host, set, removed, version);
      host.settled();
      if (!isEmpty(delta)) yield delta;
    }
    yield* this.#mappingsOnly(told, version);
  }

  /** For hosts at which nothing but mappings has changed. */
  *#mappingsOnly(told: ReadonlySet<HostState>, version: number): Generator<HostDelta> {
    const { hosts, nats, placement } = this.#parts;
    const scopes = nats.touchedScopes;
    if (scopes.size === 0) return;
    const done = new Set<string>();
    for (const { id } of told) done.add(id);
    for (const scope of scopes) {
      for (const hostId of scope === WORLD ? [] : placement.hostsSeeing(scope)) {
        if (done.has(hostId) || !hosts.has(hostId)) continue;
        done.add(hostId);
        const { set, removed } = nats.changesFor(placement.scopes(hostId));
        if (set.length + removed.length > 0) yield mappingDelta(hostId, version, set, removed);
      }
    }
    if (!scopes.has(WORLD)) return;
    const same = nats.worldChanges;
    for (const hostId of hosts.keys()) {
      if (done.has(hostId)) continue;
      const { set, removed } = same ?? nats.changesFor(placement.scopes(hostId));
      if (set.length + removed.length > 0) yield mappingDelta(hostId, version, set, removed);
    }
  }

  /** A host's whole state as of the last flush. */
  whole(host: HostState, version: number): HostDelta {
    const { nats, placement } = this.#parts;
    return sequence({
      hostId: host.id,
      full: true,
      policyVersion: version,
      sets: host.sets(),
      removedSets: [],
      assignments: [...host.workloads].flatMap((id) => this.#assignment(id, host) ?? []),
      removedAssignments: [],
      cidrs: [[], host.cidrs],
      bindings: allBindings(host, this.#sources),
      removedBindings: [],
      nats: nats.allSeenBy(placement.scopes(host.id)),
      removedNats: [],
    });
  }

  /** The whole state of a host that knows nothing, which is remembered as told. */
  #first(host: HostState, version: number): HostDelta {
    host.cidrs = this.#parts.classes.viewOf(host.ipLists());
    const delta = this.whole(host, version);
    for (const assignment of delta.assignments) host.assignments.set(assignment.workloadId, assignment);
    return delta;
  }

  #change(
    host: HostState,
    bindings: readonly BindingState[],
    removedBindings: readonly BindingAddress[],
    version: number,
  ): HostDelta {
    const { classes, nats, placement } = this.#parts;
    const sets = host.setChanges();
    const assignments: AssignmentState[] = [];
    const removedAssignments: string[] = [];
    for (const id of host.stale) {
      const before = host.assignments.get(id);
      const now = this.#assignment(id, host);
      if (now === undefined) {
        if (before !== undefined) removedAssignments.push(before.localId);
        host.assignments.delete(id);
      } else {
        if (!sameAssignment(before, now)) assignments.push(now);
        host.assignments.set(id, now);
      }
    }
    const cidrs = host.listsMoved ? classes.viewOf(host.ipLists()) : host.cidrs;
    const mapped = nats.changesFor(placement.scopes(host.id));
    const delta = sequence({
      hostId: host.id,
      full: false,
      policyVersion: version,
      sets: sets.set,
      removedSets: sets.removed,
      assignments,
      removedAssignments,
      cidrs: [host.cidrs, cidrs],
      bindings,
      removedBindings,
      nats: mapped.set,
      removedNats: mapped.removed,
    });
    host.cidrs = cidrs;
    return delta;
  }

  /** Undefined when the host has no such workload. */
  #assignment(id: string, host: HostState): AssignmentState | undefined {
    const placed = this.#parts.workloads.get(id);
    if (placed === undefined || placed.workload.hostId !== host.id) return undefined;
    const { workload, identity } = placed;
    return {
      localId: workload.localId,
      workloadId: id,
      identity: identity.number,
      modeIn: modeOf(identity.inbound, workload),
      modeOut: modeOf(identity.outbound, workload),
      setIn: identity.inbound?.node?.published?.hash ?? '',
      setOut: identity.outbound?.node?.published?.hash ?? '',
      isolated: workload.isolated,
      space: WORLD,
      reject: workload.reject,
      labels: workload.labels,
    };
  }
}

/** Policy's mode where it names the workload, else the one that the workload starts with. */
function modeOf(state: SubjectState | undefined, { startingMode }: CompilerWorkload): Mode {
  if (state?.named) return state.mode;
  return startingMode ?? Mode.MODE_VISIBILITY;
}
