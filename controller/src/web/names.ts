// Under which names the page may be asked for. A request with another Host was led here by a foreign name server (DNS rebinding), one
// with another Origin comes from a foreign page; both are refused.
import { hostname, networkInterfaces } from 'node:os';
import type { ListenAddress } from '../config.js';
import { formatListen } from '../config.js';

const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];
const WILDCARD = ['0.0.0.0', '::'];

export function isLoopback(host: string): boolean {
  return LOOPBACK.includes(host);
}

/** Hosts by which a listener can be reached: addresses and names, the best to show first. */
export function servedNames(listen: ListenAddress, advertise: string | undefined): string[] {
  if (isLoopback(listen.host)) return [...new Set([listen.host, ...LOOPBACK])];
  const named = advertise === undefined ? [] : [advertise];
  if (!WILDCARD.includes(listen.host)) return [...new Set([...named, listen.host])];
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const usable = addresses.filter(({ address }) => !address.startsWith('fe80:')).map(({ address }) => address);
  const outer = usable.filter((address) => !isLoopback(address));
  return [...new Set([...named, ...outer, hostname(), ...LOOPBACK])];
}

export class ServedAt {
  readonly #hosts: ReadonlySet<string>;
  readonly #scheme: 'http' | 'https';
  /** What links begin with: "http://127.0.0.1:7446". */
  readonly origin: string;

  constructor(names: readonly string[], port: number, tls: boolean) {
    const standard = tls ? 443 : 80;
    const written = names.map((host) => formatListen({ host, port }).toLowerCase());
    // Browsers leave the standard port out.
    const short = port === standard ? names.map((host) => (host.includes(':') ? `[${host}]` : host).toLowerCase()) : [];
    this.#hosts = new Set([...written, ...short]);
    this.#scheme = tls ? 'https' : 'http';
    this.origin = `${this.#scheme}://${written[0] ?? ''}`;
  }

  /** Whether a Host header names this page. */
  isHost(host: string | undefined): boolean {
    return host !== undefined && this.#hosts.has(host.toLowerCase());
  }

  /** Whether a request that may change something comes from the page itself: its Origin is the Host that it was sent to. */
  isOwnOrigin(origin: string | undefined, host: string | undefined): boolean {
    return this.isHost(host) && origin?.toLowerCase() === `${this.#scheme}://${host?.toLowerCase()}`;
  }
}
