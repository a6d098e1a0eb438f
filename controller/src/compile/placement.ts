// Workloads to their places: who is behind which address and port in which scope. A host's changed addresses move everybody who
// leaves or is reached under them; nothing else is looked at again.
import type { SpaceTree } from '../topology/spaces.js';
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
    this.#topology.remove(workload);
  }

  /** Other spaces: everybody is placed anew. */
  setSpaces(tree: SpaceTree): void {
    this.#topology.setTree(tree);
    for (const id of this.#held.keys()) this.#stale.add(id);
  }

  /** Brings the tables up to what was told. */
  settle(): void {
    for (const hostId of this.#topology.settle()) {
      for (const id of this.#onHost.get(hostId) ?? []) this.#stale.add(id);
    }
    for (const id of this.#stale) {
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
