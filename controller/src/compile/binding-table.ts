// Addresses to the workloads behind them, scope by scope, and what changed since the last flush.
import { addressFromHex } from '@ringfence/proto/address.js';
import type { BindingState } from '@ringfence/proto/instructions.js';
import { type Place, placeKey, WORLD } from '../topology/view.js';
import { adjust } from './counts.js';

/** Who is behind an address. */
export interface Candidates {
  /** Identity numbers, ascending and distinct; never empty. */
  readonly identities: readonly number[];
  /** Nobody behind it has an agent. */
  readonly unmanaged: boolean;
  /** Nobody is behind it now: they were until lately. */
  readonly former: boolean;
  /** The same, as hosts are told it. */
  readonly binding: BindingState;
  /** The address, hexadecimal. */
  readonly hex: string;
}

interface Holder {
  readonly managed: boolean;
  readonly identity: number;
  readonly former: boolean;
}

/** A place with somebody behind it. The answer is worked out once and shared by every host that asks. */
interface Bound {
  readonly holders: Map<string, Holder>;
  candidates: Candidates | undefined;
}

const NO_ADDRESSES: ReadonlySet<string> = new Set();

export class BindingTable {
  readonly #places = new Map<string, Bound>();
  /** What stood behind each place that was touched since the last flush. */
  readonly #before = new Map<string, { readonly place: Place; readonly candidates: Candidates | undefined }>();
  /** Addresses by scope, but for the routed world: most hosts have none further in, and need not look for one. */
  readonly #inner = new Map<string, Set<string>>();
  readonly #innerTouched = new Set<string>();
  /** Addresses of these scopes with the number of them: a routed address that is not among them is hidden nowhere. */
  readonly #innerAddresses = new Map<string, number>();

  /** The workload is (now) at these places, with this identity. */
  add(workloadId: string, managed: boolean, identity: number, places: readonly Place[]): void {
    for (const place of places) {
      this.#touch(place);
      let bound = this.#places.get(place.key);
      if (bound === undefined) {
        bound = { holders: new Map(), candidates: undefined };
        this.#places.set(place.key, bound);
        if (place.scope !== WORLD) this.#addInner(place);
      }
      bound.holders.set(workloadId, { managed, identity, former: place.former ?? false });
      bound.candidates = undefined;
    }
  }

  /** The workload is at these places no longer. */
  remove(workloadId: string, places: readonly Place[]): void {
    for (const place of places) {
      this.#touch(place);
      const bound = this.#places.get(place.key);
      if (bound === undefined) continue;
      bound.holders.delete(workloadId);
      bound.candidates = undefined;
      if (bound.holders.size > 0) continue;
      this.#places.delete(place.key);
      if (place.scope !== WORLD) this.#removeInner(place);
    }
  }

  /** Who is behind an address of the routed world. */
  inWorld(hex: string): Candidates | undefined {
    return this.#at(hex);
  }

  /** The same, as of the last flush. */
  inWorldBefore(hex: string): Candidates | undefined {
    return this.#atBefore(hex);
  }

