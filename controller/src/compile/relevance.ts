// Which addresses a host must hear about: those behind which stands an identity that one of its sets names. The binding then
// lists everybody behind the address, since a shared address is allowed when any of them is.
import { addressFromHex } from '@ringfence/proto/address.js';
import type { BindingAddress, BindingState } from '@ringfence/proto/instructions.js';
import { type Place, WORLD } from '../topology/view.js';
import type { AddressBook } from './address-book.js';
import { type BindingTable, type Candidates, sameCandidates } from './binding-table.js';
import type { HostState } from './host-state.js';
import type { Identity } from './identity-table.js';
import type { SetBuilder } from './set-builder.js';

/** Identities that a kernel can hold behind one address (bpf/lib/limits.h RF_SHARED_MAX). */
export const SHARED_MAX = 64;

/** Places that an identity has, about: which way round to look for what a host sees further in than the routed world. */
const FEW_PLACES = 8;

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
  /** Ids of the hosts that see a scope which is not the routed world. */
  hostsSeeing(scope: string): ReadonlySet<string>;
  /** The scopes outside a scope, from the inside out. */
  around(scope: string): readonly string[];
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
    const look = (candidates: Candidates | undefined) => {
      if (candidates?.identities.some((each) => named.has(each))) seen.add(candidates);
    };
    for (const number of numbers) {
      for (const candidates of book.world(number)) {
        // Named by this very number: only where something further in may stand before it there is more to ask.
        if (bindings.isHidden(candidates.hex)) look(bindings.seenBy(scopes, candidates.hex));
        else seen.add(candidates);
      }
    }
    const inner = scopes.filter((scope) => scope !== WORLD).map((scope) => bindings.addressesIn(scope));
    if (inner.reduce((sum, { size }) => sum + size, 0) < numbers.length * FEW_PLACES) {
      for (const addresses of inner) for (const hex of addresses) look(bindings.seenBy(scopes, hex));
    } else {
      for (const number of numbers) for (const hex of book.inner(scopes, number)) look(bindings.seenBy(scopes, hex));
    }
    for (const candidates of seen) held.push(told(candidates, (number) => named.has(number)));
    return held;
  }
  for (const number of numbers) {
    for (const candidates of book.world(number)) {
      const { identities } = candidates;
      // A shared address comes with the first identity behind it that is named.
      if (identities[0] === number || identities.find((each) => named.has(each)) === number)
        held.push(told(candidates, (each) => named.has(each)));
    }
  }
  return held;
}

/** For each host that must hear of an address: what to tell. Fresh hosts are left out: they hear everything (allBindings). */
export function bindingChanges(from: ChangeSources): Map<HostState, BindingDelta> {
  const looks = new Map<HostState, Set<string>>();
  const look = (host: HostState, hex: string) => {
    const addresses = looks.get(host);
    if (addresses === undefined) looks.set(host, new Set([hex]));
    else addresses.add(hex);
  };
  const moved = new Map<number, Set<string>>();
  const naming = new Naming(from);
  for (const { place, before, now } of allFresh(from) ? [] : from.bindings.changes()) {
    const numbers = new Set([...(before?.identities ?? []), ...(now?.identities ?? [])]);
    for (const number of numbers) moved.set(number, (moved.get(number) ?? new Set()).add(place.hex));
    const seeing = place.scope === WORLD ? undefined : from.hostsSeeing(place.scope);
    if (seeing !== undefined && (seeing.size === 1 || hidesOther(from, place))) {
      for (const hostId of seeing) {
        const host = from.hosts.get(hostId);
        if (host !== undefined) look(host, place.hex);
      }
      continue;
    }
    for (const number of numbers) {
      const hosts = naming.of(number).either;
      if (seeing === undefined) for (const host of hosts) look(host, place.hex);
      else if (seeing.size > hosts.size) {
        for (const host of hosts) if (seeing.has(host.id)) look(host, place.hex);
      } else {
        for (const hostId of seeing) {
          const host = from.hosts.get(hostId);
          if (host !== undefined && hosts.has(host)) look(host, place.hex);
        }
      }
    }
  }
  const result = new Map<HostState, BindingDelta>();
  for (const host of from.dirtyHosts) {
    if (host.fresh) continue;
    for (const number of host.renamed(from.sets.touched)) {
      if (host.names(number) === host.named(number)) continue;
      for (const hex of from.book.seenBy(from.scopes(host.id), number)) look(host, hex);
      for (const hex of moved.get(number) ?? []) look(host, hex);
    }
  }
  for (const [host, addresses] of looks) if (!host.fresh) result.set(host, compare(host, addresses, from, naming));
  return result;
}

function allFresh({ dirtyHosts, hosts }: ChangeSources): boolean {
  let fresh = 0;
  for (const host of dirtyHosts) if (host.fresh) fresh += 1;
  return fresh === hosts.size;
}

