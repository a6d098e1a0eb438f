import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { destroyCgroup, topCgroups } from './cgroup.js';
import { namespaceNames, removeNamespace } from './netns.js';
import { bpffs, labsRoot, prefix } from './paths.js';

/** Start time of a process in clock ticks since boot: with its id it names one process, even after ids are reused. */
export function processBirth(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may itself hold spaces; the start time is the 20th field after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function ownerAlive(lab: string): boolean {
  try {
    const [pid, birth] = readFileSync(join(labsRoot, lab, 'owner'), 'utf8').split(' ');
    return birth !== undefined && processBirth(Number(pid)) === birth;
  } catch {
    return false;
  }
}

/** Names of labs that left a trace: files, cgroups, network namespaces or pins. */
function traces(): Set<string> {
  const names = [
    ...readdirSync(labsRoot),
    ...topCgroups(),
    ...namespaceNames(),
    ...(existsSync(bpffs) ? readdirSync(bpffs) : []),
  ];
  const pattern = new RegExp(`^${prefix}[0-9a-f]{6}`);
  return new Set(names.flatMap((name) => pattern.exec(name)?.[0] ?? []));
}

/** Removes what labs of dead processes left behind. Labs of living processes are left alone. */
export async function sweepLeftovers(): Promise<void> {
  for (const lab of traces()) {
    // A lab under construction has only its ".new" directory, and that is younger than its owner's next step.
    if (!ownerAlive(lab) && !ownerAlive(`${lab}.new`)) await destroyLab(lab);
  }
}

/**
 * Ends and removes one lab. Processes first: they hold everything else. Pins before namespaces, so that no program outlives
 * the interfaces it was made for.
 */
export async function destroyLab(lab: string): Promise<void> {
  await destroyCgroup(lab);
  await rm(join(bpffs, lab), { recursive: true, force: true });
  for (const name of namespaceNames()) if (name.startsWith(`${lab}-`)) await removeNamespace(name);
  await rm(join(labsRoot, lab), { recursive: true, force: true });
  await rm(join(labsRoot, `${lab}.new`), { recursive: true, force: true });
}
