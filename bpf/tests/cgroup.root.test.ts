// Host workloads with real sockets: own cgroup subtree, own namespaces, nothing of the machine's own is touched.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BpfLink, cgroupId, netnsCookie } from '@ringfence/native';
import { Direction, EventKind, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  Action,
  EndpointFlag,
  EndpointKind,
  EventFlag,
  type FlowEvent,
  GROUP,
  GROUP_KEY,
  GroupKind,
  PORT,
  PORT_KEY,
  PORT_PREFIX,
  PROGRAMS,
  type ProgramName,
} from '../ts/index.js';
import {
  Actor,
  ADDRESS,
  CONNECT,
  ECHO,
  FAR,
  LISTEN,
  makeBed,
  NEAR,
  netnsPath,
  ROOT,
  removeBed,
  SEND,
} from './cgroup-bed.js';
import { TestKernel } from './kernel.js';
import * as p from './packets.js';

const HOOKS = [
  'rf_cg_ingress',
  'rf_cg_egress',
  'rf_connect4',
  'rf_connect6',
  'rf_sendmsg4',
  'rf_sendmsg6',
  'rf_sock_create',
] as const satisfies readonly ProgramName[];

const HOST = { number: 1, identity: 10, space: 0, setIn: 1, setOut: 2, generation: 1, policyVersion: 1 };
const ENFORCED = { modeIn: Mode.MODE_ENFORCE, modeOut: Mode.MODE_ENFORCE };

let kernel: TestKernel;
const links: BpfLink[] = [];
const actors: Actor[] = [];

function endpoint(cgroup: string, number: number, flags = 0, modes = ENFORCED): void {
  kernel.endpoint({ ...HOST, number, flags, ...modes }, cgroupId(join(ROOT, cgroup)), EndpointKind.CGROUP);
  kernel.bump();
}

function allow(set: number, proto: number, port: number): void {
  kernel
    .map('rf_groups')
    .update(GROUP_KEY.encode({ set, peer: 0, kind: GroupKind.IDENTITY }), GROUP.encode({ group: set }));
  const key = PORT_KEY.encode({ prefixlen: PORT_PREFIX.port(16), group: set, proto, port });
  kernel.map('rf_ports').update(key, PORT.encode({ rule: port, action: Action.ALLOW, constraints: 0 }));
}

function actor(script: string, cgroup: string | undefined, netns = NEAR): Actor {
  const made = new Actor(script, cgroup, netns);
  actors.push(made);
  return made;
}

async function said(script: string, cgroup: string | undefined, netns = NEAR): Promise<string> {
  return actor(script, cgroup, netns).line();
}

/** Events until one fits, or five seconds. */
async function eventually(fits: (event: FlowEvent) => boolean): Promise<FlowEvent> {
  const all: FlowEvent[] = [];
  const deadline = Date.now() + 5000;
  while (Date.now() < deadline) {
    all.push(...(await kernel.events()));
    const found = all.find(fits);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`no such event in ${JSON.stringify(all, (_, v) => (typeof v === 'bigint' ? `${v}` : v))}`);
}

beforeAll(async () => {
  await makeBed();
  kernel = new TestKernel({
    programs: [...HOOKS, 'rf_iter_files'],
    rodata: { rf_netns_cookie: netnsCookie(netnsPath(NEAR)) },
  });
  allow(1, p.TCP, 80);
  allow(1, p.UDP, 53);
  allow(2, p.TCP, 443);
  allow(2, p.UDP, 53);
  for (const name of HOOKS) {
    links.push(BpfLink.attachCgroup(kernel.program(name), ROOT, PROGRAMS[name].attachType));
  }
});
afterAll(async () => {
  for (const link of links) link.close();
  kernel?.close();
  await removeBed();
});
beforeEach(async () => {
  await kernel.reset();
  endpoint('', 1, EndpointFlag.HOST);
  endpoint('svc', 2);
  endpoint('skip', 3, EndpointFlag.SKIP);
});
afterEach(() => {
  for (const each of actors.splice(0)) each.kill();
  expect(kernel.failures()).toEqual({});
});