/** True when somebody further out has the same address: hosts inside see that one no longer, or again, whomever they name. */
function hidesOther({ bindings, around }: ChangeSources, { scope, hex }: Place): boolean {
  const outer = around(scope);
  return bindings.seenBy(outer, hex) !== undefined || bindings.seenBefore(outer, hex) !== undefined;
}

/** What a host held at these addresses against what it must hold. */
function compare(
  host: HostState,
  addresses: ReadonlySet<string>,
  { bindings, scopes }: ChangeSources,
  naming: Naming,
): BindingDelta {
  const own = scopes(host.id);
  // Where nothing further in can hide a routed address, there is only one place to look.
  const plain = bindings.isPlain(own);
  const delta: BindingDelta = { set: [], removed: [] };
  for (const hex of addresses.size > 1 ? [...addresses].sort() : addresses) {
    const before = plain ? bindings.inWorldBefore(hex) : bindings.seenBefore(own, hex);
    const now = plain ? bindings.inWorld(hex) : bindings.seenBy(own, hex);
    const held = before?.identities.some((number) => naming.named(host, number)) ?? false;
    if (now?.identities.some((number) => naming.names(host, number))) {
      const names = (number: number) => naming.names(host, number);
      // A list that had to be shortened depends on what the host names, so it may be otherwise though the candidates are the same.
      const shortened = now.identities.length > SHARED_MAX;
      if (!held || before === undefined) delta.set.push(told(now, names));
      else if (shortened && before.identities.length > SHARED_MAX) {
        const was = told(before, (number) => naming.named(host, number));
        const is = told(now, names);
        if (!sameBinding(was, is)) delta.set.push(is);
      } else if (!sameCandidates(before, now)) delta.set.push(told(now, names));
    } else if (held) delta.removed.push({ space: WORLD, address: addressFromHex(hex) });
  }
  return delta;
}

/** The same address is told in the same words. */
function sameBinding(a: BindingState, b: BindingState): boolean {
  return (
    a.identity === b.identity &&
    a.unmanaged === b.unmanaged &&
    a.former === b.former &&
    a.shared.length === b.shared.length &&
    a.shared.every((identity, at) => identity === b.shared[at])
  );
}

/** Hosts whose sets name an identity. */
interface NamingHosts {
  readonly now: ReadonlySet<HostState>;
  /** As of the last flush; only of hosts whose nodes are still the same. */
  readonly before: ReadonlySet<HostState>;
  readonly either: ReadonlySet<HostState>;
}

const NOBODY: NamingHosts = { now: new Set(), before: new Set(), either: new Set() };

/** Who names an identity, found from the identity: to ask each host costs a walk over its sets. Of one flush. */
class Naming {
  readonly #from: ChangeSources;
  readonly #known = new Map<number, NamingHosts>();

  constructor(from: ChangeSources) {
    this.#from = from;
  }

  /** Hosts whose sets name it now, or did before and still use the same sets; others are dirty anyhow. */
  of(number: number): NamingHosts {
    let hosts = this.#known.get(number);
    if (hosts === undefined) {
      hosts = this.#find(number);
      this.#known.set(number, hosts);
    }
    return hosts;
  }

  /** True when one of the host's sets names the identity now. */
  names(host: HostState, number: number): boolean {
    const known = this.#asked(host, number);
    return known === undefined ? host.names(number) : known.now.has(host);
  }

  /** True when one of them did at the last flush. */
  named(host: HostState, number: number): boolean {
    const known = this.#asked(host, number);
    return known === undefined ? host.named(number) : known.before.has(host);
  }

  #asked(host: HostState, number: number): NamingHosts | undefined {
    const known = host.moved ? undefined : this.#known.get(number);
    return known === NOBODY ? undefined : known;
  }

  #find(number: number): NamingHosts {
    const identity = this.#from.identity(number);
    // The sets that named one that is gone have changed: their hosts are dirty, and answer for themselves.
    if (identity === undefined) return NOBODY;
    const [now, before, either] = [new Set<HostState>(), new Set<HostState>(), new Set<HostState>()];
    for (const node of this.#from.sets.naming(identity)) {
      const [names, named] = [node.names(number), node.named(number)];
      if (!names && !named) continue;
      for (const host of node.hosts.keys()) {
        either.add(host);
        if (names) now.add(host);
        if (named) before.add(host);
      }
    }
    return { now, before, either };
  }
}

/**
 * The binding as this host is told it. Identities that its rules do not name are all alike to it: where the list is too long, the
 * first of them stands for the rest. What is longer still is cut, which may refuse but never lets through.
 */
function told({ identities, binding }: Candidates, names: (identity: number) => boolean): BindingState {
  if (identities.length <= SHARED_MAX) return binding;
  let unnamed = false;
  const alike = identities.filter((number) => {
    if (names(number)) return true;
    if (unnamed) return false;
    unnamed = true;
    return true;
  });
  const shared = alike.slice(0, SHARED_MAX);
  const [identity = binding.identity] = shared;
  return { ...binding, identity, shared: shared.length > 1 ? shared : [] };
}
