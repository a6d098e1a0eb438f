// Refusals on a real veth: what sockets at both ends see, and that no stack finds a wrong checksum. rfbpf-b is the container, its
// interface's other end in rfbpf-a is where the programs are.
import { execFileSync } from 'node:child_process';
import { BpfLink, interfaceIndex } from '@ringfence/native';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  Action,
  type Endpoint,
  EndpointFlag,
  GROUP,
  GROUP_KEY,
  GroupKind,
  PORT,
  PORT_KEY,
  PORT_PREFIX,
  PROGRAMS,
} from '../ts/index.js';
import { Actor, ADDRESS, CONNECT, FAR, LISTEN, makeBed, NEAR, netnsPath, ROOT, removeBed } from './cgroup-bed.js';
import { TestKernel } from './kernel.js';

const CONTAINER: Endpoint = {
  number: 7,
  identity: 70,
  space: 0,
  setIn: 1,
  setOut: 1,
  generation: 1,
  policyVersion: 1,
  flags: EndpointFlag.REJECT,
  modeIn: Mode.MODE_ENFORCE,
  modeOut: Mode.MODE_ENFORCE,
};

let kernel: TestKernel;
let ifindex = 0n;
const links: BpfLink[] = [];
const actors: Actor[] = [];

const actor = (script: string, netns: string): Actor => {
  const made = new Actor(script, undefined, netns);
  actors.push(made);
  return made;
};
const said = (script: string, netns: string): Promise<string> => actor(script, netns).line();

/** Sends a datagram on a connected socket and says the error that comes back. */
const ASK = (host: string, port: number): string => `
const u = require('node:dgram').createSocket('${host.includes(':') ? 'udp6' : 'udp4'}');
const at = performance.now();
u.on('error', (e) => { console.log(e.code, Math.round(performance.now() - at)); process.exit(); });
u.connect(${port}, '${host}', () => { setInterval(() => u.send('x', (e) => e && u.emit('error', e)), 20); u.send('x'); });`;

/** Connects, says "ok", sends a byte every 10 ms, and says how it ended. */
const TALK = (host: string, port: number): string => `
const s = require('node:net').connect({ host: '${host}', port: ${port} });
s.on('connect', () => { console.log('ok'); setInterval(() => s.write('x'), 10); });
s.on('error', (e) => { console.log(e.code); process.exit(); });`;

/** Listens, says "ready", and how its first connection ended. */
const HEAR = (host: string, port: number): string => `
require('node:net').createServer((c) => { c.resume(); c.on('error', (e) => console.log(e.code)); c.on('end', () => console.log('end')); })
  .listen(${port}, '${host}', () => console.log('ready'));`;

function checksumErrors(): number[] {
  return [NEAR, FAR].flatMap((name) =>
    ['/proc/net/snmp', '/proc/net/snmp6'].map((file) => {
      const text = execFileSync('nsenter', [`--net=${netnsPath(name)}`, 'cat', file], { encoding: 'utf8' });
      const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
      if (file.endsWith('6')) {
        return lines.filter(([key]) => key?.endsWith('CsumErrors')).reduce((sum, [, value]) => sum + Number(value), 0);
      }
      return lines.reduce((sum, fields, i) => {
        const at = fields.indexOf('InCsumErrors');
        return at > 0 ? sum + Number(lines[i + 1]?.[at] ?? 0) : sum;
      }, 0);
    }),
  );
}

beforeAll(async () => {
  await makeBed();
  kernel = new TestKernel({
    programs: ['rf_tc_ingress', 'rf_tc_egress', 'rf_sock_create'],
    rodata: { rf_has_coarse_clock: 0 },
  });
  const { attachType } = PROGRAMS.rf_sock_create;
  links.push(BpfLink.attachCgroup(kernel.program('rf_sock_create'), ROOT, attachType));
  ifindex = BigInt(interfaceIndex('rfbpf0', netnsPath(NEAR)) ?? 0);
  kernel
    .map('rf_groups')
    .update(GROUP_KEY.encode({ set: 1, peer: 0, kind: GroupKind.IDENTITY }), GROUP.encode({ group: 1 }));
  kernel
    .map('rf_ports')
    .update(
      PORT_KEY.encode({ prefixlen: PORT_PREFIX.port(16), group: 1, proto: 6, port: 80 }),
      PORT.encode({ rule: 1, action: Action.ALLOW, constraints: 0 }),
    );
  // Neighbour discovery passes by itself; nothing else is open.
  for (const [name, direction] of [
    ['rf_tc_ingress', 'ingress'],
    ['rf_tc_egress', 'egress'],
  ] as const) {
    const place = { ifindex: Number(ifindex), direction, netns: netnsPath(NEAR) };
    links.push(BpfLink.attachTcx(kernel.program(name), place));
  }
});
afterAll(async () => {
  for (const link of links) link.close();
  kernel?.close();
  await removeBed();
});
beforeEach(async () => {
  await kernel.reset();
  kernel.endpoint(CONTAINER, ifindex);
});
afterEach(() => {
  for (const each of actors.splice(0)) each.kill();
  expect(kernel.failures()).toEqual({});
  expect(checksumErrors()).toEqual([0, 0, 0, 0]);
});

