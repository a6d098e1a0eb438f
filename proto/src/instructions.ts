// What one host is told, as values: assignments, peer bindings, CIDR classes. The compiler emits these, the session turns them
// into agent.proto updates, the agent turns them back. Addresses are mapped bytes, prefix lengths count mapped bits.
import type {
  Assignment as WireAssignment,
  Binding as WireBinding,
  BindingKey as WireBindingKey,
  CidrClass as WireCidrClass,
  Prefix as WirePrefix,
} from '../gen/ringfence/v1/agent.js';
import type { Mode } from '../gen/ringfence/v1/common.js';
import { type AddressPrefix, addressHex, isIpv4, mappedAddress, wireAddress } from './address.js';
import { hashFromBytes, hashToBytes, type PolicySet } from './policy-set.js';

/** What one local workload is and must do. */
export interface AssignmentState {
  readonly localId: string;
  readonly workloadId: string;
  /** Never 0. */
  readonly identity: number;
  readonly modeIn: Mode;
  readonly modeOut: Mode;
  /** Hash of the inbound set; empty: no rule allows anything in. */
  readonly setIn: string;
  readonly setOut: string;
  readonly isolated: boolean;
  /** The space its own traffic is seen in, as this host names it. */
  readonly space: string;
  readonly reject: boolean;
  readonly labels: Readonly<Record<string, string>>;
}

/** An address in a space, as one host names both. */
export interface BindingAddress {
  readonly space: string;
  readonly address: Uint8Array;
}

/** Who is behind an address. */
export interface BindingState extends BindingAddress {
  /** With shared, the first of them. */
  readonly identity: number;
  /** All identities behind the address, ascending; empty when there is exactly one. */
  readonly shared: readonly number[];
  readonly unmanaged: boolean;
  /** Nobody is there any more: it counts for connections that were opened before, and for no new one. Default: false. */
  readonly former?: boolean | undefined;
}

/** A translated address and port, as one host names it. */
export interface NatAddress extends BindingAddress {
  readonly protocol: number;
  readonly port: number;
}

/** Who is behind it. */
export interface NatState extends NatAddress {
  readonly identity: number;
  /** Port at the workload: policy is asked about this one. */
  readonly workloadPort: number;
}

/** The class that holds inside a prefix as far as no longer prefix says otherwise; class 0: in no list. */
export interface CidrState {
  readonly prefix: AddressPrefix;
  readonly classId: number;
}

/** A change of what one host must hold, or, with full, all of it. Adds apply before removes. */
export interface HostDelta {
  readonly hostId: string;
  readonly full: boolean;
  readonly policyVersion: number;
  readonly sets: readonly PolicySet[];
  readonly removedSets: readonly string[];
  readonly assignments: readonly AssignmentState[];
  readonly removedAssignments: readonly string[];
  readonly bindings: readonly BindingState[];
  readonly removedBindings: readonly BindingAddress[];
  readonly cidrs: readonly CidrState[];
  readonly removedCidrs: readonly AddressPrefix[];
  /** Default: none. */
  readonly nats?: readonly NatState[] | undefined;
  readonly removedNats?: readonly NatAddress[] | undefined;
}

/** Map key of a binding. */
export function bindingKey(at: BindingAddress): string {
  return `${at.space}|${addressHex(at.address)}`;
}

/** As agent.proto carries it. */
export function assignmentToWire(state: AssignmentState): WireAssignment {
  return {
    ...state,
    setIn: hashToBytes(state.setIn),
    setOut: hashToBytes(state.setOut),
    labels: Object.entries(state.labels).map(([dimension, value]) => ({ dimension, value })),
  };
}

/** From agent.proto. */
export function assignmentFromWire(wire: WireAssignment): AssignmentState {
  return {
    ...wire,
    setIn: hashFromBytes(wire.setIn),
    setOut: hashFromBytes(wire.setOut),
    labels: Object.fromEntries(wire.labels.map((label) => [label.dimension, label.value])),
  };
}

/** As agent.proto carries it. */
export function bindingAddressToWire(at: BindingAddress): WireBindingKey {
  return { space: at.space, ip: Buffer.from(wireAddress(at.address)) };
}

/** From agent.proto. Throws RangeError on an address of neither 4 nor 16 bytes. */
export function bindingAddressFromWire(wire: WireBindingKey): BindingAddress {
  return { space: wire.space, address: mappedAddress(wire.ip) };
}

/** As agent.proto carries it. */
export function bindingToWire(state: BindingState): WireBinding {
  return {
    key: bindingAddressToWire(state),
    identity: state.identity,
    shared: [...state.shared],
    unmanaged: state.unmanaged,
    former: state.former ?? false,
  };
}

/** From agent.proto. Throws RangeError when the key is missing. */
export function bindingFromWire(wire: WireBinding): BindingState {
  if (wire.key === undefined) throw new RangeError('Cannot read binding: found no key, wanted space and address');
  const { identity, shared, unmanaged, former } = wire;
  return { ...bindingAddressFromWire(wire.key), identity, shared, unmanaged, ...(former && { former }) };
}

/** As agent.proto carries it: a prefix inside the mapped range is sent as IPv4. */
export function prefixToWire(prefix: AddressPrefix): WirePrefix {
  if (isIpv4(prefix.address) && prefix.length >= 96) {
    return { ip: Buffer.from(prefix.address.subarray(12)), length: prefix.length - 96 };
  }
  return { ip: Buffer.from(prefix.address), length: prefix.length };
}

/** From agent.proto. Throws RangeError on an impossible length. */
export function prefixFromWire(wire: WirePrefix): AddressPrefix {
  if (wire.length > wire.ip.length * 8) {
    throw new RangeError(`Cannot read prefix: found length ${wire.length}, wanted at most ${wire.ip.length * 8}`);
  }
  return { address: mappedAddress(wire.ip), length: wire.length + (wire.ip.length === 4 ? 96 : 0) };
}

/** As agent.proto carries it. */
export function cidrToWire(state: CidrState): WireCidrClass {
  return { prefix: prefixToWire(state.prefix), classId: state.classId };
}

/** From agent.proto. Throws RangeError when the prefix is missing. */
export function cidrFromWire(wire: WireCidrClass): CidrState {
  if (wire.prefix === undefined) throw new RangeError('Cannot read CIDR class: found no prefix');
  return { prefix: prefixFromWire(wire.prefix), classId: wire.classId };
}
