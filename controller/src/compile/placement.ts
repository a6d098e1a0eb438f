// Workloads to their places: who is behind which address and port in which scope. A host's changed addresses move everybody who
// leaves or is reached under them; nothing else is looked at again.
import { LOCAL, type SpaceTree, WORLD } from '../topology/spaces.js';
import { type Place, type ServicePlace, Topology } from '../topology/view.js';
import type { BindingTable } from './binding-table.js';
import type { NatTable } from './nat-table.js';
import type { Tombstones } from './tombstones.js';
import type { CompilerWorkload } from './types.js';

interface Held {
  readonly workload: CompilerWorkload;
  readonly identity: number;
  /** Where the tables have it; undefined: nowhere yet. */
  places: readonly Place[] | undefined;
  services: readonly ServicePlace[];
}

const NONE: readonly Place[] = [];

export class Placement {
  readonly #topology = new Topology();
  readonly #bindings: BindingTable;
  readonly #nats: NatTable;
  readonly #tombstones: Tombstones;
  readonly #held = new Map<string, Held>();
  readonly #onHost = new Map<string, Set<string>>();
  /** Workloads with an address that says its declared space itself. */
  readonly #inSpace = new Map<string, Set<string>>();
  readonly #stale = new Set<string>();

  constructor(bindings: BindingTable, nats: NatTable, tombstones: Tombstones) {
    this.#tombstones = tombstones;
    this.#bindings = bindings;
    this.#nats = nats;
  }

  /** The workload has this identity; it is placed by `settle`. */
  add(workload: CompilerWorkload, identity: number): void {
    this.#held.set(workload.id, { workload, identity, places: undefined, services: [] });
    const onHost = this.#onHost.get(workload.hostId) ?? new Set();
    this.#onHost.set(workload.hostId, onHost.add(workload.id));
    for (const space of spacesOf(workload)) {
      const inSpace = this.#inSpace.get(space);
      if (inSpace === undefined) this.#inSpace.set(space, new Set([workload.id]));
      else inSpace.add(workload.id);
    }
    this.#topology.add(workload);
    this.#stale.add(workload.id);
  }

  remove(workload: CompilerWorkload): void {
    const held = this.#held.get(workload.id);
    if (held === undefined) return;
    this.#displace(held);
    this.#held.delete(workload.id);
    this.#stale.delete(workload.id);
    const onHost = this.#onHost.get(workload.hostId);
    onHost?.delete(workload.id);
    if (onHost?.size === 0) this.#onHost.delete(workload.hostId);
    for (const space of spacesOf(workload)) {
      const inSpace = this.#inSpace.get(space);
      inSpace?.delete(workload.id);
      if (inSpace?.size === 0) this.#inSpace.delete(space);
    }
    this.#topology.remove(workload);
  }

  /** Other spaces: what is in them or leaves through them is placed anew. Gives the hosts that see other scopes than before. */
  setSpaces(tree: SpaceTree): ReadonlySet<string> {
    const { spaces, hosts } = this.#topology.setTree(tree);
    for (const space of spaces) for (const id of this.#inSpace.get(space) ?? []) this.#stale.add(id);
    const within = [...spaces].flatMap((space) => tree.get(space)?.hosts ?? []);
    for (const hostId of new Set([...hosts, ...within])) {
      for (const id of this.#onHost.get(hostId) ?? []) this.#stale.add(id);
    }
    return hosts;
  }

  /** Brings the tables up to what was told, in turns. */
  *settle(): Generator<undefined, void> {
    for (const hostId of this.#topology.settle()) {
      for (const id of this.#onHost.get(hostId) ?? []) this.#stale.add(id);
    }
    let at = 0;
    for (const id of this.#stale) {
      if (++at % 64 === 0) yield;
      const held = this.#held.get(id);
      if (held === undefined) continue;
      this.#displace(held);
      held.places = this.#topology.placesOf(held.workload);
      held.services = this.#topology.servicesOf(held.workload);
      this.#bindings.add(id, held.workload.hostId !== '', held.identity, held.places);
      this.#nats.add(id, held.identity, held.services);
    }
    this.#stale.clear();
  }

  /** Where a workload's addresses appear, as of the last settle. */
  placesOf(id: string): readonly Place[] {
    return this.#held.get(id)?.places ?? NONE;
  }

  /** Where its services are reached by a mapping, as of the last settle. */
  servicesOf(id: string): readonly ServicePlace[] {
    return this.#held.get(id)?.services ?? [];
  }

  /** Ids of the hosts that see a scope; not for the routed world, which everybody sees. */
  hostsSeeing(scope: string): ReadonlySet<string> {
    return this.#topology.hostsSeeing(scope);
  }

  /** The scopes outside a scope, from the inside out. */
  around(scope: string): readonly string[] {
    return this.#topology.around(scope);
  }

  /** The scopes that a host sees, from the inside out. */
  scopes(hostId: string): readonly string[] {
    return this.#topology.scopes(hostId);
  }

  #displace(held: Held): void {
    if (held.places === undefined) return;
    this.#tombstones.bury({ workloadId: held.workload.id, identity: held.identity }, held.places);
    this.#bindings.remove(held.workload.id, held.places);
    this.#nats.remove(held.workload.id, held.services);
    held.places = undefined;
    held.services = [];
  }
}

/** Spaces that a workload's addresses name; those of its own host go without saying. */
function spacesOf({ addresses }: CompilerWorkload): string[] {
  return addresses.map(({ space }) => space).filter((space) => space !== WORLD && !space.startsWith(LOCAL));
}
