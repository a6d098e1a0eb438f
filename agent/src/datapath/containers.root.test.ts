// Real packets between two containers of one host: allowed and denied, policy changed under open connections, the owner killed.
import { existsSync, readdirSync } from 'node:fs';
import { BpfLink, BpfMap } from '@ringfence/native';
import { type PolicySet, policySet } from '@ringfence/proto/policy-set.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalWorkload } from '../desired/local.js';
import { bytesOf, peerKey } from '../desired/pack.js';
import type { InstructionUpdate } from '../desired/update.js';
import {
  A,
  ADDRESS,
  B,
  bytes,
  CGROUP_ROOT,
  containers,
  copyObjects,
  HOST,
  ifindexOf,
  inNetns,
  makeBed,
  PIN_PATH,
  pings,
  programIds,
  removeBed,
} from './testing/bed.js';
import type { Request } from './testing/driver.js';
import { buildHelpers, Forked } from './testing/forked.js';
import { allow, deny, fullUpdate, setOf, type Wanted } from './testing/policies.js';
import type { TrafficRequest } from './testing/traffic.js';
import type { ApplyResult, DatapathStatus, SweepResult } from './types.js';

const [ID_A, ID_B] = [101, 102];
const [CA, CB] = [`container:${A}`, `container:${B}`];
const WHO = { [ADDRESS.a4]: ID_A, [ADDRESS.a6]: ID_A, [ADDRESS.b4]: ID_B, [ADDRESS.b6]: ID_B };
const [OPEN, SHUT] = [8001, 8002];
const options = {
  pinPath: PIN_PATH,
  cgroupRoot: CGROUP_ROOT,
  objectDir: copyObjects(),
  ringBytes: 65_536,
  denyRingBytes: 65_536,
};
const config = { unassigned: 'visibility', rejectMode: 'policy', failsafes: [] } as const;

/** A may use these of B; pings always. */
function aUsesB(...ports: number[]): Wanted[] {
  const list = [
    ...ports.flatMap((port) => [allow(port, 6, port), allow(port, 17, port)]),
    allow(1, 1, 2048),
    allow(1, 58, 32768),
  ];
  return [
    { localId: CA, identity: ID_A, setOut: setOf({ [ID_B]: list }) },
    { localId: CB, identity: ID_B, setIn: setOf({ [ID_A]: list }) },
  ];
}

let owner: Forked<Request>;
let inA: Forked<TrafficRequest>;
let inB: Forked<TrafficRequest>;
let revision = 0;

async function startOwner(
  extra: Partial<typeof options> & { mapSizes?: Record<string, number> } = {},
): Promise<string> {
  owner = await Forked.start<Request>('driver', HOST);
  return owner.ask<string>({ do: 'open', options: { ...options, ...extra }, config });
}

function apply(wanted: readonly Wanted[], who: Readonly<Record<string, number>> = WHO): Promise<ApplyResult> {
  revision += 1;
  return owner.ask<ApplyResult>({ do: 'apply', update: fullUpdate(revision, wanted, who), locals: containers() });
}

const connect = (id: string, port: number, host: string = ADDRESS.b4) =>
  inA.ask<string>({ do: 'open', id, host, port, timeoutMs: 1500 });
const echo = (id: string) => inA.ask<boolean>({ do: 'echo', id, timeoutMs: 1500 });
const datagram = (port: number, host: string) => inA.ask<string>({ do: 'datagram', host, port, timeoutMs: 1000 });

beforeAll(async () => {
  buildHelpers();
  await makeBed();
  inA = await Forked.start<TrafficRequest>('traffic', A);
  inB = await Forked.start<TrafficRequest>('traffic', B);
  for (const port of [OPEN, SHUT]) await inB.ask({ do: 'serve', port });
});

afterAll(async () => {
  await owner?.ask({ do: 'detach' }).catch(() => undefined);
  for (const process of [owner, inA, inB]) await process?.kill();
  removeBed();
});

