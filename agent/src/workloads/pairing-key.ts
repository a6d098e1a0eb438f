// Where a container carries its pairing key: a label, an environment variable, or a file inside it. The key goes to the controller and
// nowhere else: not into metadata, not into the state on disk, not into a log.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
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
 * so a path with any link in it is not read. Each directory is opened before its name is looked up in: one that the container swaps
 * meanwhile is not followed either.
 */
function readInside(pid: number, path: string): string {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  const name = parts.pop();
  if (name === undefined || [...parts, name].includes('..')) return '';
  let fd: number | undefined;
  const step = (to: string, flags: number) => {
    const next = openSync(to, flags);
    if (fd !== undefined) closeSync(fd);
    fd = next;
    return next;
  };
  try {
    let at = step(`/proc/${pid}/root`, O_RDONLY | O_DIRECTORY);
    for (const part of parts) at = step(`/proc/self/fd/${at}/${part}`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const file = step(`/proc/self/fd/${at}/${name}`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!fstatSync(file).isFile()) return '';
    const bytes = Buffer.alloc(KEY_MAX);
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, KEY_MAX, 0)).trim();
  } catch {
    return ''; // not there, or the container has gone
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
