// Which addresses a host must hear about: those behind which stands an identity that one of its sets names. The binding then
// lists everybody behind the address, since a shared address is allowed when any of them is.
import { addressFromHex } from '@ringfence/proto/address.js';
import type { BindingAddress, BindingState } from '@ringfence/proto/instructions.js';
import { hostOfScope, WORLD } from '../topology/view.js';
import type { AddressBook } from './address-book.js';
import { type BindingTable, type Candidates, sameCandidates } from './binding-table.js';
import type { HostState } from './host-state.js';
import type { Identity } from './identity-table.js';
import type { SetBuilder } from './set-builder.js';

/** Identities that a kernel can hold behind one address (bpf/lib/limits.h RF_SHARED_MAX). */
export const SHARED_MAX = 64;

/** Where bindings come from. */
export interface BindingSources {
  readonly bindings: BindingTable;
  readonly book: AddressBook;
  /** The scopes that a host sees, from the inside out. */
  scopes(hostId: string): readonly string[];
}

/** The same, with what the running flush touched. */
export interface ChangeSources extends BindingSources {
  readonly dirtyHosts: ReadonlySet<HostState>;
  readonly hosts: ReadonlyMap<string, HostState>;
  readonly sets: SetBuilder;
  /** A living identity. */
  identity(number: number): Identity | undefined;
}

/** Binding changes of one host. */
export interface BindingDelta {
  readonly set: BindingState[];
  readonly removed: BindingAddress[];
}

/** Every binding that a host must hold now, by identity and address. */
export function allBindings(host: HostState, from: BindingSources): BindingState[] {
  const { bindings, book } = from;
  const scopes = from.scopes(host.id);
  const named = new Set<number>();
  for (const node of host.nodes.keys()) for (const number of node.peers()) named.add(number);
  const numbers = Uint32Array.from(named).sort();
  const held: BindingState[] = [];
  if (bindings.hasInner(scopes)) {
    const seen = new Set<Candidates>();
    for (const number of numbers) {
      for (const hex of book.seenBy(scopes, number)) {
        const candidates = bindings.seenBy(scopes, hex);
        if (candidates !== undefined && names(host, candidates)) seen.add(candidates);
      }
    }
    for (const candidates of seen) held.push(told(host, candidates));
    return held;
  }
  for (const number of numbers) {
    for (const candidates of book.world(number)) {
      const { identities } = candidates;
      // A shared address comes with the first identity behind it that is named.
      if (identities[0] === number || identities.find((each) => named.has(each)) === number)
        held.push(told(host, candidates));
    }
  }
  return held;
}

/** For each host that must hear of an address: what to tell. Fresh hosts hear everything. */
export function bindingChanges(from: ChangeSources): Map<HostState, BindingDelta> {
  const looks = new Map<HostState, Set<string>>();
  const look = (host: HostState, hex: string) => {
    const addresses = looks.get(host);
    if (addresses === undefined) looks.set(host, new Set([hex]));
    else addresses.add(hex);
  };
  const moved = new Map<number, Set<string>>();
  const fresh = [...from.dirtyHosts].filter((host) => host.fresh);
  const naming = new Map<number, readonly HostState[]>();
  for (const { place, before, now } of fresh.length === from.hosts.size ? [] : from.bindings.changes()) {
    const numbers = new Set([...(before?.identities ?? []), ...(now?.identities ?? [])]);
    for (const number of numbers) moved.set(number, (moved.get(number) ?? new Set()).add(place.hex));
    const only = hostOfScope(place.scope);
    if (only !== undefined) {
      const host = from.hosts.get(only);
      if (host !== undefined) look(host, place.hex);
      continue;
    }
    for (const number of numbers) {
      const hosts = naming.get(number) ?? hostsNaming(number, from);
      naming.set(number, hosts);
      for (const host of hosts) {
        if (place.scope === WORLD || from.scopes(host.id).includes(place.scope)) look(host, place.hex);
      }
    }
  }
  const result = new Map<HostState, BindingDelta>();
  for (const host of from.dirtyHosts) {
    if (host.fresh) continue;
    for (const number of host.renamed()) {
      if (host.names(number) === host.named(number)) continue;
      for (const hex of from.book.seenBy(from.scopes(host.id), number)) look(host, hex);
      for (const hex of moved.get(number) ?? []) look(host, hex);
    }
  }
  for (const [host, addresses] of looks) if (!host.fresh) result.set(host, compare(host, addresses, from));
  for (const host of fresh) result.set(host, { set: allBindings(host, from), removed: [] });
  return result;
}

/** What a host held at these addresses against what it must hold. */
function compare(host: HostState, addresses: ReadonlySet<string>, from: BindingSources): BindingDelta {
  const { bindings } = from;
  const scopes = from.scopes(host.id);
  const delta: BindingDelta = { set: [], removed: [] };
  for (const hex of [...addresses].sort()) {
    const before = bindings.seenBefore(scopes, hex);
    const now = bindings.seenBy(scopes, hex);
    const held = before?.identities.some((number) => host.named(number)) ?? false;
    if (now !== undefined && names(host, now)) {
      // A list that had to be shortened depends on what the host names.
      const shortened = now.identities.length > SHARED_MAX;
      if (!held || shortened || !sameCandidates(before, now)) delta.set.push(told(host, now));
    } else if (held) delta.removed.push({ space: WORLD, address: addressFromHex(hex) });
  }
  return delta;
}

/** Hosts whose sets name an identity now or did before and still use the same sets; others are dirty anyhow. */
function hostsNaming(number: number, from: ChangeSources): HostState[] {
  const hosts = new Set<HostState>();
  const identity = from.identity(number);
  if (identity === undefined) return [];
  for (const node of from.sets.naming(identity)) {
    if (node.names(number) || node.named(number)) for (const host of node.hosts.keys()) hosts.add(host);
  }
  return [...hosts];
}

function names(host: HostState, candidates: Candidates): boolean {
  return candidates.identities.some((number) => host.names(number));
}

/**
 * The binding as this host is told it. Identities that its rules do not name are all alike to it: where the list is too long, the
 * first of them stands for the rest. What is longer still is cut, which may refuse but never lets through.
 */
function told(host: HostState, candidates: Candidates): BindingState {
  const { identities, binding } = candidates;
  if (identities.length <= SHARED_MAX) return binding;
  let unnamed = false;
  const alike = identities.filter((number) => {
    if (host.names(number)) return true;
    if (unnamed) return false;
    unnamed = true;
    return true;
  });
  const shared = alike.slice(0, SHARED_MAX);
  const [identity = binding.identity] = shared;
  return { ...binding, identity, shared: shared.length > 1 ? shared : [] };
}