  /** True when there are none in these scopes but the routed world, nor were at the last flush: nothing hides a routed address. */
  isPlain(scopes: readonly string[]): boolean {
    return !scopes.some((scope) => this.#inner.has(scope) || this.#innerTouched.has(scope));
  }

  /** True when there are addresses in one of these scopes but the routed world: these may hide routed ones. */
  hasInner(scopes: readonly string[]): boolean {
    return scopes.some((scope) => this.#inner.has(scope));
  }

  /** The addresses of a scope that is not the routed world; hexadecimal. */
  addressesIn(scope: string): ReadonlySet<string> {
    return this.#inner.get(scope) ?? NO_ADDRESSES;
  }

  /** True when some scope further in has this address too: there it hides the routed one. */
  isHidden(hex: string): boolean {
    return this.#innerAddresses.has(hex);
  }

  /** Who is behind an address as a host with these scopes sees it: the innermost that knows it. Who was there hides nobody who is. */
  seenBy(scopes: readonly string[], hex: string): Candidates | undefined {
    return innermost(scopes, (scope) =>
      scope === WORLD || this.#inner.has(scope) ? this.#at(placeKey(scope, hex)) : undefined,
    );
  }

  /** The same, as of the last flush. */
  seenBefore(scopes: readonly string[], hex: string): Candidates | undefined {
    return innermost(scopes, (scope) => this.#atBefore(placeKey(scope, hex)));
  }

  /** Ids of the workloads behind an address as a host with these scopes sees it; sorted. */
  workloadsSeenBy(scopes: readonly string[], hex: string): string[] {
    for (const scope of scopes) {
      const holders = [...(this.#places.get(placeKey(scope, hex))?.holders ?? [])].filter(([, { former }]) => !former);
      if (holders.length > 0) return holders.map(([id]) => id).sort();
    }
    return [];
  }

  /** Places whose candidates differ from the last flush, with what they were. */
  changes(): {
    readonly place: Place;
    readonly before: Candidates | undefined;
    readonly now: Candidates | undefined;
  }[] {
    return [...this.#before.values()]
      .map(({ place, candidates }) => ({ place, before: candidates, now: this.#at(place.key) }))
      .filter(({ before, now }) => !sameCandidates(before, now));
  }

  /** End of a flush. */
  sweep(): void {
    this.#before.clear();
    this.#innerTouched.clear();
  }

  #addInner({ scope, hex }: Place): void {
    const others = this.#inner.get(scope);
    if (others === undefined) this.#inner.set(scope, new Set([hex]));
    else others.add(hex);
    adjust(this.#innerAddresses, hex, 1);
  }

  #removeInner({ scope, hex }: Place): void {
    const others = this.#inner.get(scope);
    others?.delete(hex);
    if (others?.size === 0) this.#inner.delete(scope);
    adjust(this.#innerAddresses, hex, -1);
  }

  #at(key: string): Candidates | undefined {
    const bound = this.#places.get(key);
    if (bound !== undefined) bound.candidates ??= candidatesOf(key, bound.holders);
    return bound?.candidates;
  }

  #atBefore(key: string): Candidates | undefined {
    const before = this.#before.get(key);
    return before === undefined ? this.#at(key) : before.candidates;
  }

  #touch(place: Place): void {
    if (place.scope !== WORLD) this.#innerTouched.add(place.scope);
    if (!this.#before.has(place.key)) this.#before.set(place.key, { place, candidates: this.#at(place.key) });
  }
}

export function sameCandidates(a: Candidates | undefined, b: Candidates | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.unmanaged === b.unmanaged &&
    a.former === b.former &&
    a.identities.length === b.identities.length &&
    a.identities.every((identity, index) => identity === b.identities[index])
  );
}

function innermost(scopes: readonly string[], at: (scope: string) => Candidates | undefined): Candidates | undefined {
  let before: Candidates | undefined;
  for (const scope of scopes) {
    const found = at(scope);
    if (found?.former === false) return found;
    before ??= found;
  }
  return before;
}

function candidatesOf(key: string, holders: ReadonlyMap<string, Holder>): Candidates {
  const former = ![...holders.values()].some((holder) => !holder.former);
  const counted = [...holders.values()].filter((holder) => holder.former === former);
  const identities = [...new Set(counted.map(({ identity }) => identity))].sort((a, b) => a - b);
  const unmanaged = !counted.some(({ managed }) => managed);
  const [identity] = identities;
  if (identity === undefined) throw new RangeError(`Cannot bind ${key}: found nobody behind it, wanted a workload`);
  const hex = key.slice(-32);
  const address = addressFromHex(hex);
  const shared = identities.length > 1 ? identities : [];
  const binding = { space: WORLD, address, identity, shared, unmanaged, ...(former && { former }) };
  return { identities, unmanaged, former, hex, binding };
}
