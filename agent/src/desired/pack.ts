// Keys and values of the policy maps as latin1 text of their packed bytes: cheap to hold by the hundred thousand, comparable with
// ===, and turned into kernel buffers without another look at their content.
import {
  Action,
  CIDR,
  CIDR_KEY,
  ENDPOINT,
  ENDPOINT_KEY,
  type Endpoint,
  EndpointKind,
  FAILSAFE_KEY,
  type FailsafeKey,
  failsafePrefix,
  type Layout,
  NAT,
  NAT_KEY,
  type NatKey,
  PEER,
  PORT,
  PORT_KEY,
  SHARED_KEY,
} from '@ringfence/bpf';
import { type AddressPrefix, maskAddress } from '@ringfence/proto/address.js';
import type { PortEntry } from '@ringfence/proto/policy-set.js';
import type { PortPrefix } from './port-prefixes.js';

/** Bytes to text. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** Text to bytes. */
export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/** A u32 in the machine's order, as bare numbers stand in maps. */
export function packU32(value: number): string {
  return String.fromCharCode(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}

/** The u32 at a place in packed text. */
export function readU32(text: string, at: number): number {
  const byte = (i: number) => text.charCodeAt(at + i);
  return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
}

export function ifindexKey(ifindex: number): string {
  return textOf(ENDPOINT_KEY.encode({ id: BigInt(ifindex), kind: EndpointKind.IFINDEX }));
}

export function cgroupKey(id: bigint): string {
  return textOf(ENDPOINT_KEY.encode({ id, kind: EndpointKind.CGROUP }));
}

export function endpointValue(value: Endpoint): string {
  return textOf(ENDPOINT.encode(value));
}

export function endpointOf(value: string): Endpoint {
  return ENDPOINT.decode(bytesOf(value));
}

// Peers and groups come by the hundred thousand: written out member by member, which pack.test.ts compares with the codecs.

export function peerKey(space: number, addr: Uint8Array): string {
  return packU32(space) + textOf(addr);
}

export function peerValue(identity: number, flags: number): string {
  return packU32(identity) + packU32(flags);
}

export function peerOf(value: string): { identity: number; flags: number } {
  return { identity: readU32(value, PEER.fields.identity.offset), flags: readU32(value, PEER.fields.flags.offset) };
}

export function sharedKey(shared: number, index: number): string {
  return textOf(SHARED_KEY.encode({ shared, index }));
}

export function cidrKey(prefix: AddressPrefix): string {
  return textOf(CIDR_KEY.encode({ prefixlen: prefix.length, addr: maskAddress(prefix.address, prefix.length) }));
}

export function cidrValue(classId: number): string {
  return textOf(CIDR.encode({ classId }));
}

export function natMapKey(key: NatKey): string {
  return textOf(NAT_KEY.encode(key));
}

export function natValue(identity: number, port: number): string {
  return textOf(NAT.encode({ identity, port }));
}

export function groupKey(set: number, peer: number, kind: number): string {
  return packU32(set) + packU32(peer) + packU32(kind);
}

export function groupValue(group: number): string {
  return packU32(group);
}

export function portKey(group: number, at: PortPrefix): string {
  return textOf(PORT_KEY.encode({ prefixlen: at.prefixLength, group, proto: at.protocol, port: at.port }));
}

export function portValue(entry: PortEntry): string {
  const { rule, constraints } = entry;
  return textOf(PORT.encode({ rule, constraints, action: entry.allow ? Action.ALLOW : Action.DENY }));
}

export function failsafeKey(entry: Omit<FailsafeKey, 'prefixlen' | 'remote'>, remote: AddressPrefix): string {
  const masked = maskAddress(remote.address, remote.length);
  return textOf(FAILSAFE_KEY.encode({ ...entry, prefixlen: failsafePrefix(remote.length), remote: masked }));
}

/** The part of a key that is left when the u32 at a member's place is cut out: what remains equal under another number. */
export function without(layout: Layout, member: string, key: string): string {
  const at = layout.fields[member]?.offset ?? 0;
  return key.slice(0, at) + key.slice(at + 4);
}

/** The number at a member's place. */
export function memberOf(layout: Layout, member: string, key: string): number {
  return readU32(key, layout.fields[member]?.offset ?? 0);
}
