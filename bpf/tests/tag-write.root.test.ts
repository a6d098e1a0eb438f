// Tags that the kernel's own TCP writes, read by the programs at a service's socket. Clients are "containers": processes in another
// network namespace, below a cgroup that the cgroup programs pass. The service believes their address to be shared.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { BpfLink, cgroupId, netnsCookie } from '@ringfence/native';
import { Mode, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
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
  NAT,
  NAT_KEY,
  PEER,
  PEER_KEY,
  PeerFlag,
  PORT,
  PORT_KEY,
  PORT_PREFIX,
  PROGRAMS,
  SHARED_KEY,
  TagsFlag,
} from '../ts/index.js';
import { Actor, ADDRESS, CONNECT, FAR, LISTEN, makeBed, NEAR, netnsPath, ROOT, removeBed } from './cgroup-bed.js';
import { TestKernel, u32 } from './kernel.js';
import * as p from './packets.js';
import { clearTags, FLEET_NS, mapped, setKey, setTags, type TagCounts, tagCounts } from './tag-bed.js';

const HOOKS = ['rf_cg_ingress', 'rf_cg_egress', 'rf_connect4', 'rf_connect6', 'rf_sock_create', 'rf_sock_ops'] as const;
const [ALLOWED, FORBIDDEN, SERVICE] = [7, 9, 10];
const BASE = { number: 1, identity: SERVICE, space: 0, setIn: 1, setOut: 0, generation: 1, policyVersion: 1, flags: 0 };
const QUIET = { modeIn: Mode.MODE_ENFORCE, modeOut: Mode.MODE_VISIBILITY };

let kernel: TestKernel;
const links: BpfLink[] = [];
const actors: Actor[] = [];

function endpoint(cgroup: string, more: Partial<typeof BASE>): void {
  kernel.endpoint({ ...BASE, ...QUIET, ...more }, cgroupId(join(ROOT, cgroup)), EndpointKind.CGROUP);
  kernel.bump();
}

/** The container in cgroup skip is this one. */
const container = (identity: number): void => endpoint('skip', { number: 3, identity, flags: EndpointFlag.SKIP });

function peer(text: string, identity: number, flags: number): void {
  kernel.map('rf_peers').update(PEER_KEY.encode({ space: 0, addr: mapped(text) }), PEER.encode({ identity, flags }));
}

function actor(script: string, cgroup: string, netns = FAR): Actor {
  const made = new Actor(script, cgroup, netns);
  actors.push(made);
  return made;
}

async function serve(host: string, port = 80): Promise<void> {
  expect(await actor(LISTEN(host, port), 'svc', NEAR).line()).toBe('ready');
}

