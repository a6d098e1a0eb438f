// One revision as agent.proto messages, none larger than a bound.

import { mappedAddress, wireAddress } from '@ringfence/proto/address.js';
import { type NatBinding, type NatKey, Update } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import {
  assignmentToWire,
  bindingAddressToWire,
  bindingToWire,
  cidrToWire,
  type NatAddress,
  type NatState,
  prefixToWire,
} from '@ringfence/proto/instructions.js';
import { hashToBytes, type PolicySet, policySetToWire } from '@ringfence/proto/policy-set.js';
import { unpairedToWire } from '../keys/unpaired.js';
import type { Outgoing } from './agent-session.js';
import type { Cell } from './host-state.js';

/** Aim of one message: well under the 4 MB that a gRPC peer accepts by default. */
export const CHUNK_BYTES = 1_000_000;
/** One set cannot be cut in two; a larger one cannot be sent. */
export const SET_BYTES_MAX = 3_500_000;

/** The messages of one revision, made one at a time; all but the last have more = true. */
export function* updatesOf(outgoing: Outgoing, chunkBytes = CHUNK_BYTES): Generator<Update> {
  let update = begin(outgoing, outgoing.full);
  let bytes = 0;
  for (const cell of outgoing.cells) {
    const size = sizeOf(cell);
    if (bytes > 0 && bytes + size > chunkBytes) {
      update.more = true;
      yield update;
      update = begin(outgoing, false);
      bytes = 0;
    }
    add(update, cell);
    bytes += size;
  }
  yield update;
}

/** Bytes that a set takes on the wire, at most. */
export function setBytes(set: PolicySet): number {
  let bytes = 64;
  for (const group of set.groups) {
    bytes += 32 + 5 * (group.identities.length + group.classes.length) + 26 * group.ports.length;
  }
  return bytes;
}

function begin(outgoing: Outgoing, full: boolean): Update {
  return Update.fromPartial({
    revision: BigInt(outgoing.revision),
    full,
    policyVersion: outgoing.policyVersion,
    confirmWithinMs: outgoing.confirmWithinMs,
    confirmedPolicyVersion: outgoing.confirmWithinMs === 0 ? outgoing.policyVersion : 0,
    unpaired: unpairedToWire(outgoing.unpaired),
  });
}

function add(update: Update, cell: Cell): void {
  switch (cell.table) {
    case 'set':
      if (cell.value === undefined) update.removedSets.push(hashToBytes(cell.name));
      else update.sets.push(policySetToWire(cell.value));
      return;
    case 'assignment':
      if (cell.value === undefined) update.removedAssignments.push(cell.name);
      else update.assignments.push(assignmentToWire(cell.value));
      return;
    case 'binding':
      if (cell.value === undefined) update.removedBindings.push(bindingAddressToWire(cell.name));
      else update.bindings.push(bindingToWire(cell.value));
      return;
    case 'cidr':
      if (cell.value === undefined) update.removedCidrs.push(prefixToWire(cell.name));
      else update.cidrs.push(cidrToWire(cell.value));
      return;
    case 'nat':
      if (cell.value === undefined) update.removedNats.push(natKeyToWire(cell.name));
      else update.nats.push(natToWire(cell.value));
  }
}

/** An upper bound of what a cell adds to a message. */
function sizeOf(cell: Cell): number {
  if (cell.value === undefined) return 96;
  switch (cell.table) {
    case 'set':
      return setBytes(cell.value);
    case 'assignment':
      // Names and values are at most 3 bytes a UTF-16 unit.
      return 256 + 3 * JSON.stringify(cell.value).length;
    case 'binding':
      return 64 + 3 * cell.value.space.length + 5 * cell.value.shared.length;
    case 'cidr':
      return 48;
    case 'nat':
      return 96 + 3 * cell.value.space.length;
  }
}

function natKeyToWire(at: NatAddress): NatKey {
  return {
    space: at.space,
    protocol: at.protocol,
    ip: Buffer.from(wireAddress(mappedAddress(at.address))),
    port: at.port,
  };
}

function natToWire(state: NatState): NatBinding {
  return { key: natKeyToWire(state), identity: state.identity, port: state.workloadPort };
}