describe('a host workload', () => {
  it.each([
    ['IPv4', ADDRESS.far],
    ['IPv6', ADDRESS.far6],
    ['IPv4 in IPv6', `::ffff:${ADDRESS.far}`],
  ])('%s: a forbidden connect, fails at once with EPERM and is reported with its process', async (_, host) => {
    const client = actor(CONNECT(host, 444), 'svc');
    const [code, ms] = (await client.line()).split(' ');
    expect(code).toBe('EPERM');
    expect(Number(ms)).toBeLessThan(1000);
    const event = await eventually((each) => each.remotePort === 444);
    expect([event.kind, event.verdict, event.reason]).toEqual([
      EventKind.EVENT_KIND_DENY,
      Verdict.VERDICT_BLOCKED,
      Reason.REASON_IMPLICIT_DENY,
    ]);
    expect([event.flags, event.endpoint, event.pid, event.packetsOut]).toEqual([
      EventFlag.FROM_CONNECT,
      2,
      client.pid,
      0,
    ]);
  });

  it('an allowed connection, is NEW with its process and END with its counters', async () => {
    const server = actor(LISTEN(ADDRESS.far, 443), undefined, FAR);
    expect(await server.line()).toBe('ready');
    const client = actor(CONNECT(ADDRESS.far, 443), 'svc');
    const comm = readFileSync(`/proc/${client.pid}/comm`, 'utf8').trim();
    expect(await client.line()).toBe('ok');
    const end = await eventually((each) => each.kind === EventKind.EVENT_KIND_END);
    expect([end.endpoint, end.remotePort, end.rule, end.pid, end.direction]).toEqual([
      2,
      443,
      443,
      client.pid,
      Direction.DIRECTION_OUTBOUND,
    ]);
    expect(['node', 'MainThread', comm]).toContain(end.comm);
    expect(end.packetsIn).toBeGreaterThan(2);
    expect(end.packetsOut).toBeGreaterThan(2);
  });

  it('a forbidden connection inwards, never reaches the listener; an allowed one names it', async () => {
    const closed = actor(LISTEN('0.0.0.0', 81), 'svc');
    const open = actor(LISTEN('0.0.0.0', 80), 'svc');
    expect([await closed.line(), await open.line()]).toEqual(['ready', 'ready']);
    const stranger = actor(CONNECT(ADDRESS.near, 81), undefined, FAR);
    const deny = await eventually((each) => each.kind === EventKind.EVENT_KIND_DENY);
    expect([deny.endpoint, deny.localPort, deny.pid, deny.direction]).toEqual([
      2,
      81,
      closed.pid,
      Direction.DIRECTION_INBOUND,
    ]);
    stranger.kill();
    expect(await said(CONNECT(ADDRESS.near, 80), undefined, FAR)).toBe('ok');
    const fresh = await eventually((each) => each.kind === EventKind.EVENT_KIND_NEW);
    expect([fresh.localPort, fresh.pid, fresh.rule]).toEqual([80, open.pid, 80]);
    expect(await open.line()).toContain(ADDRESS.far);
  });

  it('a forbidden datagram, is EPERM; an allowed one passes', async () => {
    expect(await said(SEND(ADDRESS.far, 54), 'svc')).toBe('EPERM');
    expect(await said(SEND(ADDRESS.far6, 54), 'svc')).toBe('EPERM');
    expect(await said(SEND(ADDRESS.far, 53), 'svc')).toBe('sent');
    const event = await eventually((each) => each.kind === EventKind.EVENT_KIND_NEW);
    expect([event.remotePort, event.endpoint]).toEqual([53, 2]);
  });

  it('a datagram server, may answer whom policy lets ask, though it may not call them', async () => {
    const server = actor(ECHO('0.0.0.0', 53), 'svc');
    expect(await server.line()).toBe('ready');
    const asked = actor(
      `const u = require('node:dgram').createSocket('udp4'); u.on('message', () => { console.log('got it'); u.close(); });
       u.send('x', 53, '${ADDRESS.near}');`,
      undefined,
      FAR,
    );
    expect(await server.line()).toBe('answered');
    expect(await asked.line()).toBe('got it');
  });

  it('loopback, is never decided', async () => {
    const server = actor(LISTEN('127.0.0.1', 9999), 'svc');
    expect(await server.line()).toBe('ready');
    expect(await said(CONNECT('127.0.0.1', 9999), 'svc')).toBe('ok');
    const event = await eventually((each) => each.kind === EventKind.EVENT_KIND_NEW);
    expect(event.reason).toBe(Reason.REASON_LOOPBACK);
  });

  it('in test mode, connects and is reported as would be blocked', async () => {
    endpoint('svc', 2, 0, { modeIn: Mode.MODE_TEST, modeOut: Mode.MODE_TEST });
    const server = actor(LISTEN(ADDRESS.far, 444), undefined, FAR);
    expect(await server.line()).toBe('ready');
    expect(await said(CONNECT(ADDRESS.far, 444), 'svc')).toBe('ok');
    const event = await eventually((each) => each.kind === EventKind.EVENT_KIND_NEW);
    expect([event.verdict, event.remotePort]).toEqual([Verdict.VERDICT_WOULD_BLOCK, 444]);
  });
});

