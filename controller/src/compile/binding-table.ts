// Addresses to the workloads behind them, in the routed world and on each host, and what changed since the last flush.
import { addressFromHex, addressHex } from '@ringfence/proto/address.js';
import { audience } from '../topology/view.js';
import type { CompilerWorkload, SpaceAddress } from './types.js';

/** Who is behind an address. */
export interface Candidates {
  /** Identity numbers, ascending and distinct; never empty. */
  readonly identities: readonly number[];
  /** Nobody behind it has an agent. */
  readonly unmanaged: boolean;
}

/** An address as the table keys it: hexadecimal, in the routed world (hostId empty) or on one host. */
export interface Place {
  readonly hostId: string;
  readonly hex: string;
}

interface Holder {
  readonly workload: CompilerWorkload;
  readonly identity: number;
}

export class BindingTable {
  readonly #places = new Map<string, Map<string, Holder>>();
  /** What stood behind each place that was touched since the last flush. */
  readonly #before = new Map<string, { readonly place: Place; readonly candidates: Candidates | undefined }>();

  /** The workload is (now) behind its addresses, with this identity. */
  add(workload: CompilerWorkload, identity: number): void {
    for (const place of placesOf(workload)) {
      this.#touch(place);
      const key = placeKey(place);
      const holders = this.#places.get(key);
      if (holders === undefined) this.#places.set(key, new Map([[workload.id, { workload, identity }]]));
      else holders.set(workload.id, { workload, identity });
    }
  }

  /** The workload is behind these addresses no longer. */
  remove(workload: CompilerWorkload): void {
    for (const place of placesOf(workload)) {
      this.#touch(place);
      const key = placeKey(place);
      const holders = this.#places.get(key);
      holders?.delete(workload.id);
      if (holders?.size === 0) this.#places.delete(key);
    }
  }

  /** Who is behind the place itself. */
  at(place: Place): Candidates | undefined {
    const holders = this.#places.get(placeKey(place));
    if (holders === undefined) return undefined;
    const identities = [...new Set([...holders.values()].map(({ identity }) => identity))].sort((a, b) => a - b);
    return { identities, unmanaged: [...holders.values()].every(({ workload }) => workload.hostId === '') };
  }

  /** Who is behind an address as a host sees it: its own local addresses hide the routed world's. */
  seenBy(hostId: string, hex: string): Candidates | undefined {
    return this.at({ hostId, hex }) ?? this.at({ hostId: '', hex });
  }

  /** The same, as of the last flush. */
  seenBefore(hostId: string, hex: string): Candidates | undefined {
    return this.#atBefore({ hostId, hex }) ?? this.#atBefore({ hostId: '', hex });
  }

  /** Places whose candidates differ from the last flush, with what they were. */
  changes(): {
    readonly place: Place;
    readonly before: Candidates | undefined;
    readonly now: Candidates | undefined;
  }[] {
    return [...this.#before.values()]
      .map(({ place, candidates }) => ({ place, before: candidates, now: this.at(place) }))
      .filter(({ before, now }) => !sameCandidates(before, now));
  }

  /** End of a flush. */
  sweep(): void {
    this.#before.clear();
  }

  #atBefore(place: Place): Candidates | undefined {
    const before = this.#before.get(placeKey(place));
    return before === undefined ? this.at(place) : before.candidates;
  }

  #touch(place: Place): void {
    const key = placeKey(place);
    if (!this.#before.has(key)) this.#before.set(key, { place, candidates: this.at(place) });
  }
}

/** Where a workload is bound: in the routed world, or on the one host that sees the address. */
export function placesOf(workload: CompilerWorkload): Place[] {
  return workload.addresses.flatMap((at: SpaceAddress) => {
    const seen = audience(workload, at);
    if (seen.kind === 'none') return [];
    return [{ hostId: seen.kind === 'host' ? seen.hostId : '', hex: addressHex(at.address) }];
  });
}

export function sameCandidates(a: Candidates | undefined, b: Candidates | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.unmanaged === b.unmanaged &&
    a.identities.length === b.identities.length &&
    a.identities.every((identity, index) => identity === b.identities[index])
  );
}

/** The address of a place. */
export function addressOf(place: Pick<Place, 'hex'>): Uint8Array {
  return addressFromHex(place.hex);
}

function placeKey(place: Place): string {
  return place.hostId === '' ? place.hex : `${place.hostId}|${place.hex}`;
}
