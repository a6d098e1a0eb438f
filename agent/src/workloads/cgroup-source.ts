// Cgroups as workloads: those named in the configuration, and systemd's services and slices. Watched by inotify on the
// directories above them, and looked at every few seconds besides: a watch may be refused or miss a directory made with its parent.
import { type FSWatcher, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import { LocalWorkload as InventoryEntry } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Timers } from '../timers.js';
import { cgroupAt, findUnits } from './cgroup-tree.js';
import { boundedMetadata, type FoundWorkload, type OnFound, type WorkloadSource } from './found-workload.js';

/** A cgroup that is a workload when it exists. */
export interface WantedCgroup {
  readonly name: string;
  /** Relative to the cgroup root. */
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface CgroupSourceOptions {
  readonly name: 'config' | 'systemd';
  /** The agent's cgroup root. */
  readonly root: string;
  /** Which cgroups count now; asked at every look. */
  readonly wanted: () => readonly WantedCgroup[];
  readonly pollMs: number;
  readonly timers: Timers;
}

/** Cgroups of the configuration. */
export function configuredCgroups(cgroups: readonly WantedCgroup[]): () => readonly WantedCgroup[] {
  return () => cgroups;
}

/** Systemd's services and slices below the root, named by their unit. */
export function systemdUnits(root: string): () => readonly WantedCgroup[] {
  return () => findUnits(root).map((path) => ({ name: path.slice(path.lastIndexOf('/') + 1), path, metadata: {} }));
}

/** inotify watches one source holds at most; beyond it only the poll looks. */
const WATCHES_MAX = 512;

export class CgroupSource implements WorkloadSource {
  readonly name: string;
  readonly problem = undefined;
  readonly #options: CgroupSourceOptions;
  readonly #watches = new Map<string, FSWatcher>();
  #onFound: OnFound = () => {};
  #cancelPoll: (() => void) | undefined;
  #cancelSoon: (() => void) | undefined;

  constructor(options: CgroupSourceOptions) {
    this.name = options.name;
    this.#options = options;
  }

  start(onFound: OnFound): void {
    this.#onFound = onFound;
    this.#poll();
  }

  async stop(): Promise<void> {
    this.#cancelPoll?.();
    this.#cancelSoon?.();
    for (const watcher of this.#watches.values()) watcher.close();
    this.#watches.clear();
  }

  #poll(): void {
    this.#look();
    this.#cancelPoll = this.#options.timers.after(this.#options.pollMs, () => this.#poll());
  }

  #look(): void {
    const found: FoundWorkload[] = [];
    const above = new Set<string>([this.#options.root]);
    for (const wanted of this.#options.wanted()) {
      const path = join(this.#options.root, wanted.path);
      for (let at = dirname(path); at.length >= this.#options.root.length; at = dirname(at)) above.add(at);
      const cgroup = cgroupAt(path);
      if (!cgroup) continue;
      const localId = `cgroup:${wanted.path}`;
      found.push({
        inventory: InventoryEntry.create({
          localId,
          kind: WorkloadKind.WORKLOAD_KIND_CGROUP,
          name: wanted.name,
          source: this.name,
          metadata: boundedMetadata(wanted.metadata),
          cgroupPath: wanted.path,
        }),
        local: {
          localId,
          kind: WorkloadKind.WORKLOAD_KIND_CGROUP,
          interfaces: [],
          cgroup,
          addresses: [],
          netns: undefined,
        },
      });
    }
    this.#watchOnly(above);
    this.#onFound(found);
  }

  #watchOnly(directories: ReadonlySet<string>): void {
    for (const [path, watcher] of this.#watches) {
      if (directories.has(path)) continue;
      watcher.close();
      this.#watches.delete(path);
    }
    for (const path of directories) {
      if (this.#watches.has(path) || this.#watches.size >= WATCHES_MAX) continue;
      try {
        const watcher = watch(path, { persistent: false }, () => this.#lookSoon());
        const forget = () => {
          watcher.close();
          this.#watches.delete(path);
        };
        watcher.on('error', forget);
        this.#watches.set(path, watcher);
      } catch {
        // Not there, or no watches left: the poll sees it.
      }
    }
  }

  /** One look for a burst of changes. */
  #lookSoon(): void {
    this.#cancelSoon ??= this.#options.timers.after(20, () => {
      this.#cancelSoon = undefined;
      this.#look();
    });
  }
}