describe('the endpoint of a socket', () => {
  it.each([
    ['svc/inner', 2],
    ['svc', 2],
    ['', 1],
  ])('in cgroup "%s", is that of the innermost cgroup known: %d', async (cgroup, number) => {
    // The root of the tree keeps processes only while it controls nothing, as in every hybrid setup.
    await said(CONNECT(ADDRESS.far, 444), cgroup);
    const event = await eventually((each) => each.remotePort === 444);
    expect(event.endpoint).toBe(number);
  });

  it("in a container's cgroup, is none: it passes and is counted", async () => {
    const server = actor(LISTEN(ADDRESS.far, 444), undefined, FAR);
    expect(await server.line()).toBe('ready');
    expect(await said(CONNECT(ADDRESS.far, 444), 'skip')).toBe('ok');
    expect(await kernel.events()).toEqual([]);
    expect(kernel.counter(Verdict.VERDICT_ALLOWED, Reason.REASON_NO_ENDPOINT, 2).packets).toBeGreaterThan(0n);
  });

  it('in another namespace, is none', async () => {
    const server = actor(LISTEN(ADDRESS.near, 444), 'skip');
    expect(await server.line()).toBe('ready');
    expect(await said(CONNECT(ADDRESS.near, 444), 'svc', FAR)).toBe('ok');
    expect(await kernel.events()).toEqual([]);
  });

  it('follows a change of endpoints at the next generation', async () => {
    endpoint('svc/inner', 5);
    await said(CONNECT(ADDRESS.far, 444), 'svc/inner');
    expect((await eventually((each) => each.remotePort === 444)).endpoint).toBe(5);
    kernel.map('rf_endpoints').delete(Buffer.concat([cgroupBytes('svc/inner'), Buffer.from([2, 0, 0, 0, 0, 0, 0, 0])]));
    kernel.bump();
    await said(CONNECT(ADDRESS.far, 445), 'svc/inner');
    expect((await eventually((each) => each.remotePort === 445)).endpoint).toBe(2);
  });
});

describe('rf_iter_files', () => {
  it('a socket that was open before, gets its owner', async () => {
    links.pop()?.close();
    try {
      const server = actor(LISTEN('0.0.0.0', 80), 'svc');
      expect(await server.line()).toBe('ready');
      expect(kernel.program('rf_iter_files').iterate().length).toBe(0);
      expect(await said(CONNECT(ADDRESS.near, 80), undefined, FAR)).toBe('ok');
      const event = await eventually((each) => each.kind === EventKind.EVENT_KIND_NEW);
      expect(event.pid).toBe(server.pid);
    } finally {
      links.push(BpfLink.attachCgroup(kernel.program('rf_sock_create'), ROOT, PROGRAMS.rf_sock_create.attachType));
    }
  });
});

function cgroupBytes(cgroup: string): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(cgroupId(join(ROOT, cgroup)));
  return bytes;
}
