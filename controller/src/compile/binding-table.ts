// Addresses to the workloads behind them, in the routed world and on each host, and what changed since the last flush.
import { addressFromHex, addressHex } from '@ringfence/proto/address.js';
import type { BindingState } from '@ringfence/proto/instructions.js';
import { audience, WORLD } from '../topology/view.js';
import { adjust } from './counts.js';
import type { CompilerWorkload, SpaceAddress } from './types.js';

/** Who is behind an address. */
export interface Candidates {
  /** Identity numbers, ascending and distinct; never empty. */
  readonly identities: readonly number[];
  /** Nobody behind it has an agent. */
  readonly unmanaged: boolean;
  /** The same, as hosts are told it. */
  readonly binding: BindingState;
  /** The address, hexadecimal. */
  readonly hex: string;
}

/** An address as the table keys it: hexadecimal, in the routed world (hostId empty) or on one host. */
export interface Place {
  readonly hostId: string;
  readonly hex: string;
  readonly key: string;
}

interface Holder {
  readonly managed: boolean;
  readonly identity: number;
}

/** A place with somebody behind it. The answer is worked out once and shared by every host that asks. */
interface Bound {
  readonly holders: Map<string, Holder>;
  candidates: Candidates | undefined;
}

export class BindingTable {
  readonly #places = new Map<string, Bound>();
  /** What stood behind each place that was touched since the last flush. */
  readonly #before = new Map<string, { readonly place: Place; readonly candidates: Candidates | undefined }>();
  /** Local places by host: most hosts have none, and need not look for one. */
  readonly #local = new Map<string, number>();

  /** The workload is (now) behind its addresses, with this identity. */
  add(workload: CompilerWorkload, identity: number): void {
    for (const place of placesOf(workload)) {
      this.#touch(place);
      let bound = this.#places.get(place.key);
      if (bound === undefined) {
        bound = { holders: new Map(), candidates: undefined };
        this.#places.set(place.key, bound);
        if (place.hostId !== '') adjust(this.#local, place.hostId, 1);
      }
      bound.holders.set(workload.id, { managed: workload.hostId !== '', identity });
      bound.candidates = undefined;
    }
  }

  /** The workload is behind these addresses no longer. */
  remove(workload: CompilerWorkload): void {
    for (const place of placesOf(workload)) {
      this.#touch(place);
      const bound = this.#places.get(place.key);
      if (bound === undefined) continue;
      bound.holders.delete(workload.id);
      bound.candidates = undefined;
      if (bound.holders.size > 0) continue;
      this.#places.delete(place.key);
      if (place.hostId !== '') adjust(this.#local, place.hostId, -1);
    }
  }

  /** Who is behind an address of the routed world. */
  inWorld(hex: string): Candidates | undefined {
    return this.#at(hex);
  }

  /** True when the host has addresses that nobody else sees: these may hide routed ones. */
  hasLocal(hostId: string): boolean {
    return this.#local.has(hostId);
  }

  /** Who is behind an address as a host sees it: its own local addresses hide the routed world's. */
  seenBy(hostId: string, hex: string): Candidates | undefined {
    const local = this.#local.has(hostId) ? this.#at(localKey(hostId, hex)) : undefined;
    return local ?? this.#at(hex);
  }

  /** The same, as of the last flush. */
  seenBefore(hostId: string, hex: string): Candidates | undefined {
    return this.#atBefore(localKey(hostId, hex)) ?? this.#atBefore(hex);
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
    if (!this.#before.has(place.key)) this.#before.set(place.key, { place, candidates: this.#at(place.key) });
  }
}

const PLACES = new WeakMap<CompilerWorkload, readonly Place[]>();

/** Where a workload is bound: in the routed world, or on the one host that sees the address. */
export function placesOf(workload: CompilerWorkload): readonly Place[] {
  const known = PLACES.get(workload);
  if (known !== undefined) return known;
  const places = workload.addresses.flatMap((at: SpaceAddress) => {
    const seen = audience(workload, at);
    if (seen.kind === 'none') return [];
    const hex = addressHex(at.address);
    if (seen.kind === 'world') return [{ hostId: '', hex, key: hex }];
    return [{ hostId: seen.hostId, hex, key: localKey(seen.hostId, hex) }];
  });
  PLACES.set(workload, places);
  return places;
}

export function sameCandidates(a: Candidates | undefined, b: Candidates | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.unmanaged === b.unmanaged &&
    a.identities.length === b.identities.length &&
    a.identities.every((identity, index) => identity === b.identities[index])
  );
}

function candidatesOf(key: string, holders: ReadonlyMap<string, Holder>): Candidates {
  const identities = [...new Set([...holders.values()].map(({ identity }) => identity))].sort((a, b) => a - b);
  const unmanaged = ![...holders.values()].some(({ managed }) => managed);
  const [identity] = identities;
  if (identity === undefined) throw new RangeError(`Cannot bind ${key}: found nobody behind it, wanted a workload`);
  const hex = key.slice(-32);
  const address = addressFromHex(hex);
  const shared = identities.length > 1 ? identities : [];
  return { identities, unmanaged, hex, binding: { space: WORLD, address, identity, shared, unmanaged } };
}

function localKey(hostId: string, hex: string): string {
  return `${hostId}|${hex}`;
}
