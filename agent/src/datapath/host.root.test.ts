// Host workloads decided at their cgroup: a service, the rest of the host, failsafes and isolation, in a namespace of their own.
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  A,
  ADDRESS,
  bytes,
  CGROUP_ROOT,
  containers,
  copyObjects,
  HOST,
  hostWorkloads,
  inNetns,
  makeBed,
  PIN_PATH,
  removeBed,
} from './testing/bed.js';
import type { Request } from './testing/driver.js';
import { buildHelpers, Forked } from './testing/forked.js';
import { allow, fullUpdate, setOf, type Wanted } from './testing/policies.js';
import type { TrafficRequest } from './testing/traffic.js';
import type { ApplyResult, DatapathStatus, ReasonCount } from './types.js';

const [ID_A, ID_HOST, ID_SVC] = [101, 110, 111];
const WHO = { [ADDRESS.a4]: ID_A, [ADDRESS.a6]: ID_A };
const [OPEN, SHUT, ADMIN] = [8001, 8002, 8022];
const options = {
  pinPath: PIN_PATH,
  cgroupRoot: CGROUP_ROOT,
  objectDir: copyObjects(),
  ringBytes: 65_536,
  denyRingBytes: 65_536,
};
const config = {
  unassigned: 'visibility',
  rejectMode: 'policy',
  failsafes: [
    {
      direction: Direction.DIRECTION_INBOUND,
      protocol: 6,
      port: ADMIN,
      remote: { address: bytes(ADDRESS.a4), length: 128 },
    },
  ],
} as const;

let owner: Forked<Request>;
let inA: Forked<TrafficRequest>;
let service: Forked<TrafficRequest>;
let host: Forked<TrafficRequest>;
let revision = 0;

function apply(wanted: readonly Wanted[]): Promise<ApplyResult> {
  revision += 1;
  return owner.ask<ApplyResult>({ do: 'apply', update: fullUpdate(revision, wanted, WHO), locals: hostWorkloads() });
}

/** The service takes A on `port` and may call A there; the host does nothing. */
function serviceUses(port: number): Wanted[] {
  const list = [allow(1, 6, port), allow(1, 17, port)];
  return [
    { localId: 'host', identity: ID_HOST, setIn: setOf({}), setOut: setOf({}) },
    { localId: 'cgroup:svc', identity: ID_SVC, setIn: setOf({ [ID_A]: list }), setOut: setOf({ [ID_A]: list }) },
  ];
}

const open = (from: Forked<TrafficRequest>, id: string, hostName: string, port: number) =>
  from.ask<string>({ do: 'open', id, host: hostName, port, timeoutMs: 1500 });

beforeAll(async () => {
  buildHelpers();
  await makeBed();
  inA = await Forked.start<TrafficRequest>('traffic', A);
  service = await Forked.start<TrafficRequest>('traffic', HOST, `${CGROUP_ROOT}/svc`);
  host = await Forked.start<TrafficRequest>('traffic', HOST, CGROUP_ROOT);
  for (const port of [OPEN, SHUT]) {
    await inA.ask({ do: 'serve', port });
    await service.ask({ do: 'serve', port });
  }
  await host.ask({ do: 'serve', port: ADMIN });
  owner = await Forked.start<Request>('driver', HOST);
  await owner.ask({ do: 'open', options, config });
});

afterAll(async () => {
  await owner?.ask({ do: 'detach' }).catch(() => undefined);
  for (const process of [owner, inA, service, host]) await process?.kill();
  removeBed();
});

