// The compiled rules of one identity in one direction: what the controller's compiler makes, the agent renders into kernel
// maps, and both name by content. Numbers here are those of agent.proto PolicySet; the hash is hexadecimal text inside.
import { createHash } from 'node:crypto';
import type { PolicySet as WirePolicySet } from '../gen/ringfence/v1/agent.js';

/** PortEntry.protocol for every protocol. */
export const PROTOCOL_ANY = 256;

/** Verdict of one range of ports. A whole protocol is 0 to 65535; ICMP counts type * 256 + code; PROTOCOL_ANY is whole. */
export interface PortEntry {
  readonly protocol: number;
  readonly portLow: number;
  readonly portHigh: number;
  /** Number of the deciding rule, never 0. */
  readonly rule: number;
  readonly allow: boolean;
  /** Bits: 1 encrypted, 2 authenticated. */
  readonly constraints: number;
}

/** Numbers in order: an array, or something that does not keep them in one piece. */
export interface NumberList extends Iterable<number> {
  readonly length: number;
  includes(number: number): boolean;
  /** The digests of its chunks (see policySet), when it keeps them. */
  digests?(): readonly Uint8Array[];
}

/** Peers for which the same ports hold. */
export interface PeerGroup {
  /** The default group: what holds for peers in no other identity group. Exactly one per set. */
  readonly anyone: boolean;
  /** Ascending. Entries already contain what holds for anyone. */
  readonly identities: NumberList;
  /** Ascending. Entries hold only what the IP lists add; combined with the identity's entry by `combine`. */
  readonly classes: readonly number[];
  /** Sorted by protocol, port. Ranges of one protocol are disjoint, except that the whole protocol lies below them. */
  readonly ports: readonly PortEntry[];
}

/** Content-addressed compiled rules. */
export interface PolicySet {
  /** 32 hexadecimal digits: the first 16 bytes of SHA-256 over the canonical content (`policySet`). */
  readonly hash: string;
  /** The default group first, then by their first identity, then by their first class. */
  readonly groups: readonly PeerGroup[];
}

/** A compiled decision: the deciding entry, or undefined when no rule speaks (implicit deny). */
export type CompiledDecision = PortEntry | undefined;

/** Lists of identities that are longer than this enter a set's name as the digests of their chunks. */
export const LONG_LIST = 1024;

/** True where a chunk of a long list ends: after this number. It depends on the number alone, so a list that changes keeps its other chunks. */
export function endsChunk(identity: number): boolean {
  return Math.imul(identity, 0x9e3779b1) >>> 23 === 0;
}

/** The digest of one chunk: 32 bytes. */
export function chunkDigest(identities: readonly number[]): Uint8Array {
  return createHash('sha256').update(Uint32Array.from(identities)).digest();
}

/**
 * The set with these groups, named by their content. Of a long list the digests of its chunks count: where the list keeps them, naming a
 * set that names everybody costs what changed and not what there is.
 */
export function policySet(groups: readonly PeerGroup[]): PolicySet {
  const digest = createHash('sha256');
  for (const group of groups) {
    const { anyone, identities, classes, ports } = group;
    digest.update(Uint32Array.of(anyone ? 1 : 0, identities.length, classes.length, ports.length));
    if (identities.length <= LONG_LIST) digest.update(Uint32Array.from(identities));
    else for (const chunk of identities.digests?.() ?? chunkDigests([...identities])) digest.update(chunk);
    digest.update(Uint32Array.from(classes));
    for (const p of ports) {
      digest.update(Uint32Array.of(p.protocol, p.portLow, p.portHigh, p.rule, p.allow ? 1 : 0, p.constraints));
    }
  }
  return { hash: digest.digest('hex').slice(0, 32), groups };
}