describe('in reject mode', () => {
  it.each([
    ['the container calls out, IPv4', FAR, ADDRESS.near],
    ['the container calls out, IPv6', FAR, ADDRESS.near6],
    ['the container is called, IPv4', NEAR, ADDRESS.far],
    ['the container is called, IPv6', NEAR, ADDRESS.far6],
  ])('%s: a forbidden connect, is refused at once', async (_, netns, host) => {
    const [code, ms] = (await said(CONNECT(host, 81), netns)).split(' ');
    expect(code).toBe('ECONNREFUSED');
    expect(Number(ms)).toBeLessThan(1000);
  });

  it.each([
    ['the container calls out, IPv4', FAR, ADDRESS.near],
    ['the container calls out, IPv6', FAR, ADDRESS.near6],
    ['the container is called, IPv4', NEAR, ADDRESS.far],
    ['the container is called, IPv6', NEAR, ADDRESS.far6],
  ])('%s: a forbidden datagram, is answered as prohibited', async (_, netns, host) => {
    const [code] = (await said(ASK(host, 81), netns)).split(' ');
    expect(['EHOSTUNREACH', 'EACCES']).toContain(code);
  });

  it.each([
    ['opened by the container', FAR, NEAR, ADDRESS.near],
    ['opened to the container', NEAR, FAR, ADDRESS.far],
    ['opened by the container, IPv6', FAR, NEAR, ADDRESS.near6],
  ])('%s: a revoked connection, is reset at both ends; one that stays allowed is not', async (_, from, to, host) => {
    const server = actor(HEAR(host, 80), to);
    expect(await server.line()).toBe('ready');
    const client = actor(TALK(host, 80), from);
    expect(await client.line()).toBe('ok');
    kernel.endpoint({ ...CONTAINER, generation: 2 }, ifindex);
    const [[key] = []] = kernel.flows();
    const before = key && kernel.flow(key);
    // Traffic goes on under the new generation.
    const deadline = Date.now() + 5000;
    while (key && kernel.flow(key)?.generation !== 2 && Date.now() < deadline)
      await new Promise((r) => setTimeout(r, 5));
    expect(key && kernel.flow(key)?.generation).toBe(2);
    expect(before?.verdict).toBe(1);
    kernel.endpoint({ ...CONTAINER, generation: 3, setIn: 0, setOut: 0 }, ifindex);
    expect(await client.line()).toBe('ECONNRESET');
    expect(await server.line()).toBe('ECONNRESET');
  });
});

describe('in silent mode', () => {
  it('a forbidden connect, hears nothing', async () => {
    kernel.endpoint({ ...CONTAINER, flags: 0 }, ifindex);
    const client = actor(CONNECT(ADDRESS.near, 81), FAR);
    const deadline = Date.now() + 5000;
    let events = await kernel.events();
    while (events.length === 0 && Date.now() < deadline) events = await kernel.events();
    expect(events[0]?.remotePort).toBe(81);
    expect(client.child.exitCode).toBe(null);
  });
});

describe('the process behind a container', () => {
  it('that accepts and one that calls, is named once its socket has sent', async () => {
    const server = new Actor(LISTEN(ADDRESS.far, 80), 'svc', FAR);
    actors.push(server);
    expect(await server.line()).toBe('ready');
    expect(await said(CONNECT(ADDRESS.far, 80), NEAR)).toBe('ok');
    // The client is connected before the server has sent anything of its own.
    await expect.poll(() => kernel.flows()[0]?.[1].pid, { timeout: 10_000 }).toBe(server.pid);
    expect(kernel.flows()[0]?.[1].comm).not.toBe('');

    kernel.clearFlows();
    const listener = actor(LISTEN(ADDRESS.near, 80), NEAR);
    expect(await listener.line()).toBe('ready');
    const client = new Actor(CONNECT(ADDRESS.near, 80), 'svc', FAR);
    actors.push(client);
    expect(await client.line()).toBe('ok');
    await expect.poll(() => kernel.flows().map(([, flow]) => flow.pid), { timeout: 10_000 }).toContain(client.pid);
  });
});
