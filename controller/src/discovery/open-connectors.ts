// The connectors that a controller's file names.
import { readFileSync } from 'node:fs';
import { addressFromHex, formatAddress } from '@ringfence/proto/address.js';
import type { Logger } from 'pino';
import type { StateStore } from '../store/state-store.js';
import { LOCAL } from '../topology/spaces.js';
import { HOST_ITSELF } from '../topology/view.js';
import { Connector } from './connector.js';
import { readConnectors } from './connectors-file.js';
import type { KnownHost } from './ec2/findings.js';
import { Ec2Source } from './ec2/source.js';
import { connectorKey } from './space-book.js';

export interface OpenConnectorsOptions {
  readonly store: StateStore;
  /** Known dimensions and their permitted values; undefined: any. */
  readonly dimensions: () => ReadonlyMap<string, ReadonlySet<string> | undefined>;
  readonly now: () => number;
  readonly log: Logger;
}

/** The connectors file is wrong, or cannot be read. One line per problem. */
export class ConnectorsFileError extends Error {
  override readonly name = 'ConnectorsFileError';
  readonly code = 'RF_CONFIG';
}

/**
 * Reads the file (undefined: no connectors) and makes what it names; nothing looks yet. What a connector that it no longer names had found is
 * dropped. Throws ConnectorsFileError.
 */
export async function openConnectors(
  fileName: string | undefined,
  options: OpenConnectorsOptions,
): Promise<Connector[]> {
  const named = fileName === undefined ? [] : connectorsOf(fileName);
  await dropOthers(options.store, new Set(named.map(({ ec2 }) => ec2.name)));
  const { store, dimensions, now, log } = options;
  const permits = (dimension: string, value: string) => {
    const known = dimensions();
    return known.has(dimension) && (known.get(dimension)?.has(value) ?? true);
  };
  const after = (delayMs: number, fn: () => void) => {
    const timer = setTimeout(fn, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  };
  return named.map(({ ec2: { intervalSeconds, ...ec2 } }) => {
    const source = new Ec2Source({ ...ec2, hosts: () => knownHosts(store) });
    return new Connector({
      source,
      store,
      intervalMs: intervalSeconds * 1000,
      permits,
      now,
      after,
      random: Math.random,
      log,
    });
  });
}

function connectorsOf(fileName: string) {
  let content: string;
  try {
    content = readFileSync(fileName, 'utf8');
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    throw new ConnectorsFileError(`Cannot read connectors ${fileName}: found ${found}, wanted a readable YAML file`, {
      cause: error,
    });
  }
  const { connectors, problems } = readConnectors(fileName, content);
  if (connectors === undefined) throw new ConnectorsFileError(problems.join('\n'));
  return connectors;
}

/** Hosts with agents and their own addresses, those of private networks on them left out. */
function knownHosts(store: StateStore): KnownHost[] {
  return [...store.table('host').keys()].map((id) => ({
    id,
    addresses: (store.get('workload', `${id}/${HOST_ITSELF}`)?.addresses ?? [])
      .filter(({ space }) => !space.startsWith(LOCAL))
      .map(({ ip }) => formatAddress(addressFromHex(ip))),
  }));
}

async function dropOthers(store: StateStore, names: ReadonlySet<string>): Promise<void> {
  const gone = (key: string) => key.startsWith(connectorKey('')) && !names.has(key.slice(connectorKey('').length));
  await store.update((tx) => {
    for (const [key] of tx.entries('spaces')) if (gone(key)) tx.delete('spaces', key);
    for (const [id, { source, hostId }] of tx.entries('workload')) {
      if (hostId === '' && gone(source)) tx.delete('workload', id);
    }
  });
}