/** The digests of a list's chunks: each ends where endsChunk says, the last one with the list. */
export function chunkDigests(identities: readonly number[]): Uint8Array[] {
  const digests: Uint8Array[] = [];
  let from = 0;
  identities.forEach((identity, at) => {
    if (!endsChunk(identity) && at < identities.length - 1) return;
    digests.push(chunkDigest(identities.slice(from, at + 1)));
    from = at + 1;
  });
  return digests;
}

/**
 * The entry of a port table that decides: a range of ports before the whole protocol before any protocol.
 * This is what the kernel's longest-prefix lookup in rf_ports must give.
 */
export function lookupPorts(ports: readonly PortEntry[], protocol: number, port: number): CompiledDecision {
  let best: PortEntry | undefined;
  let bestRank = -1;
  for (const entry of ports) {
    if (entry.protocol !== protocol && entry.protocol !== PROTOCOL_ANY) continue;
    if (entry.protocol === protocol && (port < entry.portLow || port > entry.portHigh)) continue;
    const whole = entry.portLow === 0 && entry.portHigh === 0xffff;
    const rank = entry.protocol === PROTOCOL_ANY ? 0 : whole ? 1 : 2;
    if (rank > bestRank) [best, bestRank] = [entry, rank];
  }
  return best;
}

/** Deny over allow, then the lowest rule: how an identity's entry and a class's entry make one decision. */
export function combine(a: CompiledDecision, b: CompiledDecision): CompiledDecision {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.allow !== b.allow) return a.allow ? b : a;
  return a.rule <= b.rule ? a : b;
}

/**
 * The reference lookup of the compiled form for one peer: identity 0 is an unknown peer, class 0 is in no list. `set` undefined
 * means that no rule speaks for this workload at all.
 */
export function decideCompiled(
  set: PolicySet | undefined,
  peer: { readonly identity: number; readonly classId: number },
  protocol: number,
  port: number,
): CompiledDecision {
  if (set === undefined) return undefined;
  const byIdentity =
    set.groups.find((group) => peer.identity !== 0 && group.identities.includes(peer.identity)) ??
    set.groups.find((group) => group.anyone);
  const byClass = peer.classId === 0 ? undefined : set.groups.find((group) => group.classes.includes(peer.classId));
  return combine(
    lookupPorts(byIdentity?.ports ?? [], protocol, port),
    lookupPorts(byClass?.ports ?? [], protocol, port),
  );
}

/**
 * The same for a shared address: candidates ascending; the first that is allowed wins, else the lowest-numbered explicit deny
 * among them, else nothing. No candidate at all is an unknown peer.
 */
export function decideCompiledShared(
  set: PolicySet | undefined,
  candidates: readonly number[],
  classId: number,
  protocol: number,
  port: number,
): CompiledDecision {
  let deny: CompiledDecision;
  for (const identity of candidates.length === 0 ? [0] : candidates) {
    const decision = decideCompiled(set, { identity, classId }, protocol, port);
    if (decision?.allow) return decision;
    deny = combine(deny, decision);
  }
  return deny;
}

/** Hash text to the wire's bytes; the empty text (no set) to no bytes. */
export function hashToBytes(hash: string): Buffer {
  return Buffer.from(hash, 'hex');
}

/** The wire's bytes to hash text. */
export function hashFromBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** As agent.proto carries it. */
export function policySetToWire(set: PolicySet): WirePolicySet {
  return {
    hash: hashToBytes(set.hash),
    groups: set.groups.map((group) => ({
      anyone: group.anyone,
      identities: [...group.identities],
      classes: [...group.classes],
      ports: group.ports.map((entry) => ({ ...entry })),
    })),
  };
}

/** From agent.proto. Throws RangeError when the content does not have the hash that it claims. */
export function policySetFromWire(wire: WirePolicySet): PolicySet {
  const set = policySet(wire.groups.map((group) => ({ ...group, ports: group.ports.map((entry) => ({ ...entry })) })));
  const claimed = hashFromBytes(wire.hash);
  if (claimed !== set.hash) throw new RangeError(`Cannot accept policy set ${claimed}: found content ${set.hash}`);
  return set;
}
