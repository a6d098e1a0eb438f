// What policy may never cut, as this agent knows it: the controller channel and the configured admin sources.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { parseAddress, parsePrefix } from '@ringfence/proto/address.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { AdminSource } from '../config.js';
import type { FailsafeState } from '../desired/update.js';
import { splitHostPort } from './host-port.js';

/** Sources that reach this host whatever policy says. */
export function adminFailsafes(sources: readonly AdminSource[]): FailsafeState[] {
  return sources.map(({ from, port, protocol }) => {
    const prefix = parsePrefix(from);
    if ('problem' in prefix) throw new Error(`Cannot use admin source ${from}: found ${prefix.problem}`);
    return { direction: Direction.DIRECTION_INBOUND, protocol: protocol === 'tcp' ? 6 : 17, port, remote: prefix };
  });
}

/** The way to the controller: every address its name has now. Rejects when the name cannot be resolved. */
export async function controllerFailsafes(address: string): Promise<FailsafeState[]> {
  const { host, port } = splitHostPort(address);
  const found = isIP(host) ? [host] : (await lookup(host, { all: true })).map((entry) => entry.address);
  return found.sort().flatMap((text) => {
    const remote = parseAddress(text);
    return remote
      ? [{ direction: Direction.DIRECTION_OUTBOUND, protocol: 6, port, remote: { address: remote, length: 128 } }]
      : [];
  });
}
