import type { Fleet } from '../src/fleet.js';
import type { Protocol, Server } from '../src/place.js';
import type { Row } from './rows.js';

/** One connection to try. */
export interface Attempt {
  from: string;
  to: string;
  protocol: Protocol;
  port?: number;
  allowed: boolean;
  /** The denied call itself must fail, with EPERM, inside 10 ms: a process of the host learns at once. */
  atOnce?: boolean;
}

export type Family = 'ip4' | 'ip6';

/** What a refused process of the host waits at most. */
const atOnceUs = 10_000;

/** How often the place's server was reached on that port, by its own count. */
async function arrived(server: Server | undefined, attempt: Attempt): Promise<number> {
  if (!server || attempt.protocol === 'ping') return 0;
  const counts = await server.counts();
  const port = counts.find((c) => c.kind === attempt.protocol && c.port === attempt.port);
  if (!port) throw new Error(`Cannot try ${attempt.to}:${attempt.port}: nobody listens there, wanted a server`);
  return port.kind === 'udp' ? port.datagrams : port.accepted;
}

/** Tries it once and judges by both ends: what the client saw, and what the server counted. */
export async function tryOnce(
  fleet: Fleet,
  servers: ReadonlyMap<string, Server>,
  attempt: Attempt,
  family: Family,
): Promise<Row> {
  const { from, to, protocol, port, allowed } = attempt;
  const server = servers.get(to);
  const before = await arrived(server, attempt);
  const address = fleet.place(to).addresses[family];
  const result = await fleet.place(from).probe(protocol, address, port, allowed ? 3000 : 400);
  const reached = (await arrived(server, attempt)) - before;
  const time = `${(result.totalUs / 1000).toFixed(2)} ms`;
  const service = protocol === 'ping' ? 'ping' : `${protocol}/${port}`;
  const what = `${from} -> ${to}  ${service}  ${family === 'ip4' ? 'IPv4' : 'IPv6'}`;
  if (allowed) {
    const actual = result.ok ? `answered in ${time}` : `${result.error} at ${result.stage} after ${time}`;
    return { what, expected: 'allowed', actual, ok: result.ok };
  }
  const leaked = reached > 0 ? `, but ${reached} reached the server` : '';
  const actual = result.ok ? `answered in ${time}` : `${result.error} after ${time}${leaked}`;
  const soon = !attempt.atOnce || (result.error === 'EPERM' && result.totalUs < atOnceUs);
  return {
    what,
    expected: attempt.atOnce ? 'blocked, EPERM in < 10 ms' : 'blocked',
    actual,
    ok: !result.ok && reached === 0 && soon,
  };
}
