// Workloads of the last run, as far as they are still what they were.
import { cgroupAt } from './cgroup-tree.js';
import type { FoundWorkload } from './found-workload.js';

/** Those whose interfaces and cgroup still exist under the same numbers. Only of the same boot of the machine. */
export function stillThere(
  remembered: readonly FoundWorkload[],
  interfaces: readonly { readonly index: number; readonly name: string }[],
): FoundWorkload[] {
  const names = new Map(interfaces.map(({ index, name }) => [index, name]));
  return remembered.flatMap(({ inventory, local }): FoundWorkload[] => {
    if (local.interfaces.some((i) => names.get(i.ifindex) !== i.name)) return [];
    if (!local.cgroup) return [{ inventory, local: { ...local, cgroup: undefined } }];
    // CBOR gives small numbers back as numbers.
    const cgroup = { path: local.cgroup.path, id: BigInt(local.cgroup.id) };
    return cgroupAt(cgroup.path)?.id === cgroup.id ? [{ inventory, local: { ...local, cgroup } }] : [];
  });
}
