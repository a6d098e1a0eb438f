// A controller that is killed under traffic and stays away: after its return every record is there once. Connections are compared one by one
// with what connection tracking counted inside the namespaces of both ends: a record that was lost, or taken twice, changes the sums.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Conntrack, type TrackedConnection } from './conntrack.js';
import type { Fleet } from './fleet.js';
import { keyOfMade, keyOfTracked, same, toldBy } from './flow-sums.js';
import { answer, Traffic } from './traffic.js';
import { until } from './until.js';

export interface OutageOptions {
  /** How long the controller stays away. */
  readonly seconds: number;
  /** New connections a second. */
  readonly rate: number;
  readonly seed: number;
  /** Says what is being done. */
  readonly say: (what: string) => void;
}

export interface OutageResult {
  readonly connections: number;
  /** Records at the end, of both hosts. */
  readonly records: number;
  /** Most bytes that waited on the disks of both hosts. */
  readonly spooledBytes: number;
  /** From the controller's return until nothing waited on disk any more. */
  readonly catchUpSeconds: number;
  /** Connections whose records do not say what connection tracking says, or more than once: none is wanted. */
  readonly problems: readonly string[];
}

/** Hosts that `outage` wants in a fleet; `updateMs` is short so that the end does not wait for it. */
export const OUTAGE_HOSTS = [
  { name: 'alpha', containers: ['client'], agent: { flows: { flushMs: 200, updateMs: 500 } } },
  { name: 'beta', containers: ['server'], agent: { flows: { flushMs: 200, updateMs: 500 } } },
] as const;

const BEFORE_SECONDS = 3;
const AFTER_SECONDS = 3;
const CATCH_UP_MS = 300_000;

/**
 * Kills the controller (SIGKILL, in the middle of its batches) under traffic, leaves it away, starts it, kills it again while it takes what
 * waited, starts it, and compares when the traffic has ended and all spools are empty.
 */
export async function outage(fleet: Fleet, { seconds, rate, seed, say }: OutageOptions): Promise<OutageResult> {
  const [client, server] = [fleet.place('client'), fleet.place('server')];
  const witnesses = [
    await Conntrack.watch(client, fleet.member('alpha').host.file('log', 'conntrack.log')),
    await Conntrack.watch(server, fleet.member('beta').host.file('log', 'conntrack.log')),
  ] as const;
  await answer(server, 'tcp:80', 'tcp:443', 'udp:53');
  const count = Math.round(rate * (BEFORE_SECONDS + seconds + AFTER_SECONDS));
  const { ip4, ip6 } = server.addresses;
  const targets = ['tcp:80', 'tcp:443', 'udp:53', 'icmp:0'];
  const traffic = await Traffic.start(client, { ip4, ip6, count, seed, intervalUs: 1e6 / rate, targets });
  await until('records to arrive', async () => (await fleet.api.status()).flows?.kept !== 0n);
  await delay(BEFORE_SECONDS * 1000);
  say(`controller killed, away for ${seconds} s`);
  await fleet.controller.stop('SIGKILL');
  let most = 0;
  const back = performance.now() + seconds * 1000;
  while (performance.now() < back) {
    most = Math.max(most, spooled(fleet));
    await delay(100);
  }
  say(`${most} bytes wait on disk; controller starts`);
  const returned = performance.now();
  await fleet.controller.start();
  await until('some of what waited to be taken', () => spooled(fleet) < most || spooled(fleet) === 0, {
    timeoutMs: CATCH_UP_MS,
    intervalMs: 5,
  });
  say('controller killed again while it catches up');
  await fleet.controller.stop('SIGKILL');
  await fleet.controller.start();
  await until('nothing to wait on disk', () => spooled(fleet) === 0, { timeoutMs: CATCH_UP_MS });
  const catchUpSeconds = (performance.now() - returned) / 1000;
  const made = await traffic.done(count * (1000 / rate) + 120_000);
  say(`${made.length} connections made; comparing`);
  const ends = [
    ['alpha', await byKey(witnesses[0])],
    ['beta', await byKey(witnesses[1])],
  ] as const;
  let records = 0;
  let problems: string[] = [];
  await until(
    'records to say what connection tracking says',
    async () => {
      const flows = await fleet.api.flows(undefined, 4_000_000);
      records = flows.length;
      const told = toldBy(flows);
      problems = made.flatMap((connection) => differing(keyOfMade(connection, client, server), told, ends));
      const ids = new Set(flows.map(({ id }) => id));
      if (ids.size !== flows.length) problems.push(`${flows.length - ids.size} record ids twice`);
      return problems.length === 0;
    },
    { timeoutMs: 60_000, intervalMs: 2000 },
  ).catch(() => undefined);
  return { connections: made.length, records, spooledBytes: most, catchUpSeconds, problems };
}

function differing(
  key: string,
  told: ReturnType<typeof toldBy>,
  ends: readonly (readonly [host: string, tracked: ReadonlyMap<string, TrackedConnection>])[],
): string[] {
  return ends.flatMap(([host, tracked]) => {
    const [ours, theirs] = [told.get(`${host} ${key}`), tracked.get(key)];
    if (ours !== undefined && theirs !== undefined && same(ours, theirs)) return [];
    return `${host} ${key}: ${JSON.stringify(ours)}, wanted ${JSON.stringify(theirs)}`;
  });
}

async function byKey(witness: Conntrack): Promise<Map<string, TrackedConnection>> {
  return new Map((await witness.connections()).map((each) => [keyOfTracked(each), each]));
}

/** Bytes in the spools of all agents. */
function spooled(fleet: Fleet): number {
  let bytes = 0;
  for (const { agent } of fleet.members.values()) {
    const directory = join(agent.stateDir, 'spool');
    for (const name of readdirSync(directory)) {
      // A segment may go between the two looks.
      bytes += statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
    }
  }
  return bytes;
}