async function poll<T>(what: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
    const found = await what();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited in vain; counts ${JSON.stringify(tagCounts(kernel))}`);
}

/** The record of the connection that the service sees on this port. */
const record = (port = 80): Promise<FlowEvent> =>
  poll(async () => (await kernel.events()).find((event) => event.localPort === port && event.endpoint === 2));

const how = ({ verdict, flags, peerIdentity }: FlowEvent): string =>
  `${Verdict[verdict]?.slice(8)} ${flags & EventFlag.TAGGED ? 'tagged' : flags & EventFlag.SHARED ? 'shared' : 'exact'} ${peerIdentity}`;

beforeAll(async () => {
  await makeBed();
  kernel = new TestKernel({ programs: HOOKS, rodata: { rf_netns_cookie: netnsCookie(netnsPath(NEAR)) } });
  const group = GROUP.encode({ group: 1 });
  kernel.map('rf_groups').update(GROUP_KEY.encode({ set: 1, peer: ALLOWED, kind: GroupKind.IDENTITY }), group);
  const port = PORT_KEY.encode({ prefixlen: PORT_PREFIX.protocol, group: 1, proto: p.TCP, port: 0 });
  kernel.map('rf_ports').update(port, PORT.encode({ rule: 31, action: Action.ALLOW, constraints: 0 }));
  for (const [index, identity] of [ALLOWED, FORBIDDEN].entries()) {
    kernel.map('rf_shared').update(SHARED_KEY.encode({ shared: 3, index }), u32(identity));
  }
  for (const name of HOOKS) links.push(BpfLink.attachCgroup(kernel.program(name), ROOT, PROGRAMS[name].attachType));
});
afterAll(async () => {
  for (const link of links) link.close();
  kernel?.close();
  await removeBed();
});
beforeEach(async () => {
  await kernel.reset();
  clearTags(kernel);
  endpoint('', { number: 1, identity: 1, flags: EndpointFlag.HOST });
  endpoint('svc', { number: 2 });
  container(ALLOWED);
  for (const text of [ADDRESS.far, ADDRESS.far6]) peer(text, 3, PeerFlag.SHARED);
  for (const text of [ADDRESS.near, ADDRESS.near6]) peer(text, SERVICE, 0);
  for (const key of kernel.map('rf_nat').keys().length > 0 ? [kernel.map('rf_nat').keys()] : []) {
    kernel.map('rf_nat').deleteBatch(key, { missingOk: true });
  }
  setTags(kernel);
  for (const epoch of [5, 6]) setKey(kernel, epoch);
});
afterEach(() => {
  for (const each of actors.splice(0)) each.kill();
  expect(kernel.failures()).toEqual({});
});

const TARGETS = [
  ['IPv4', '0.0.0.0', ADDRESS.near],
  ['IPv6', '::', ADDRESS.near6],
  ['IPv4 in IPv6', '0.0.0.0', `::ffff:${ADDRESS.near}`],
] as const;

describe.each(TARGETS)('a container calls a service by %s', (_, listen, host) => {
  it('the allowed one, is tagged and let in; later packets carry nothing', async () => {
    await serve(listen);
    expect(await actor(CONNECT(host, 80), 'skip').line()).toBe('ok');
    expect(how(await record())).toBe(`ALLOWED tagged ${ALLOWED}`);
    expect(tagCounts(kernel)).toEqual({ WRITTEN: 1, VALID: 1 });
  });

  it('the forbidden one, is refused, and again with each retransmission', async () => {
    container(FORBIDDEN);
    await serve(listen);
    actor(CONNECT(host, 80), 'skip');
    expect(how(await record())).toBe(`BLOCKED tagged ${FORBIDDEN}`);
    const counts = await poll<TagCounts>(() => {
      const now = tagCounts(kernel);
      return (now.WRITTEN ?? 0) > 1 && now.VALID === now.WRITTEN ? now : undefined;
    });
    expect(Object.keys(counts).sort()).toEqual(['VALID', 'WRITTEN']);
  });
});

describe('a container calls', () => {
  const call = async (cgroup = 'skip', netns = FAR): Promise<string> => {
    await serve('0.0.0.0');
    expect(await actor(CONNECT(ADDRESS.near, 80), cgroup, netns).line()).toBe('ok');
    return how(await record());
  };

  it('from a cgroup inside its own, as the container', async () => {
    expect(await call('skip/inner')).toBe(`ALLOWED tagged ${ALLOWED}`);
  });

  it('a published port, with a tag for the workload behind it', async () => {
    const at = { space: 0, port: 80, proto: p.TCP, addr: mapped(ADDRESS.near) };
    kernel.map('rf_nat').update(NAT_KEY.encode(at), NAT.encode({ identity: SERVICE, port: 80 }));
    expect(await call()).toBe(`ALLOWED tagged ${ALLOWED}`);
    await kernel.reset();
    // Bound to that identity and port: at another workload it is worth nothing.
    kernel.map('rf_nat').update(NAT_KEY.encode(at), NAT.encode({ identity: SERVICE + 1, port: 80 }));
    expect(await actor(CONNECT(ADDRESS.near, 80), 'skip').line()).toBe('ok');
    expect(how(await record())).toBe(`ALLOWED shared ${ALLOWED}`);
    expect(tagCounts(kernel)).toEqual({ WRITTEN: 2, VALID: 1, INVALID: 1 });
  });

  it('when the service answers with SYN cookies, as itself', async () => {
    execFileSync('nsenter', [`--net=${netnsPath(NEAR)}`, 'sysctl', '-qw', 'net.ipv4.tcp_syncookies=2']);
    try {
      expect(await call()).toBe(`ALLOWED tagged ${ALLOWED}`);
    } finally {
      execFileSync('nsenter', [`--net=${netnsPath(NEAR)}`, 'sysctl', '-qw', 'net.ipv4.tcp_syncookies=1']);
    }
  });

  it('after the next epoch began, with its key', async () => {
    setTags(kernel, { nextEpoch: 6, nextFromNs: FLEET_NS - 1n });
    // Only the next one's key is left: what is valid now was written with it.
    kernel.map('rf_tag_keys').delete(u32(1));
    expect(await call()).toBe(`ALLOWED tagged ${ALLOWED}`);
  });

  const noRoute: readonly (readonly [string, () => void, TagCounts])[] = [
    ['an unknown address', () => kernel.map('rf_peers').delete(near), { ABSENT: 1 }],
    ['an address without an agent', () => peer(ADDRESS.near, SERVICE, PeerFlag.UNMANAGED), { ABSENT: 1 }],
    ['its own host', () => peer(ADDRESS.near, SERVICE, PeerFlag.HOST), { ABSENT: 1 }],
    ['without an identity', () => container(0), { ABSENT: 1 }],
    ['with tags read only', () => setTags(kernel, { flags: TagsFlag.VERIFY }), { ABSENT: 1 }],
    ['with tags off', () => clearTags(kernel), {}],
    ['without a key', () => setTags(kernel, { epoch: 7 }), { ABSENT: 1, NO_KEY: 1 }],
  ];
  const near = PEER_KEY.encode({ space: 0, addr: mapped(ADDRESS.near) });

  it.each(noRoute)('%s, untagged, and is seen as shared', async (_, prepare, counts) => {
    prepare();
    expect(await call()).toBe(`ALLOWED shared ${ALLOWED}`);
    expect(tagCounts(kernel)).toEqual(counts);
  });

  it('an unknown address when all are to be tagged, with a tag', async () => {
    kernel.map('rf_peers').delete(near);
    setTags(kernel, { flags: TagsFlag.WRITE | TagsFlag.VERIFY | TagsFlag.ANYWHERE });
    expect(await call()).toBe(`ALLOWED tagged ${ALLOWED}`);
  });

  it('from a foreign namespace without being a container, untagged', async () => {
    endpoint('skip', { number: 3, identity: ALLOWED, flags: 0 });
    expect(await call()).toBe(`ALLOWED shared ${ALLOWED}`);
    expect(tagCounts(kernel)).toEqual({ ABSENT: 1 });
  });
});

describe('a service of the host', () => {
  it('calls out, with its own tag', async () => {
    peer(ADDRESS.far, 20, 0);
    expect(await actor(LISTEN('0.0.0.0', 90), 'skip', FAR).line()).toBe('ready');
    expect(await actor(CONNECT(ADDRESS.far, 90), 'svc', NEAR).line()).toBe('ok');
    expect(tagCounts(kernel)).toEqual({ WRITTEN: 1 });
  });
});