describe('Datapath, host workloads', () => {
  it('passes everything while nothing is assigned', async () => {
    expect(await owner.ask({ do: 'apply', update: fullUpdate(0, [], {}), locals: hostWorkloads() })).toMatchObject({
      kind: 'ok',
    });
    expect(await open(inA, 'before', ADDRESS.host4, SHUT)).toBe('open');
    expect(await open(host, 'before', ADDRESS.a4, SHUT)).toBe('open');
  });

  it('a service gets its policy and the rest of the host its own, both directions and families', async () => {
    expect(await apply(serviceUses(OPEN))).toMatchObject({ kind: 'ok' });
    for (const [at, a] of [
      [ADDRESS.host4, ADDRESS.a4],
      [ADDRESS.host6, ADDRESS.a6],
    ] as const) {
      expect(await open(inA, `in ${at}`, at, OPEN)).toBe('open');
      expect(await open(inA, `no ${at}`, at, SHUT)).not.toBe('open');
      expect(await open(service, `out ${a}`, a, OPEN)).toBe('open');
      expect(await open(service, `no ${a}`, a, SHUT)).toBe('EPERM');
      expect(await open(host, `host ${a}`, a, OPEN)).toBe('EPERM');
      expect(await service.ask({ do: 'datagram', host: a, port: OPEN, timeoutMs: 1000 })).toBe('answer');
      expect(await service.ask({ do: 'datagram', host: a, port: SHUT, timeoutMs: 1000 })).not.toBe('answer');
    }
  });

  it('connections inside the host are loopback, also over its own addresses', async () => {
    expect(await open(host, 'lo', '127.0.0.1', SHUT)).toBe('open');
    expect(await open(host, 'own', ADDRESS.host4, SHUT)).toBe('open');
  });

  it('a failsafe holds for an isolated host', async () => {
    const isolated = serviceUses(OPEN).map((w) => ({ ...w, isolated: true }));
    expect(await apply(isolated)).toMatchObject({ kind: 'ok' });
    expect(await open(inA, 'isolated', ADDRESS.host4, OPEN)).not.toBe('open');
    expect(await open(inA, 'admin', ADDRESS.host4, ADMIN)).toBe('open');
    const status = await owner.ask<DatapathStatus>({ do: 'status' });
    expect(status.endpoints.map((e) => [e.localId, e.isolated, e.inForce])).toEqual([
      ['cgroup:svc', true, true],
      ['host', true, true],
    ]);
    expect(status.endpoints[0]?.attachments).toContain(`rf_cg_ingress ${CGROUP_ROOT}`);
  });

  it('a revoked connection of a service ends within a second, on both ends, though idle', async () => {
    expect(await apply(serviceUses(OPEN))).toMatchObject({ kind: 'ok' });
    expect(await open(service, 'idle', ADDRESS.a4, OPEN)).toBe('open');
    expect(await open(inA, 'idle in', ADDRESS.host4, OPEN)).toBe('open');
    const ends = [
      service.ask<object | undefined>({ do: 'ended', id: 'idle', timeoutMs: 1000 }),
      inA.ask<object | undefined>({ do: 'ended', id: 'idle in', timeoutMs: 1000 }),
    ];
    expect(await apply(serviceUses(SHUT))).toMatchObject({ kind: 'ok', sweep: { socketProblem: '' } });
    for (const end of await Promise.all(ends)) expect(end).toBeDefined();
  });

  it('counts what it decided, by verdict and reason', async () => {
    const counters = await owner.ask<ReasonCount[]>({ do: 'counters' });
    expect(counters.some((c) => c.packets > 0n && c.bytes >= c.packets)).toBe(true);
    const { lanes, helperErrors } = await owner.ask<DatapathStatus>({ do: 'status' });
    expect(helperErrors).toEqual({});
    for (const lane of [lanes.flows, lanes.denies]) expect(lane.produced).toBe(lane.delivered + lane.dropped);
    expect(lanes.denies.produced).toBeGreaterThan(0n);
  });

  it('detaches the cgroup programs when no host workload is left', async () => {
    const update = fullUpdate(revision + 1, [], WHO);
    expect(await owner.ask({ do: 'apply', update, locals: containers() })).toMatchObject({ kind: 'ok' });
    expect(inNetns(HOST, 'bpftool', 'cgroup', 'show', CGROUP_ROOT)).not.toContain('rf_');
    expect(await open(inA, 'free', ADDRESS.host4, SHUT)).toBe('open');
  });
});
