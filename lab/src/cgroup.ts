import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './until.js';

/** Where the cgroup v2 hierarchy is mounted: the only one on a unified machine, /sys/fs/cgroup/unified on a hybrid one. */
export function cgroupMount(): string {
  for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
    const [, dir, type] = line.split(' ');
    if (type === 'cgroup2' && dir) return dir;
  }
  throw new Error('Cannot find cgroup v2: no cgroup2 in /proc/mounts, wanted one mounted');
}

/** Mount points of the version 1 hierarchies, where container runtimes leave directories as well on a hybrid machine. */
function legacyMounts(): string[] {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .flatMap(([, dir, type]) => (type === 'cgroup' && dir ? [dir] : []));
}

export async function makeCgroup(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
}

async function removeTree(path: string): Promise<void> {
  if (!existsSync(path)) return;
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeTree(join(path, entry.name));
  }
  await rmdir(path);
}

/** Kills every process in the subtree, however deep, and waits until none is left. */
export async function killCgroup(path: string): Promise<void> {
  if (!existsSync(path)) return;
  await writeFile(join(path, 'cgroup.kill'), '1');
  await until(
    `no process left in ${path}`,
    () => readFileSync(join(path, 'cgroup.events'), 'utf8').includes('populated 0'),
    { intervalMs: 10 },
  );
}

/** Kills what runs in a lab's subtree and removes it from every hierarchy. `name` is the directory below the mount. */
export async function destroyCgroup(name: string): Promise<void> {
  const path = join(cgroupMount(), name);
  await killCgroup(path);
  // A directory stays busy until the kernel has reaped the last zombie in it.
  for (const mount of [cgroupMount(), ...legacyMounts()]) {
    const left = join(mount, name);
    await until(`${left} to be removed`, async () => {
      await removeTree(left);
      return true;
    });
  }
}

/** The cgroup v2 directory of a process. */
export function cgroupOf(pid: number): string {
  const line = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    .split('\n')
    .find((l) => l.startsWith('0::'));
  if (!line) throw new Error(`Cannot find the cgroup of process ${pid}: no 0:: line in /proc/${pid}/cgroup`);
  return join(cgroupMount(), line.slice(3));
}

/** Names of directories right below the v2 mount and the version 1 mounts. */
export function topCgroups(): string[] {
  const names = [cgroupMount(), ...legacyMounts()].flatMap((mount) =>
    readdirSync(mount, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? [e.name] : [])),
  );
  return [...new Set(names)];
}
