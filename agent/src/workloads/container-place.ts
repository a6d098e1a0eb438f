// Where a container's process sits on the host: its veths' host ends and its cgroup. The host ends are found by the network
// namespace of their other ends, over rtnetlink: the container's namespace is not entered, /sys is not read (it may be another
// namespace's), no program is run.
import { join, relative } from 'node:path';
import { cgroupAt, cgroupOfProcess } from './cgroup-tree.js';
import type { ContainerPlace } from './container-workload.js';

/** The kernel's answers, from the native addon. */
export interface InterfaceReader {
  listInterfaces(): readonly { index: number; name: string; peerIndex: number; peerNetnsId: number }[];
  /** undefined: no interface leads to the process's namespace, or the process is gone. */
  netnsIdOfProcess(pid: number): number | undefined;
}

export class PlaceFinder {
  readonly #reader: InterfaceReader;
  readonly #mount: string;
  readonly #root: string;
  #byNetns: Map<number, { name: string; ifindex: number }[]> | undefined;

  /** mount: the cgroup2 mount; root: the agent's cgroup root in it. */
  constructor(reader: InterfaceReader, mount: string, root: string) {
    this.#reader = reader;
    this.#mount = mount;
    this.#root = root;
  }

  /** Interfaces are listed once for all the finds that follow. */
  refresh(): void {
    this.#byNetns = undefined;
  }

  find(pid: number): ContainerPlace {
    // Listing gives numbers to the namespaces; asked before, the kernel may have none for this one yet.
    const byNetns = this.#interfaces();
    const netns = this.#reader.netnsIdOfProcess(pid);
    const path = cgroupOfProcess(pid);
    const cgroup = path === undefined ? undefined : cgroupAt(join(this.#mount, path));
    const below = cgroup ? relative(this.#root, cgroup.path) : '';
    return {
      interfaces: (netns === undefined ? undefined : byNetns.get(netns)) ?? [],
      cgroup,
      cgroupPath: below.startsWith('..') ? '' : below,
    };
  }

  #interfaces(): Map<number, { name: string; ifindex: number }[]> {
    if (this.#byNetns) return this.#byNetns;
    const byNetns = new Map<number, { name: string; ifindex: number }[]>();
    for (const { index, name, peerIndex, peerNetnsId } of this.#reader.listInterfaces()) {
      if (peerIndex === 0 || peerNetnsId < 0) continue;
      const list = byNetns.get(peerNetnsId) ?? [];
      list.push({ name, ifindex: index });
      byNetns.set(peerNetnsId, list);
    }
    this.#byNetns = byNetns;
    return byNetns;
  }
}
