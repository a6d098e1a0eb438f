// All workloads of the host, from all sources. Before a source has looked for the first time, what the last run knew of it counts:
// a restarted agent does not take the policy off containers only because Docker answers late.
import { Inventory, type LocalWorkload as InventoryEntry } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { LocalWorkload } from '../desired/local.js';
import type { FoundWorkload, WorkloadSource } from './found-workload.js';

/** Workloads one agent reports at most; more are a runaway, and the first by id are kept. */
export const WORKLOADS_MAX = 8192;

export interface RegistryEvents {
  /** Something the kernel side needs changed. */
  readonly onLocals: (locals: readonly LocalWorkload[]) => void;
  /** What changed for the controller since the last call. */
  readonly onInventory: (delta: Inventory) => void;
}

export class WorkloadRegistry {
  readonly #events: RegistryEvents;
  readonly #sources: readonly WorkloadSource[];
  readonly #bySource = new Map<string, readonly FoundWorkload[]>();
  #all = new Map<string, { found: FoundWorkload; sent: string; kernel: string }>();
  /** Workloads over the bound, not reported. */
  overflow = 0;

  /** remembered: what the last run found, kept per source until that source has looked. */
  constructor(sources: readonly WorkloadSource[], remembered: readonly FoundWorkload[], events: RegistryEvents) {
    this.#sources = sources;
    this.#events = events;
    for (const source of sources) {
      const known = remembered.filter((found) => found.inventory.source === source.name);
      if (known.length > 0) this.#bySource.set(source.name, known);
    }
    this.#merge();
  }

  /** Starts every source. */
  start(): void {
    for (const source of this.#sources) {
      source.start((found) => {
        this.#bySource.set(source.name, found);
        this.#update();
      });
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.stop()));
  }

  /** Looks anew at these and reports them, changed or not: their keys may have changed inside of them. Those that are gone are passed over. */
  async reportAgain(localIds: readonly string[]): Promise<void> {
    const wanted = new Set(localIds);
    await Promise.all(this.#sources.map((source) => source.lookAgain?.(wanted)));
    const delta = Inventory.create({ full: false });
    for (const localId of wanted) {
      const entry = this.#all.get(localId);
      if (entry !== undefined) delta.workloads.push(entry.found.inventory);
    }
    if (delta.workloads.length > 0) this.#events.onInventory(delta);
  }

  /** Everything, as found. */
  get found(): readonly FoundWorkload[] {
    return [...this.#all.values()].map((entry) => entry.found);
  }

  get locals(): readonly LocalWorkload[] {
    return this.found.map((found) => found.local);
  }

  /** The full inventory. */
  inventory(): Inventory {
    return Inventory.create({ full: true, workloads: this.found.map((found) => found.inventory) });
  }

  /** Sources that cannot look at present, and why. */
  get problems(): { source: string; problem: string }[] {
    return this.#sources.flatMap((s) => (s.problem === undefined ? [] : [{ source: s.name, problem: s.problem }]));
  }

  #update(): void {
    const before = this.#all;
    this.#merge();
    const delta = Inventory.create({ full: false });
    let kernelChanged = false;
    for (const [localId, entry] of this.#all) {
      const old = before.get(localId);
      if (old?.sent !== entry.sent) delta.workloads.push(entry.found.inventory);
      if (old?.kernel !== entry.kernel) kernelChanged = true;
    }
    for (const localId of before.keys()) {
      if (this.#all.has(localId)) continue;
      delta.removed.push(localId);
      kernelChanged = true;
    }
    if (kernelChanged) this.#events.onLocals(this.locals);
    if (delta.workloads.length > 0 || delta.removed.length > 0) this.#events.onInventory(delta);
  }

  #merge(): void {
    const all = new Map<string, { found: FoundWorkload; sent: string; kernel: string }>();
    const hostAddresses = [...this.#bySource.values()].flat().find(isHost)?.inventory.addresses ?? [];
    // Sources stand in order of precedence: a cgroup named in the configuration before the same one found by systemd.
    for (const source of this.#sources) {
      for (const found of this.#bySource.get(source.name) ?? []) {
        const { localId } = found.inventory;
        if (all.has(localId)) continue;
        const inventory = onHostNetwork(found.inventory)
          ? { ...found.inventory, addresses: hostAddresses }
          : found.inventory;
        all.set(localId, {
          found: { inventory, local: found.local },
          sent: fingerprint(inventory),
          kernel: fingerprint(found.local),
        });
      }
    }
    this.overflow = Math.max(0, all.size - WORKLOADS_MAX);
    this.#all = new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, WORKLOADS_MAX));
  }
}

function isHost({ inventory }: FoundWorkload): boolean {
  return inventory.kind === WorkloadKind.WORKLOAD_KIND_HOST;
}

/** A service or host-network container is reached under the host's addresses, whatever they are at the time. */
function onHostNetwork({ kind, addresses }: InventoryEntry): boolean {
  return kind === WorkloadKind.WORKLOAD_KIND_CGROUP && addresses.length === 0;
}

function fingerprint(value: unknown): string {
  return JSON.stringify(value, (_, v) => {
    if (typeof v === 'bigint') return `${v}n`;
    return v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v;
  });
}
