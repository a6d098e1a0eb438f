// Identities to the addresses of their workloads. An answer is worked out once per flush and shared by all hosts that ask.
import { type Place, WORLD } from '../topology/view.js';
import type { BindingTable, Candidates } from './binding-table.js';
import type { Identity } from './identity-table.js';

/** The addresses of one identity. */
interface Entry {
  /** In the routed world: who is behind each. */
  readonly world: readonly Candidates[];
  /** In other scopes. */
  readonly inner: readonly Place[];
}

const NOTHING: Entry = { world: [], inner: [] };

export class AddressBook {
  readonly #entries = new Map<number, Entry>();
  readonly #bindings: BindingTable;
  readonly #identity: (number: number) => Identity | undefined;
  readonly #placesOf: (id: string) => readonly Place[];

  /** `identity` gives living identities only, `placesOf` the places of a workload. */
  constructor(
    bindings: BindingTable,
    identity: (number: number) => Identity | undefined,
    placesOf: (id: string) => readonly Place[],
  ) {
    this.#bindings = bindings;
    this.#identity = identity;
    this.#placesOf = placesOf;
  }

  /** Addresses change: what was worked out counts no longer. */
  forget(): void {
    this.#entries.clear();
  }

  /** Who is behind each routed address of an identity, by address. */
  world(number: number): readonly Candidates[] {
    return this.#entry(number).world;
  }

  /** The addresses of an identity that a host with these scopes may see: hexadecimal. */
  *seenBy(scopes: readonly string[], number: number): Generator<string> {
    for (const { hex } of this.world(number)) yield hex;
    yield* this.inner(scopes, number);
  }

  /** Of these the ones in other scopes than the routed world. */
  *inner(scopes: readonly string[], number: number): Generator<string> {
    for (const at of this.#entry(number).inner) if (scopes.includes(at.scope)) yield at.hex;
  }

  #entry(number: number): Entry {
    const known = this.#entries.get(number);
    if (known !== undefined) return known;
    const identity = this.#identity(number);
    if (identity === undefined) return NOTHING;
    const entry = { world: new Set<Candidates>(), inner: [] as Place[] };
    for (const id of identity.members) {
      for (const place of this.#placesOf(id)) {
        const seen = place.scope === WORLD ? this.#bindings.inWorld(place.hex) : undefined;
        if (seen !== undefined) entry.world.add(seen);
        else entry.inner.push(place);
      }
    }
    const byHex = (a: { readonly hex: string }, b: { readonly hex: string }) => (a.hex < b.hex ? -1 : 1);
    const made = { world: [...entry.world].sort(byHex), inner: entry.inner.sort(byHex) };
    this.#entries.set(number, made);
    return made;
  }
}