describe('Datapath, two containers', () => {
  it('passes everything while nothing is assigned', async () => {
    expect(await startOwner()).toBe('fresh');
    expect(await owner.ask({ do: 'apply', update: fullUpdate(0, [], {}), locals: containers() })).toMatchObject({
      kind: 'ok',
    });
    expect(await connect('before', SHUT)).toBe('open');
  });

  it('lets through what policy allows and refuses the rest, TCP, UDP and ICMP, both families', async () => {
    expect(await apply(aUsesB(OPEN))).toMatchObject({ kind: 'ok' });
    for (const host of [ADDRESS.b4, ADDRESS.b6]) {
      expect(await connect(`open ${host}`, OPEN, host)).toBe('open');
      expect(await echo(`open ${host}`)).toBe(true);
      expect(await connect(`shut ${host}`, SHUT, host)).toBe('ECONNREFUSED');
      expect(await datagram(OPEN, host)).toBe('answer');
      expect(await datagram(SHUT, host)).not.toBe('answer');
      expect(pings(A, host)).toBe(true);
    }
    expect(pings(B, ADDRESS.a4)).toBe(false);
    const status = await owner.ask<DatapathStatus>({ do: 'status' });
    expect(status.endpoints.map(({ inForce, why }) => ({ inForce, why }))).toEqual([
      { inForce: true, why: '' },
      { inForce: true, why: '' },
    ]);
    expect(status.helperErrors).toEqual({});
    expect(status.missing).toEqual({});
  });

  it('cuts a connection that policy no longer allows within a second and does not disturb the other', async () => {
    expect(await apply(aUsesB(OPEN, SHUT))).toMatchObject({ kind: 'ok' });
    expect(await connect('kept', OPEN)).toBe('open');
    expect(await connect('revoked', SHUT)).toBe('open');
    expect(await connect('idle', SHUT)).toBe('open');
    expect(await echo('revoked')).toBe(true);
    await inA.ask({ do: 'pump', id: 'kept' });
    const ended = inA.ask<{ how: string; afterMs: number } | undefined>({ do: 'ended', id: 'idle', timeoutMs: 1000 });
    const result = await apply(aUsesB(OPEN));
    expect(result).toMatchObject({ kind: 'ok', sweep: { socketProblem: '' } });
    expect(await ended).toBeDefined();
    expect(await inA.ask({ do: 'ended', id: 'revoked', timeoutMs: 1000 })).toBeDefined();
    const before = await inA.ask<{ received: number }>({ do: 'pumped', id: 'kept' });
    expect(await echo('kept')).toBe(true);
    const after = await inA.ask<{ received: number; end: undefined }>({ do: 'pumped', id: 'kept' });
    expect(after.end).toBeUndefined();
    expect(after.received).toBeGreaterThan(before.received);
  });

  it('keeps enforcing when its owner is killed, and a new owner adopts it without a lost connection', async () => {
    const links = await owner.ask({ do: 'links' });
    await owner.kill();
    expect(await echo('kept')).toBe(true);
    expect(await connect('while dead', SHUT)).toBe('ECONNREFUSED');
    expect(await connect('allowed while dead', OPEN)).toBe('open');
    expect(await startOwner()).toBe('adopted');
    expect(await apply(aUsesB(OPEN))).toMatchObject({ kind: 'ok', written: 2, deleted: 0, sweep: undefined });
    expect(await owner.ask({ do: 'links' })).toEqual(links);
    expect(await echo('kept')).toBe(true);
    expect(await echo('allowed while dead')).toBe(true);
    expect(await connect('shut again', SHUT)).toBe('ECONNREFUSED');
  });

  it('refuses what a table cannot hold, names table and numbers, and keeps the last good state', async () => {
    await owner.ask({ do: 'detach' });
    await owner.kill();
    expect(await startOwner({ mapSizes: { rf_peers: 8 } })).toBe('fresh');
    expect(await apply(aUsesB(OPEN))).toMatchObject({ kind: 'ok' });
    const many = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`10.9.0.${i}`, 200 + i]));
    const refused = await apply(aUsesB(OPEN, SHUT), { ...WHO, ...many });
    expect(refused).toMatchObject({ kind: 'refused', code: 'RF_MAP_FULL', table: 'rf_peers', restored: true });
    expect(refused).toMatchObject({ message: expect.stringContaining('found 9 entries') });
    expect(await connect('still shut', SHUT)).toBe('ECONNREFUSED');
    expect(await connect('still open', OPEN)).toBe('open');
  });

  it('takes it once the table is configured larger, over the same conntrack and links', async () => {
    const links = await owner.ask({ do: 'links' });
    await owner.kill();
    expect(await startOwner({ mapSizes: { rf_peers: 9 } })).toBe('upgraded');
    expect(await echo('still open')).toBe(true);
    const many = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`10.9.0.${i}`, 200 + i]));
    expect(await apply(aUsesB(OPEN), { ...WHO, ...many })).toMatchObject({ kind: 'ok' });
    expect(await owner.ask({ do: 'links' })).toEqual(links);
    expect(await echo('still open')).toBe(true);
    expect(await connect('shut after resize', SHUT)).toBe('ECONNREFUSED');
    await owner.kill();
    expect(await startOwner({ mapSizes: { rf_peers: 9 } })).toBe('adopted');
    expect(await apply(aUsesB(OPEN), { ...WHO, ...many })).toMatchObject({ kind: 'ok', deleted: 0 });
  });

  it('notices a hook that others detached and puts it back', async () => {
    const ifindex = containers()[0]?.interfaces[0]?.ifindex;
    const links = await owner.ask<Record<string, number>>({ do: 'links' });
    inNetns(HOST, 'bpftool', 'link', 'detach', 'id', String(links[`tc_${ifindex}_ingress`]));
    const found = await owner.ask<DatapathStatus>({ do: 'status' });
    expect(found.endpoints.find((e) => e.localId === CA)).toMatchObject({ inForce: false });
    expect(await owner.ask({ do: 'verify' })).toEqual({ reattached: [`tc_${ifindex}_ingress`], broken: [] });
    expect(await connect('after verify', SHUT)).toBe('ECONNREFUSED');
  });

  it('an explicit deny holds and a port range is exact at both ends', async () => {
    const list = [allow(3, 6, OPEN - 1, SHUT), deny(2, 6, SHUT)].sort((a, b) => a.portLow - b.portLow);
    const split = [allow(3, 6, OPEN - 1, OPEN), deny(2, 6, SHUT)];
    expect(list).toHaveLength(2);
    const wanted: Wanted[] = [
      { localId: CA, identity: ID_A, setOut: setOf({ [ID_B]: split }) },
      { localId: CB, identity: ID_B, setIn: setOf({ [ID_A]: split }) },
    ];
    expect(await apply(wanted)).toMatchObject({ kind: 'ok' });
    expect(await connect('in range', OPEN)).toBe('open');
    expect(await connect('denied', SHUT)).toBe('ECONNREFUSED');
  });

  it('IP lists with exclusions, and addresses shared by several identities, decide as compiled', async () => {
    const anything = policySet([{ anyone: true, identities: [], classes: [], ports: [allow(9, 256, 0, 0xffff)] }]);
    const listed = policySet([
      { anyone: true, identities: [], classes: [], ports: [] },
      { anyone: false, identities: [], classes: [1], ports: [allow(4, 6, OPEN)] },
    ]);
    const inbound = (setIn: PolicySet): Wanted[] => [
      { localId: CA, identity: ID_A, setOut: anything },
      { localId: CB, identity: ID_B, setIn },
    ];
    const lists = (...entries: readonly (readonly [string, number, number])[]) =>
      entries.map(([at, length, classId]) => ({ prefix: { address: bytes(at), length: length + 96 }, classId }));
    const send = (setIn: PolicySet, part: Partial<InstructionUpdate>) => {
      revision += 1;
      const update = { ...fullUpdate(revision, inbound(setIn), {}), ...part };
      return owner.ask<ApplyResult>({ do: 'apply', update, locals: containers() });
    };
    expect(await send(listed, { cidrs: lists(['10.78.0.0', 24, 1]) })).toMatchObject({ kind: 'ok' });
    expect(await connect('listed', OPEN)).toBe('open');
    expect(await connect('listed shut', SHUT)).toBe('ECONNREFUSED');
    expect(await send(listed, { cidrs: lists(['10.78.0.0', 24, 1], [ADDRESS.a4, 32, 0]) })).toMatchObject({
      kind: 'ok',
    });
    expect(await connect('excluded', OPEN)).toBe('ECONNREFUSED');
    const sharing = { space: '', address: bytes(ADDRESS.a4), identity: 150, shared: [150, 151], unmanaged: false };
    const allowsOne = setOf({ 151: [allow(5, 6, SHUT)] });
    expect(await send(allowsOne, { bindings: [sharing] })).toMatchObject({ kind: 'ok' });
    expect(await connect('shared', SHUT)).toBe('open');
    expect(await connect('shared, other port', OPEN)).toBe('ECONNREFUSED');
  });

  it('after a death between taking an address away and saying so, cuts what that address had open', async () => {
    expect(await apply(aUsesB(OPEN))).toMatchObject({ kind: 'ok' });
    expect(await connect('stale', OPEN)).toBe('open');
    await owner.kill();
    // What a flush that died in step 7 leaves: the entry gone, the generation as it was, the sign of a flush under way.
    using peers = BpfMap.fromPin(`${PIN_PATH}/v1/maps/rf_peers`);
    using marks = BpfMap.fromPin(`${PIN_PATH}/v1/maps/rf_marks`);
    expect(peers.delete(bytesOf(peerKey(0, bytes(ADDRESS.a4))))).toBe(true);
    marks.pin(`${PIN_PATH}/v1/maps/rf_flushing`);
    expect(await startOwner({ mapSizes: { rf_peers: 9 } })).toBe('adopted');
    const ended = inA.ask<object | undefined>({ do: 'ended', id: 'stale', timeoutMs: 1000 });
    const withoutA = { [ADDRESS.a6]: ID_A, [ADDRESS.b4]: ID_B, [ADDRESS.b6]: ID_B };
    expect(await apply(aUsesB(OPEN), withoutA)).toMatchObject({ kind: 'ok', written: 2, deleted: 0 });
    expect(await ended).toBeDefined();
  });

  it('an interface that goes, takes its links with it and leaves no pin', async () => {
    const [a, b] = containers();
    const gone = `tc_${b?.interfaces[0]?.ifindex}_`;
    inNetns(HOST, 'ip', 'link', 'add', 'vrfdpx', 'type', 'veth', 'peer', 'name', 'vrfdpy');
    const extra = { ...b, localId: 'container:x', interfaces: [{ name: 'vrfdpx', ifindex: ifindexOf('vrfdpx') }] };
    const locals = [a, b, extra] as LocalWorkload[];
    revision += 1;
    const update = fullUpdate(revision, aUsesB(OPEN), WHO);
    expect(await owner.ask({ do: 'apply', update, locals })).toMatchObject({ kind: 'ok' });
    inNetns(HOST, 'ip', 'link', 'del', 'vrfdpx');
    const hooks = ['ingress', 'egress'].map((side) => `tc_${extra.interfaces[0]?.ifindex}_${side}`);
    expect(await owner.ask({ do: 'verify' })).toEqual({ reattached: [], broken: hooks });
    expect(await apply(aUsesB(OPEN))).toMatchObject({ kind: 'ok' });
    const links = Object.keys(await owner.ask<Record<string, number>>({ do: 'links' }));
    expect(links.filter((name) => hooks.includes(name))).toEqual([]);
    expect(links.filter((name) => name.startsWith(gone))).toHaveLength(2);
    expect(readdirSync(`${PIN_PATH}/v1/links`).sort()).toEqual(links.sort());
  });

  it('leaves nothing behind when detached', async () => {
    await owner.ask<SweepResult>({ do: 'sweep' });
    const links = Object.values(await owner.ask<Record<string, number>>({ do: 'links' }));
    expect(links).toHaveLength(4);
    await owner.ask({ do: 'detach' });
    expect(await connect('free', SHUT)).toBe('open');
    for (const id of links) expect(() => BpfLink.fromId(id)).toThrow(/RF_NOT_FOUND|Cannot/);
    expect(programIds(`v${A}`)).toEqual([]);
    expect(existsSync(PIN_PATH)).toBe(false);
  });
});
