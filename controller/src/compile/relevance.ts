// Which addresses a host must hear about: those behind which stands an identity that one of its sets names. The binding then
// lists everybody behind the address, since a shared address is allowed when any of them is.
import { addressFromHex } from '@ringfence/proto/address.js';
import type { BindingAddress, BindingState } from '@ringfence/proto/instructions.js';
import { WORLD } from '../topology/view.js';
import type { AddressBook } from './address-book.js';
import { type BindingTable, type Candidates, sameCandidates } from './binding-table.js';
import type { HostState } from './host-state.js';
import type { Identity } from './identity-table.js';
import type { SetBuilder } from './set-builder.js';

/** Where bindings come from. */
export interface BindingSources {
  readonly bindings: BindingTable;
  readonly book: AddressBook;
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
export function allBindings(host: HostState, { bindings, book }: BindingSources): BindingState[] {
  const named = new Set<number>();
  for (const node of host.nodes.keys()) for (const number of node.peers()) named.add(number);
  const numbers = Uint32Array.from(named).sort();
  const held: BindingState[] = [];
  if (bindings.hasLocal(host.id)) {
    const seen = new Set<Candidates>();
    for (const number of numbers) {
      for (const hex of book.seenBy(host.id, number)) {
        const candidates = bindings.seenBy(host.id, hex);
        if (candidates !== undefined && names(host, candidates)) seen.add(candidates);
      }
    }
    for (const { binding } of seen) held.push(binding);
    return held;
  }
  for (const number of numbers) {
    for (const { identities, binding } of book.world(number)) {
      // A shared address comes with the first identity behind it that is named.
      if (identities[0] === number || identities.find((each) => named.has(each)) === number) held.push(binding);
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
    const local = from.hosts.get(place.hostId);
    if (local !== undefined) look(local, place.hex);
    if (place.hostId !== '') continue;
    for (const number of numbers) {
      const hosts = naming.get(number) ?? hostsNaming(number, from);
      naming.set(number, hosts);
      for (const host of hosts) look(host, place.hex);
    }
  }
  const result = new Map<HostState, BindingDelta>();
  for (const host of from.dirtyHosts) {
    if (host.fresh) continue;
    for (const number of host.renamed()) {
      if (host.names(number) === host.named(number)) continue;
      for (const hex of from.book.seenBy(host.id, number)) look(host, hex);
      for (const hex of moved.get(number) ?? []) look(host, hex);
    }
  }
  for (const [host, addresses] of looks) if (!host.fresh) result.set(host, compare(host, addresses, from.bindings));
  for (const host of fresh) result.set(host, { set: allBindings(host, from), removed: [] });
  return result;
}

/** What a host held at these addresses against what it must hold. */
function compare(host: HostState, addresses: ReadonlySet<string>, bindings: BindingTable): BindingDelta {
  const delta: BindingDelta = { set: [], removed: [] };
  for (const hex of [...addresses].sort()) {
    const before = bindings.seenBefore(host.id, hex);
    const now = bindings.seenBy(host.id, hex);
    const held = before?.identities.some((number) => host.named(number)) ?? false;
    if (now !== undefined && names(host, now)) {
      if (!held || !sameCandidates(before, now)) delta.set.push(now.binding);
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
