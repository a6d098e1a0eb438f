// The cgroup v2 tree as files. On a hybrid machine systemd's own hierarchy is version 1; only the unified tree counts here.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { LocalCgroup } from '../desired/local.js';
import { AgentError } from '../errors.js';

export interface CgroupMount {
  /** The cgroup2 mount point. */
  readonly path: string;
  /** unified: nothing but version 2; hybrid: version 1 beside it. */
  readonly mode: 'unified' | 'hybrid';
}

/** Finds the cgroup v2 mount. Throws RF_CGROUP on a machine with version 1 only. */
export function findCgroupMount(mounts = readFileSync('/proc/self/mounts', 'utf8')): CgroupMount {
  const rows = mounts.split('\n').map((line) => line.split(' '));
  const path = rows.find((row) => row[2] === 'cgroup2')?.[1];
  if (path === undefined) {
    throw new AgentError('RF_CGROUP', 'Cannot find cgroup v2: no cgroup2 in /proc/self/mounts, wanted one mounted');
  }
  return { path: unescapeMount(path), mode: rows.some((row) => row[2] === 'cgroup') ? 'hybrid' : 'unified' };
}

/** A cgroup directory and its id, which on a 64-bit kernel is the directory's inode number; undefined when it is gone. */
export function cgroupAt(path: string): LocalCgroup | undefined {
  try {
    const stat = statSync(path, { bigint: true });
    return stat.isDirectory() ? { path, id: stat.ino } : undefined;
  } catch {
    return undefined;
  }
}

/** cgroup v2 path of a process, from the mount's root ("/system.slice/x"); undefined when it is gone. */
export function cgroupOfProcess(pid: number): string | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
      .split('\n')
      .find((l) => l.startsWith('0::'));
    return line?.slice(3);
  } catch {
    return undefined;
  }
}

/** Directories right below, by name; empty when it is gone. */
export function childrenOf(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Systemd units below the root: every slice but the root one, and services in them. Paths relative to the root. */
export function findUnits(root: string): string[] {
  const units: string[] = [];
  const walk = (directory: string) => {
    for (const name of childrenOf(directory)) {
      const path = join(directory, name);
      if (name.endsWith('.service')) units.push(relative(root, path));
      // A user's manager (user@1000.service) keeps its own units below; they are that user's, not the host's.
      else if (name.endsWith('.slice')) {
        units.push(relative(root, path));
        walk(path);
      }
    }
  };
  walk(root);
  return units;
}

function unescapeMount(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
