// Where a container carries its pairing key: a label, an environment variable, or a file inside it. The key goes to the controller and
// nowhere else: not into metadata, not into the state on disk, not into a log.
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from 'node:fs';
import type { ContainerFacts } from './container-runtime.js';
import type { FoundWorkload } from './found-workload.js';

export interface PairingKeyPlaces {
  readonly label: string;
  readonly keyFile?: string | undefined;
  readonly keyEnv?: string | undefined;
}

const KEY_MAX = 256;

/** The key as found, the first of label, variable and file; '' when there is none. Not checked: the controller says what is wrong. */
export function findPairingKey(
  { labels, env, pid }: Pick<ContainerFacts, 'labels' | 'env' | 'pid'>,
  places: PairingKeyPlaces,
): string {
  const label = labels[places.label];
  if (label) return label.slice(0, KEY_MAX);
  const prefix = `${places.keyEnv}=`;
  const variable = places.keyEnv && env.find((entry) => entry.startsWith(prefix));
  if (variable) return variable.slice(prefix.length, prefix.length + KEY_MAX);
  return places.keyFile === undefined ? '' : readInside(pid, places.keyFile);
}

/** Labels without the key. */
export function withoutKey(
  labels: Readonly<Record<string, string>>,
  { label }: PairingKeyPlaces,
): Record<string, string> {
  const { [label]: _key, ...rest } = labels;
  return rest;
}

/** As it may be written to disk. A pairing lasts without its key being shown again. */
export function withoutPairingKey(found: FoundWorkload): FoundWorkload {
  return found.inventory.pairingKey === '' ? found : { ...found, inventory: { ...found.inventory, pairingKey: '' } };
}

/**
 * A small regular file as the container sees it. Through /proc/<pid>/root an absolute symbolic link would lead into the host's own files,
 * so a path with any link in it is not read.
 */
function readInside(pid: number, path: string): string {
  const root = `/proc/${pid}/root`;
  try {
    let at = root;
    for (const part of path.split('/').filter((p) => p !== '' && p !== '.')) {
      if (part === '..') return '';
      at = `${at}/${part}`;
      if (lstatSync(at).isSymbolicLink()) return '';
    }
    const fd = openSync(at, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      if (!fstatSync(fd).isFile()) return '';
      const bytes = Buffer.alloc(KEY_MAX);
      return bytes.toString('utf8', 0, readSync(fd, bytes, 0, KEY_MAX, 0)).trim();
    } finally {
      closeSync(fd);
    }
  } catch {
    return ''; // not there, or the container has gone
  }
}
