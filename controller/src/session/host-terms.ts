// Under which policy version each host is, and on what condition.
import type { Policy, Selector } from '../policy/model.js';
import { selectorMatches } from '../policy/selector.js';
import type { StateStore } from '../store/state-store.js';

/** What is in force, and how hosts are told of it. */
export interface PolicyStanding {
  /** Decides for every workload; during a canary two policies side by side. */
  readonly policy: Policy;
  readonly version: number;
  /** When the version is taken back unless it is confirmed, Unix milliseconds; 0: it is confirmed, or has no window. */
  readonly confirmByMs: number;
  /** Hosts without a workload that it selects have `baseVersion` in force. */
  readonly canary: { readonly selector: Selector; readonly baseVersion: number } | undefined;
}

export class HostTerms {
  readonly #store: Pick<StateStore, 'table'>;
  #standing: PolicyStanding | undefined;
  /** What takeMoved has told of last. */
  #told: PolicyStanding | undefined;
  /** Hosts with a workload of the canary; undefined: to be worked out. */
  #canaryHosts: ReadonlySet<string> | undefined;
  /** Workloads have changed since takeMoved. */
  #canaryMoved = false;

  constructor(store: Pick<StateStore, 'table'>) {
    this.#store = store;
  }

  get standing(): PolicyStanding | undefined {
    return this.#standing;
  }

  set(standing: PolicyStanding): void {
    this.#standing = standing;
    this.#canaryHosts = undefined;
  }

  /** A workload came, went or changed: its host may have come into a canary, or left it. */
  workloadsMoved(): void {
    this.#canaryHosts = undefined;
    this.#canaryMoved = true;
  }

  /** Whether the terms of any host may have changed since this was last asked. */
  takeMoved(): boolean {
    const moved = this.#standing !== this.#told || (this.#standing?.canary !== undefined && this.#canaryMoved);
    if (moved) this.#canaryMoved = false;
    this.#told = this.#standing;
    return moved;
  }

  /** 0: no policy, no window. */
  of(hostId: string): { readonly version: number; readonly confirmByMs: number } {
    if (this.#standing === undefined) return { version: 0, confirmByMs: 0 };
    const { version, confirmByMs, canary } = this.#standing;
    if (canary === undefined) return { version, confirmByMs };
    if (this.#canaryHosts === undefined) {
      const hosts = new Set<string>();
      for (const record of this.#store.table('workload').values())
        if (record.present && selectorMatches(canary.selector, record)) hosts.add(record.hostId);
      this.#canaryHosts = hosts;
    }
    return this.#canaryHosts.has(hostId) ? { version, confirmByMs } : { version: canary.baseVersion, confirmByMs: 0 };
  }
}
