// Issue 6, must show 7: for 10,000 random connections (TCP, UDP, ICMP; IPv4, IPv6; allowed, refused at either end; data both ways) what our
// records say is what the kernel's own connection tracking counted inside the same network namespaces: endpoints, bytes, packets, verdict.
import { Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Conntrack, type TrackedConnection } from '../src/conntrack.js';
import { Fleet } from '../src/fleet.js';
import { keyOfMade, keyOfTracked, only, same, type Told, toldBy } from '../src/flow-sums.js';
import { answer, type RandomConnection, Traffic } from '../src/traffic.js';
import { until } from '../src/until.js';

const SEED = Number(process.env.WITNESS_SEED ?? Math.floor(Math.random() * 1e9));
const POLICY = `
modes:
  - { id: enforced, match: { label: role, in: [strict, server, closed] }, mode: enforce }
rules:
  - { id: use, service: [tcp/80, tcp/8080, udp/53, icmp/8, icmpv6/128], providedBy: role=server, usedBy: { label: role, in: [client, strict] } }
  - { id: no-81, action: deny, service: tcp/81, providedBy: role=server, usedBy: workloads }
`;
const OPEN = ['tcp:80', 'tcp:8080', 'udp:53', 'icmp:0'];
const SHUT = ['tcp:81', 'tcp:82', '-udp:54'];

interface Session {
  readonly from: string;
  readonly to: string;
  readonly made: readonly RandomConnection[];
}

let fleet: Fleet;
const witnesses = new Map<string, Conntrack>();

beforeAll(async () => {
  fleet = await Fleet.start([
    { name: 'alpha', containers: ['client', 'strict'], agent: { flows: { flushMs: 200, updateMs: 200 } } },
    { name: 'beta', containers: ['server', 'closed'], agent: { flows: { flushMs: 200, updateMs: 200 } } },
  ]);
  for (const role of ['client', 'strict', 'server', 'closed']) {
    await fleet.label(role, { role });
    const place = fleet.place(role);
    const { host } = fleet.member(['client', 'strict'].includes(role) ? 'alpha' : 'beta');
    witnesses.set(role, await Conntrack.watch(place, host.file('log', `conntrack-${role}.log`)));
  }
  for (const name of ['server', 'closed']) {
    await answer(fleet.place(name), 'tcp:80', 'tcp:8080', 'tcp:81', 'tcp:82', 'udp:53', 'udp:54');
  }
  await fleet.provision([{ name: 'policy.yaml', content: POLICY }]);
});
afterAll(() => fleet?.close());

function traffic(from: string, to: string, count: number, firstPort: number, targets: string[]): Promise<Session> {
  const { ip4, ip6 } = fleet.place(to).addresses;
  const options = { ip4, ip6, count, firstPort, seed: SEED + firstPort, targets };
  return Traffic.start(fleet.place(from), options).then(async (running) => ({
    from,
    to,
    made: await running.done(120_000),
  }));
}

it(`10,000 random connections, told by agents and by connection tracking, seed ${SEED}`, {
  timeout: 300_000,
}, async () => {
  const sessions = await Promise.all([
    traffic('client', 'server', 5000, 10_000, [...OPEN, ...SHUT]),
    traffic('strict', 'server', 4000, 20_000, [...OPEN, ...SHUT]),
    traffic('strict', 'closed', 1000, 30_000, ['tcp:80', '-udp:53', '-icmp:0']),
  ]);
  const tracked = new Map<string, Map<string, TrackedConnection>>();
  for (const [name, witness] of witnesses) {
    tracked.set(name, new Map((await witness.connections()).map((each) => [keyOfTracked(each), each])));
  }
  const problems = await until(
    'records to say what connection tracking says',
    async () => {
      const told = toldBy(await fleet.api.flows());
      const found = sessions.flatMap((session) => differences(session, told, tracked));
      if (found.length > 0) throw new Error(`${found.length} differ:\n${found.slice(0, 5).join('\n')}`);
      return found;
    },
    { timeoutMs: 60_000, intervalMs: 1000 },
  );
  expect(problems).toEqual([]);
  const made = sessions.flatMap((session) => session.made);
  expect(made).toHaveLength(10_000);
  const kinds = new Set(
    made.map(({ proto, family, error }) => `${proto}${family} ${error === 'none' ? 'ok' : 'refused'}`),
  );
  expect(kinds.size).toBe(12);
});

/** Compares one session's connections at both ends; says what differs. */
function differences(
  { from, to, made }: Session,
  told: ReadonlyMap<string, Told>,
  tracked: ReadonlyMap<string, ReadonlyMap<string, TrackedConnection>>,
): string[] {
  const found: string[] = [];
  for (const connection of made) {
    const key = keyOfMade(connection, fleet.place(from), fleet.place(to));
    const allowed = to === 'server' && OPEN.includes(`${connection.proto}:${connection.port}`);
    const sent = tracked.get(from)?.get(key);
    const came = tracked.get(to)?.get(key);
    const outbound = told.get(`alpha ${key}`);
    const inbound = told.get(`beta ${key}`);
    const say = (what: string) =>
      found.push(`${key} ${what}: ${JSON.stringify({ connection, sent, came, outbound, inbound }, plain)}`);
    if (sent === undefined) say('is not tracked where it begins');
    else if (outbound === undefined) say('has no record where it begins');
    else if (from === 'strict' && !allowed) {
      // Refused where it begins: what the socket sent is what was refused, and nothing of it arrived.
      if (outbound.attempts !== sent.forward.packets) say('attempts differ');
      if (outbound.bytesForward !== sent.forward.bytes) say('refused bytes differ');
      if (!only(outbound, Verdict.VERDICT_BLOCKED)) say('verdict where it begins');
      if (came !== undefined || inbound !== undefined) say('arrived');
    } else {
      if (!same(outbound, sent)) say('counters differ where it begins');
      if (!only(outbound, Verdict.VERDICT_ALLOWED)) say('verdict where it begins');
      if (inbound === undefined) say('has no record where it ends');
      else if (allowed) {
        if (came === undefined || !same(inbound, came)) say('counters differ where it ends');
        if (!only(inbound, Verdict.VERDICT_ALLOWED)) say('verdict where it ends');
      } else {
        // Refused where it would have ended: what left is what was refused, and nothing reached the other namespace.
        if (inbound.attempts !== sent.forward.packets) say('attempts differ');
        if (inbound.bytesForward !== sent.forward.bytes) say('refused bytes differ');
        if (!only(inbound, Verdict.VERDICT_BLOCKED)) say('verdict where it ends');
        if (came !== undefined) say('arrived');
      }
    }
  }
  return found;
}

function plain(_key: string, value: unknown): unknown {
  return value instanceof Set ? [...value] : value;
}
