// A fleet for the page: hosts that enrol and report workloads as agents do, labels and policy through the admin API, and flow records
// that are uploaded like an agent's. The same seed gives the same fleet.
import { type AdminClient, call } from '@ringfence/controller/testing/admin-client.js';
import { type FlowRow, flowColumns } from '@ringfence/controller/testing/flow-columns.js';
import { enrollAgent, SimulatedAgent } from '@ringfence/controller/testing/simulated-agent.js';
import { parseAddress } from '@ringfence/proto/address.js';
import { ApplyPolicyRequest } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { Direction, Mode, Reason, Verdict, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { RunningController } from './controller.js';

export const POLICY = `rules:
  - { id: shoppers, service: [tcp/443], providedBy: role=web, usedBy: anyone }
  - { id: web-to-api, service: [tcp/8080], providedBy: role=api, usedBy: role=web, same: [app, env] }
  - { id: api-to-db, service: [tcp/5432], providedBy: role=db, usedBy: role=api, same: [app, env] }
  - { id: api-to-cache, service: [tcp/6379], providedBy: role=cache, usedBy: { any: [role=api, role=worker] }, same: [app, env] }
  - { id: workers, service: [tcp/5432], providedBy: role=db, usedBy: role=worker, same: [app, env] }
  - { id: sign-on, service: [tcp/8443], providedBy: { all: [app=identity, role=api] }, usedBy: role=api }
  - { id: metrics, service: [tcp/9100], providedBy: workloads, usedBy: app=monitoring }
modes:
  - { id: prod, match: env=prod, mode: enforce }
  - { id: staging, match: env=staging, mode: test }
`;

const APPS = ['shop', 'payments', 'identity', 'monitoring', 'search', 'crm', 'analytics', 'mail'];
const ROLES = ['web', 'api', 'db', 'cache', 'worker'] as const;
const PROCESSES: Readonly<Record<string, string>> = {
  web: 'nginx',
  api: 'node',
  db: 'postgres',
  cache: 'redis-server',
  worker: 'python3',
};

/** Whose workers reach into whose databases. */
const STRAYS: readonly (readonly [string, string])[] = [
  ['analytics', 'payments'],
  ['mail', 'crm'],
  ['search', 'shop'],
];

export interface Member {
  readonly localId: string;
  readonly id: string;
  readonly name: string;
  readonly host: number;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Fleet {
  readonly members: readonly Member[];
  readonly records: number;
  /** Uploads more records and resolves when they are stored. */
  upload(rows: readonly (FlowRow & { readonly host: number })[]): Promise<void>;
  /** So many events of the first host are lost in its rings. */
  lose(events: number): Promise<void>;
  /** One connection between two members, seen from its source. */
  row(from: Member, to: Member, port: number, more?: Partial<FlowRow>): FlowRow & { readonly host: number };
  close(): void;
}

const WORKLOADS_PER_HOST = 100;
const BATCH = 4000;

/** What an agent on Debian 13 reports, but for TCX. */
const FACTS = {
  kernel: '6.12.41+deb13-amd64',
  os: 'Debian GNU/Linux 13 (trixie)',
  cgroupMode: 'unified',
  runtimes: ['docker 26.1.5 /var/run/docker.sock'],
  features:
    'batchOps cgroupLink clsact coarseClock iterTaskFile netnsCookieInCgroupSkb ringbuf setRetval skStorage'.split(' '),
};
const CAPACITIES = ['rf_peers', 'rf_endpoints', 'rf_policy', 'rf_cidrs'].map((table) => ({
  table,
  entriesMax: 65_536,
  entries: 0,
}));

/** Makes `size` workloads and about `connections` records, most of them two for one connection, spread over the last `overMs`. */
export async function makeFleet(
  controller: RunningController,
  { size, connections, overMs = 3_600_000 }: { size: number; connections: number; overMs?: number },
): Promise<Fleet> {
  const { admin } = controller;
  const random = randomFrom(7);
  const members = makeMembers(size);
  const hosts = Math.max(...members.map(({ host }) => host)) + 1;
  const agents: SimulatedAgent[] = [];
  for (let host = 0; host < hosts; host += 1) {
    const { token } = await call(admin.hosts, admin.hosts.createToken, { ttlSeconds: 3600, hostId: '', note: '' });
    const own = await enrollAgent(controller.addresses.enroll, token, admin.caPem, { hostname: hostName(host) });
    const agent = new SimulatedAgent(own, { facts: FACTS, capacities: CAPACITIES });
    agents.push(agent);
    agent.sendInventory(members.filter((member) => member.host === host).map(inventory));
  }
  await Promise.all(
    agents.map((agent, host) => {
      const own = members.filter((member) => member.host === host).length;
      return agent.until(() => agent.assignments.size === own, 'assignments', 100_000);
    }),
  );
  await labelAll(admin, members);
  const applied = await call(
    admin.policy,
    admin.policy.apply,
    ApplyPolicyRequest.fromPartial({
      files: [{ name: 'fleet.yaml', content: POLICY }],
      prune: true,
      note: 'first policy',
    }),
  );
  if (!applied.accepted) throw new Error(applied.problems.map(({ message }) => message).join('\n'));
  const { rules } = await call(admin.policy, admin.policy.get, { ref: undefined });
  const numbers = new Map(rules.map(({ id, number }) => [id, number]));
  const streams = agents.map((agent) => agent.openFlows());
  const sequences = agents.map(() => 0n);
  const upload: Fleet['upload'] = async (rows) => {
    for (let from = 0; from < rows.length; from += BATCH) {
      const byHost = Map.groupBy(rows.slice(from, from + BATCH), ({ host }) => host);
      for (const [host, own] of byHost) {
        sequences[host] = (sequences[host] ?? 0n) + 1n;
        streams[host]?.send(sequences[host], flowColumns(own));
      }
      await Promise.all([...byHost.keys()].map((host) => streams[host]?.untilAcked(sequences[host] ?? 0n)));
    }
  };
  const row: Fleet['row'] = (from, to, port, more = {}) => ({
    host: from.host,
    workload: from.id,
    local: from.address,
    remote: to.address,
    remotePort: port,
    process: PROCESSES[from.labels.role ?? ''] ?? 'app',
    pid: 1000,
    policyVersion: 1,
    ...judged(from, to, port, numbers),
    ...more,
  });
  const rows = traffic(members, connections, overMs, random, row);
  await upload(rows);
  for (const agent of agents) agent.sendStatus();
  return {
    members,
    records: rows.length,
    upload,
    lose: async (events) => {
      const sequence = (sequences[0] ?? 0n) + 1n;
      sequences[0] = sequence;
      streams[0]?.send(sequence, undefined, { eventsProduced: BigInt(events), ringDropped: BigInt(events) });
      await streams[0]?.untilAcked(sequence);
    },
    row,
    close: () => {
      for (const stream of streams) stream.close();
      for (const agent of agents) agent.close();
    },
  };
}

function makeMembers(size: number): Member[] {
  const apps = Math.max(APPS.length, Math.round(size / 40));
  const used = new Map<string, number>();
  return Array.from({ length: size }, (_, i) => {
    const app = appName(i % apps);
    const role = ROLES[Math.floor(i / apps) % ROLES.length] ?? 'web';
    const env = i % 5 === 4 ? 'staging' : 'prod';
    const n = (used.get(`${app}-${role}`) ?? 0) + 1;
    used.set(`${app}-${role}`, n);
    const host = Math.floor(i / WORKLOADS_PER_HOST);
    const name = `${app}-${role}-${n}`;
    return {
      localId: `container:${name}`,
      id: `${hostName(host)}/container:${name}`,
      name,
      host,
      address: `10.${host}.${1 + Math.floor((i % WORKLOADS_PER_HOST) / 200)}.${10 + (i % 200)}`,
      labels: { app, role, env, loc: i % 2 === 0 ? 'fra' : 'ams' },
    };
  });
}

function traffic(
  members: readonly Member[],
  connections: number,
  overMs: number,
  random: () => number,
  row: Fleet['row'],
): ReturnType<Fleet['row']>[] {
  const nowUs = Date.now() * 1000;
  const of = (role: string, app?: string, env?: string) =>
    members.filter(
      ({ labels }) =>
        labels.role === role && (app === undefined || labels.app === app) && (env === undefined || labels.env === env),
    );
  const pick = <T>(all: readonly T[]): T | undefined => all[Math.floor(random() * all.length)];
  const byApp = Map.groupBy(members, ({ labels }) => labels.app ?? '');
  const rows: ReturnType<Fleet['row']>[] = [];
  for (let tries = 0; rows.length < connections && tries < connections * 4; tries += 1) {
    const from = pick(members);
    if (from === undefined) break;
    const near = (role: string) => {
      const own = (byApp.get(from.labels.app ?? '') ?? []).filter(
        ({ labels }) => labels.role === role && labels.env === from.labels.env,
      );
      return pick(own);
    };
    const choice = random();
    let to: Member | undefined;
    let port = 0;
    if (from.labels.app === 'monitoring' && choice < 0.5) [to, port] = [pick(members), 9100];
    else if (from.labels.role === 'web') [to, port] = [near('api'), 8080];
    else if (from.labels.role === 'api') {
      if (choice < 0.6) [to, port] = [near('db'), 5432];
      else if (choice < 0.9) [to, port] = [near('cache'), 6379];
      else [to, port] = [pick(of('api', 'identity')), 8443];
    } else if (from.labels.role === 'worker') {
      // Most work on their own database; some reach into others', which no rule allows.
      const [app, prey] = STRAYS.find(([name]) => name === from.labels.app) ?? [];
      if (app !== undefined && choice < 0.35) [to, port] = [pick(of('db', prey)), 5432];
      else if (choice < 0.8) [to, port] = [near('cache'), 6379];
      else [to, port] = [near('db'), 5432];
    }
    if (to === undefined || to === from) continue;
    const size = Math.round(400 * 10 ** (random() * 3.2));
    const age = 1 - (rows.length + random()) / connections;
    const firstSeenUs = nowUs - 2_500_000 - Math.round(overMs * 1000 * age);
    const times = { firstSeenUs, lastSeenUs: firstSeenUs + Math.round(random() * 2_000_000) };
    const seen = row(from, to, port, { ...times, bytesOut: size, bytesIn: size * 4 });
    rows.push(seen);
    // What went through is seen at the other end too.
    if (seen.verdict !== Verdict.VERDICT_BLOCKED) rows.push(seenInside(seen, from, to, port));
  }
  return rows;
}

/** The same connection as its destination reports it. */
function seenInside(seen: ReturnType<Fleet['row']>, from: Member, to: Member, port: number): ReturnType<Fleet['row']> {
  return {
    ...seen,
    host: to.host,
    workload: to.id,
    local: to.address,
    remote: from.address,
    localPort: port,
    remotePort: 40_000,
    servicePort: port,
    direction: Direction.DIRECTION_INBOUND,
    process: PROCESSES[to.labels.role ?? ''] ?? 'app',
    bytesIn: seen.bytesOut ?? 0,
    bytesOut: seen.bytesIn ?? 0,
  };
}

/** What the policy above says of a connection. */
function judged(from: Member, to: Member, port: number, numbers: ReadonlyMap<string, number>): Partial<FlowRow> {
  const same = from.labels.app === to.labels.app && from.labels.env === to.labels.env;
  const rule =
    port === 443
      ? 'shoppers'
      : port === 9100 && from.labels.app === 'monitoring'
        ? 'metrics'
        : port === 8443 && from.labels.role === 'api'
          ? 'sign-on'
          : same && port === 8080
            ? 'web-to-api'
            : same && port === 5432
              ? from.labels.role === 'worker'
                ? 'workers'
                : 'api-to-db'
              : same && port === 6379
                ? 'api-to-cache'
                : '';
  const mode = from.labels.env === 'prod' ? Mode.MODE_ENFORCE : Mode.MODE_TEST;
  if (rule !== '')
    return { verdict: Verdict.VERDICT_ALLOWED, reason: Reason.REASON_RULE_ALLOW, rule: numbers.get(rule) ?? 0, mode };
  const verdict = mode === Mode.MODE_ENFORCE ? Verdict.VERDICT_BLOCKED : Verdict.VERDICT_WOULD_BLOCK;
  return { verdict, reason: Reason.REASON_IMPLICIT_DENY, rule: 0, mode, direction: Direction.DIRECTION_OUTBOUND };
}

async function labelAll(admin: AdminClient, members: readonly Member[]): Promise<void> {
  const { workloads } = admin;
  const left = [...members];
  const work = async () => {
    for (let member = left.pop(); member !== undefined; member = left.pop()) {
      const set = Object.entries(member.labels).map(([dimension, value]) => ({ dimension, value }));
      const request = { workload: member.id, set, remove: [], replace: false, expectedVersion: 0n, sticky: false };
      await call(workloads, workloads.setLabels, request);
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
}

function inventory({ localId, name, address }: Member) {
  const ip = Buffer.from(parseAddress(address) ?? []);
  const kind = WorkloadKind.WORKLOAD_KIND_CONTAINER;
  return { localId, name, kind, source: 'docker', image: `registry.example/${name}:1`, addresses: [{ ip, space: '' }] };
}

function hostName(host: number): string {
  return `host-${String(host + 1).padStart(2, '0')}`;
}

function appName(index: number): string {
  return APPS[index] ?? `app-${String(index + 1).padStart(2, '0')}`;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
