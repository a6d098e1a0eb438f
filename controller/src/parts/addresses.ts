// What peers are told to dial.
import { SERVER_NAME } from '../ca/certificates.js';
import { formatListen, type ListenAddress } from '../config.js';

/** The address that a peer is told: as configured, else by the host that it called, else as bound. */
export function advertised(configured: string | undefined, calledHost: string, bound: ListenAddress): string {
  const called = calledHost.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  const host = configured ?? (called === '' || called === SERVER_NAME ? reachable(bound).host : called);
  return formatListen({ host, port: bound.port });
}

/** An address that can be dialled from this machine: a wildcard becomes loopback. */
export function reachable({ host, port }: ListenAddress): ListenAddress {
  if (host === '0.0.0.0') return { host: '127.0.0.1', port };
  return host === '::' ? { host: '::1', port } : { host, port };
}
