// One chunk of a revision as a value. The agent's control part turns agent.proto Update into this; the last good state on disk is
// one of these with full = true.

import { type AddressPrefix, addressHex, mappedAddress } from '@ringfence/proto/address.js';
import type { FailsafeEntry, NatBinding, NatKey, Update } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import {
  type AssignmentState,
  assignmentFromWire,
  type BindingAddress,
  type BindingState,
  bindingAddressFromWire,
  bindingFromWire,
  type CidrState,
  cidrFromWire,
  prefixFromWire,
} from '@ringfence/proto/instructions.js';
import { hashFromBytes, type PolicySet, policySetFromWire } from '@ringfence/proto/policy-set.js';

/** A translated address and port as this host sees it. */
export interface NatAddress {
  readonly space: string;
  /** IANA protocol number. */
  readonly protocol: number;
  readonly address: Uint8Array;
  readonly port: number;
}

/** Who is behind a translated address and port. */
export interface NatState extends NatAddress {
  readonly identity: number;
  /** Port at the workload: policy is asked about this one. */
  readonly targetPort: number;
}

/** A connection that policy may not cut. */
export interface FailsafeState {
  readonly direction: Direction;
  readonly protocol: number;
  /** The server's port; 0: any. */
  readonly port: number;
  readonly remote: AddressPrefix;
}

/** What a host does to containers that are not paired: sees them, or cuts them off but for the failsafes. */
export type UnpairedTreatment = 'visibility' | 'isolate';

/** A chunk of a revision. Within a chunk adds apply before removes. */
export interface InstructionUpdate {
  readonly revision: number;
  /** First chunk of a full state: it starts from nothing. */
  readonly full: boolean;
  /** Another chunk of the same revision follows. */
  readonly more: boolean;
  readonly policyVersion: number;
  /** What this host does to containers that are not paired; undefined: as it is configured. */
  readonly unpaired: UnpairedTreatment | undefined;
  readonly sets: readonly PolicySet[];
  readonly removedSets: readonly string[];
  readonly assignments: readonly AssignmentState[];
  readonly removedAssignments: readonly string[];
  readonly bindings: readonly BindingState[];
  readonly removedBindings: readonly BindingAddress[];
  readonly cidrs: readonly CidrState[];
  readonly removedCidrs: readonly AddressPrefix[];
  readonly nats: readonly NatState[];
  readonly removedNats: readonly NatAddress[];
  /** The whole list, or undefined: unchanged. */
  readonly failsafes: readonly FailsafeState[] | undefined;
}

/** Map key of a NAT binding. */
export function natKey(at: NatAddress): string {
  return `${at.space}|${at.protocol}|${at.port}|${addressHex(at.address)}`;
}

/**
 * From agent.proto. Throws RangeError ("Cannot …: found …, wanted …") on anything that cannot be read: bad lengths, a missing
 * key, a policy set whose content is not what its hash says, a revision beyond 2^53.
 */
export function updateFromWire(wire: Update): InstructionUpdate {
  const revision = Number(wire.revision);
  if (!Number.isSafeInteger(revision)) {
    throw new RangeError(
      `Cannot read update: found revision ${wire.revision}, wanted at most ${Number.MAX_SAFE_INTEGER}`,
    );
  }
  return {
    revision,
    full: wire.full,
    more: wire.more,
    policyVersion: wire.policyVersion,
    unpaired: UNPAIRED[wire.unpaired],
    sets: wire.sets.map(policySetFromWire),
    removedSets: wire.removedSets.map(hashFromBytes),
    assignments: wire.assignments.map(assignmentFromWire),
    removedAssignments: wire.removedAssignments,
    bindings: wire.bindings.map(bindingFromWire),
    removedBindings: wire.removedBindings.map(bindingAddressFromWire),
    cidrs: wire.cidrs.map(cidrFromWire),
    removedCidrs: wire.removedCidrs.map(prefixFromWire),
    nats: wire.nats.map(natFromWire),
    removedNats: wire.removedNats.map(natAddressFromWire),
    failsafes: wire.failsafesSet ? wire.failsafes.map(failsafeFromWire) : undefined,
  };
}

/** By number, as agent.proto's Unpaired has them. An unknown one is from a newer controller: nothing it could mean is guessed. */
const UNPAIRED: readonly (UnpairedTreatment | undefined)[] = [undefined, 'visibility', 'isolate'];

function natAddressFromWire(wire: NatKey): NatAddress {
  return { space: wire.space, protocol: wire.protocol, address: mappedAddress(wire.ip), port: wire.port };
}

function natFromWire(wire: NatBinding): NatState {
  if (wire.key === undefined) throw new RangeError('Cannot read NAT binding: found no key, wanted address and port');
  return { ...natAddressFromWire(wire.key), identity: wire.identity, targetPort: wire.port };
}

function failsafeFromWire(wire: FailsafeEntry): FailsafeState {
  if (wire.remote === undefined) throw new RangeError('Cannot read failsafe entry: found no remote prefix');
  return { direction: wire.direction, protocol: wire.protocol, port: wire.port, remote: prefixFromWire(wire.remote) };
}
