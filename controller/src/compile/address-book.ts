// Identities to the addresses of their workloads. An answer is worked out once per flush and shared by all hosts that ask.
import { type BindingTable, type Candidates, placesOf } from './binding-table.js';
import type { Identity } from './identity-table.js';
import type { CompilerWorkload } from './types.js';

/** The addresses of one identity. */
interface Entry {
  /** In the routed world: who is behind each. */
  readonly world: readonly Candidates[];
  /** On one host only. */
  readonly local: readonly { readonly hostId: string; readonly hex: string }[];
}

const NOTHING: Entry = { world: [], local: [] };

export class AddressBook {
  readonly #entries = new Map<number, Entry>();
  readonly #bindings: BindingTable;
  readonly #identity: (number: number) => Identity | undefined;
  readonly #workload: (id: string) => CompilerWorkload | undefined;

  /** `identity` gives living identities only. */
  constructor(
    bindings: BindingTable,
    identity: (number: number) => Identity | undefined,
    workload: (id: string) => CompilerWorkload | undefined,
  ) {
    this.#bindings = bindings;
    this.#identity = identity;
    this.#workload = workload;
  }

  /** Addresses change: what was worked out counts no longer. */
  forget(): void {
    this.#entries.clear();
  }

  /** Who is behind each routed address of an identity, by address. */
  world(number: number): readonly Candidates[] {
    return this.#entry(number).world;
  }

  /** The addresses of an identity that a host may see: hexadecimal. */
  *seenBy(hostId: string, number: number): Generator<string> {
    const { world, local } = this.#entry(number);
    for (const { hex } of world) yield hex;
    for (const at of local) if (at.hostId === hostId) yield at.hex;
  }

  #entry(number: number): Entry {
    const known = this.#entries.get(number);
    if (known !== undefined) return known;
    const identity = this.#identity(number);
    if (identity === undefined) return NOTHING;
    const entry = { world: new Set<Candidates>(), local: [] as { hostId: string; hex: string }[] };
    for (const id of identity.members) {
      const workload = this.#workload(id);
      for (const { hostId, hex } of workload === undefined ? [] : placesOf(workload)) {
        const seen = hostId === '' ? this.#bindings.inWorld(hex) : undefined;
        if (seen !== undefined) entry.world.add(seen);
        else entry.local.push({ hostId, hex });
      }
    }
    const byHex = (a: { readonly hex: string }, b: { readonly hex: string }) => (a.hex < b.hex ? -1 : 1);
    const made = { world: [...entry.world].sort(byHex), local: entry.local.sort(byHex) };
    this.#entries.set(number, made);
    return made;
  }
}
