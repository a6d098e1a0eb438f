// The host itself as a workload: everything of its own network namespace that no other workload claims.
import { networkInterfaces } from 'node:os';
import { LocalWorkload as InventoryEntry } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Timers } from '../timers.js';
import { cgroupAt } from './cgroup-tree.js';
import type { OnFound, WorkloadSource } from './found-workload.js';
import { hostAddresses } from './host-addresses.js';

export interface HostSourceOptions {
  /** Name of the workload. */
  readonly hostName: string;
  /** The agent's cgroup root. */
  readonly cgroupRoot: string;
  /** Report only these interfaces' addresses. */
  readonly interfaces: readonly string[] | undefined;
  /** See hostAddresses. */
  readonly spaceOf: (interfaceName: string, family: 4 | 6) => string;
  /** How soon a changed address is noticed. */
  readonly pollMs: number;
  readonly timers: Timers;
  readonly read?: typeof networkInterfaces;
}

export class HostSource implements WorkloadSource {
  readonly name = 'host';
  problem: string | undefined;
  readonly #options: HostSourceOptions;
  #onFound: OnFound = () => {};
  #cancel: (() => void) | undefined;

  constructor(options: HostSourceOptions) {
    this.#options = options;
  }

  start(onFound: OnFound): void {
    this.#onFound = onFound;
    this.#poll();
  }

  async stop(): Promise<void> {
    this.#cancel?.();
  }

  /** Looks now: an address or a bridge changed. */
  look(): void {
    const { hostName, cgroupRoot, interfaces, spaceOf } = this.#options;
    const cgroup = cgroupAt(cgroupRoot);
    if (!cgroup) {
      this.problem = `Cannot find the cgroup root ${cgroupRoot}, wanted a cgroup v2 directory`;
      return;
    }
    this.problem = undefined;
    const { reported, own } = hostAddresses((this.#options.read ?? networkInterfaces)(), interfaces, spaceOf);
    const kind = WorkloadKind.WORKLOAD_KIND_HOST;
    this.#onFound([
      {
        inventory: InventoryEntry.create({
          localId: 'host',
          kind,
          name: hostName,
          source: this.name,
          addresses: reported,
        }),
        local: { localId: 'host', kind, interfaces: [], cgroup, addresses: own, netns: undefined },
      },
    ]);
  }

  #poll(): void {
    this.look();
    this.#cancel = this.#options.timers.after(this.#options.pollMs, () => this.#poll());
  }
}
