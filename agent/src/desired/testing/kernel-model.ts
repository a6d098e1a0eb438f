// What the kernel makes of the policy tables, in TypeScript and slow: lookups in rendered content, so that tests can ask what a
// packet would meet, also half way through a flush.
import { GroupKind, NAT, PeerFlag, PORT } from '@ringfence/bpf';
import { type CompiledDecision, combine } from '@ringfence/proto/policy-set.js';
import type { TableName } from '../desired.js';
import {
  bytesOf,
  cidrKey,
  endpointOf,
  groupKey,
  natMapKey,
  peerKey,
  peerOf,
  portKey,
  readU32,
  sharedKey,
} from '../pack.js';

/** Anything with get: a Map, a VersionedMap. */
export type Lookup = Readonly<Record<TableName, { readonly size: number; get(key: string): string | undefined }>>;

export interface Packet {
  /** Key in rf_endpoints. */
  readonly endpoint: string;
  readonly direction: 'in' | 'out';
  readonly remote: Uint8Array;
  readonly protocol: number;
  /** Service port. */
  readonly port: number;
  /** The remote's own port, inbound only. */
  readonly remotePort: number;
}

/** The deciding entry, undefined for "no rule" (implicit deny); 'no endpoint' when the key is not there. */
export function decide(tables: Lookup, packet: Packet): CompiledDecision | 'no endpoint' {
  const value = tables.rf_endpoints.get(packet.endpoint);
  if (value === undefined) return 'no endpoint';
  const endpoint = endpointOf(value);
  const set = packet.direction === 'in' ? endpoint.setIn : endpoint.setOut;
  if (set === 0) return undefined;
  let { port } = packet;
  let candidates = [0];
  const nat = tables.rf_nat.get(
    natMapKey({
      space: endpoint.space,
      port: packet.direction === 'out' ? port : packet.remotePort,
      proto: packet.protocol,
      addr: packet.remote,
    }),
  );
  const peer = tables.rf_peers.get(peerKey(endpoint.space, packet.remote));
  if (nat !== undefined) {
    candidates = [readU32(nat, 0)];
    if (packet.direction === 'out') port = NAT.decode(bytesOf(nat)).port;
  } else if (peer !== undefined) candidates = identitiesOf(tables, peer);
  const classId = classOf(tables, packet.remote);
  const byClass = classId === 0 ? undefined : tables.rf_groups.get(groupKey(set, classId, GroupKind.CLASS));
  const listed = byClass === undefined ? undefined : portOf(tables, readU32(byClass, 0), packet.protocol, port);
  let denied: CompiledDecision;
  for (const identity of candidates) {
    const group =
      tables.rf_groups.get(groupKey(set, identity, GroupKind.IDENTITY)) ??
      tables.rf_groups.get(groupKey(set, 0, GroupKind.IDENTITY));
    const own = group === undefined ? undefined : portOf(tables, readU32(group, 0), packet.protocol, port);
    const decision = combine(own, listed);
    if (decision?.allow) return decision;
    denied = combine(denied, decision);
  }
  return denied;
}

function identitiesOf(tables: Lookup, value: string): number[] {
  const { identity, flags } = peerOf(value);
  // Nobody's to a new connection.
  if ((flags & PeerFlag.FORMER) !== 0) return [0];
  if ((flags & PeerFlag.SHARED) === 0) return [identity];
  const out: number[] = [];
  for (let index = 0; ; index += 1) {
    const member = tables.rf_shared.get(sharedKey(identity, index));
    if (member === undefined) return out;
    out.push(readU32(member, 0));
  }
}

function classOf(tables: Lookup, address: Uint8Array): number {
  if (tables.rf_cidrs.size === 0) return 0;
  for (let length = 128; length >= 0; length -= 1) {
    const value = tables.rf_cidrs.get(cidrKey({ address, length }));
    if (value !== undefined) return readU32(value, 0);
  }
  return 0;
}

function portOf(tables: Lookup, group: number, protocol: number, port: number): CompiledDecision {
  for (let bits = 16; bits >= 0; bits -= 1) {
    const masked = bits === 0 ? 0 : (port >>> (16 - bits)) << (16 - bits);
    const hit = tables.rf_ports.get(portKey(group, { prefixLength: 48 + bits, protocol, port: masked }));
    if (hit !== undefined) return entryOf(hit, protocol);
  }
  const whole = tables.rf_ports.get(portKey(group, { prefixLength: 40, protocol, port: 0 }));
  if (whole !== undefined) return entryOf(whole, protocol);
  const any = tables.rf_ports.get(portKey(group, { prefixLength: 32, protocol: 0, port: 0 }));
  return any === undefined ? undefined : entryOf(any, protocol);
}

function entryOf(value: string, protocol: number): CompiledDecision {
  const { rule, action, constraints } = PORT.decode(bytesOf(value));
  return { protocol, portLow: 0, portHigh: 0xffff, rule, allow: action === 1, constraints };
}
