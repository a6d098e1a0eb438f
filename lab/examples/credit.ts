// docs/examples/credit on real containers: five containers of three applications on two hosts, every ordered pair, both ports, both
// families. What is expected is worked out here from the words of the example, not by the product.
import { join } from 'node:path';
import { Fleet, type FleetHostSpec, policyFiles } from '../src/fleet.js';
import { repository } from '../src/paths.js';
import type { Server } from '../src/place.js';

export const hosts: readonly FleetHostSpec[] = [
  { name: 'alpha', containers: ['check', 'lending-db'] },
  { name: 'beta', containers: ['status', 'bureau-db', 'visitor'] },
];

export type Name = 'check' | 'lending-db' | 'status' | 'bureau-db' | 'visitor';

interface Labels {
  role: string;
  app: string;
  env: string;
}

/** What everybody is at first. */
export const labels: Readonly<Record<Name, Labels>> = {
  check: { role: 'creditCheck', app: 'lending', env: 'prod' },
  'lending-db': { role: 'db', app: 'lending', env: 'prod' },
  status: { role: 'creditStatus', app: 'bureau', env: 'prod' },
  'bureau-db': { role: 'db', app: 'bureau', env: 'prod' },
  visitor: { role: 'web', app: 'shop', env: 'prod' },
};
export const names = Object.keys(labels) as Name[];

/** Both listen everywhere: a refusal must be policy's, not an empty port's. */
export const ports = [8443, 9000] as const;

/** One ordered pair, one port: what both families gave. */
export interface Row {
  readonly from: Name;
  readonly to: Name;
  readonly port: number;
  readonly wanted: boolean;
  /** By family. */
  readonly found: readonly [ip4: boolean, ip6: boolean];
}

/** The fleet with its labels, servers and policy. */
export async function startCredit(): Promise<{ fleet: Fleet; servers: Map<Name, Server> }> {
  const fleet = await Fleet.start(hosts);
  try {
    const servers = new Map<Name, Server>();
    for (const name of names) {
      await fleet.label(name, { ...labels[name] });
      servers.set(name, await fleet.place(name).serve(...ports.map((port) => `tcp:${port}` as const)));
    }
    await fleet.provision(policyFiles(join(repository, 'docs', 'examples', 'credit')));
    return { fleet, servers };
  } catch (error) {
    await fleet.close();
    throw error;
  }
}

/** Every ordered pair on every port. `who`: the labels that hold now. */
export async function tryAll(fleet: Fleet, who: Readonly<Record<Name, Labels>>): Promise<Row[]> {
  const rows: Row[] = [];
  for (const from of names) {
    for (const to of names) {
      if (from === to) continue;
      for (const port of ports) {
        const place = fleet.place(to);
        const ip4 = await fleet.place(from).probe('tcp', place.addresses.ip4, port);
        const ip6 = await fleet.place(from).probe('tcp', place.addresses.ip6, port);
        rows.push({ from, to, port, wanted: mayTalk(who[from], who[to], port), found: [ip4.ok, ip6.ok] });
      }
    }
  }
  return rows;
}

/** The two sentences of the example. */
function mayTalk(from: Labels, to: Labels, port: number): boolean {
  return from.app === to.app || (from.role === 'creditCheck' && to.role === 'creditStatus' && port === 8443);
}

/** The rows as the page shows them, one line for each ordered pair. */
export function show(rows: readonly Row[]): string {
  const word = ({ found: [ip4, ip6] }: Row): string =>
    ip4 !== ip6 ? 'DIFFERS BY FAMILY' : ip4 ? 'allowed' : 'blocked';
  const lines: string[] = [];
  for (const row of rows.filter(({ port }) => port === ports[0])) {
    const other = rows.find(({ from, to, port }) => from === row.from && to === row.to && port === ports[1]);
    if (other === undefined) throw new Error(`Cannot show ${row.from} to ${row.to}: found one port, wanted two`);
    lines.push(`${row.from.padEnd(10)} -> ${row.to.padEnd(10)}  ${ports[0]} ${word(row)}  ${ports[1]} ${word(other)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** True when every row is as the example says. */
export function asWanted(rows: readonly Row[]): boolean {
  return rows.every(({ wanted, found }) => found.every((ok) => ok === wanted));
}
