import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatAddress } from '@ringfence/proto/address.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeEngine } from '../testing/fake-engine.js';
import { ManualTimers, settle } from '../testing/manual-timers.js';
import { systemTimers, type Timers } from '../timers.js';
import { PlaceFinder } from './container-place.js';
import type { ContainerFacts, ContainerRuntime, RuntimeEvents } from './container-runtime.js';
import { DockerRuntime } from './docker-runtime.js';
import type { FoundWorkload } from './found-workload.js';
import { RuntimeSource } from './runtime-source.js';

const directory = mkdtempSync(join(tmpdir(), 'rfag-docker-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Container processes in these tests are this very process: it lives, and has a cgroup. */
const pid = process.pid;
const netnsByPid = new Map<number, number>();
const interfaces: { index: number; name: string; peerIndex: number; peerNetnsId: number }[] = [];

let engine: FakeEngine;
let source: RuntimeSource;
let runtime: DockerRuntime;
let found: readonly FoundWorkload[] | undefined;
let sockets = 0;

function watch(socketPath: string): void {
  const reader = { listInterfaces: () => interfaces, netnsIdOfProcess: (p: number) => netnsByPid.get(p) };
  runtime = new DockerRuntime({ socketPath, timers: systemTimers });
  source = new RuntimeSource({
    runtime,
    places: new PlaceFinder(reader, '/sys/fs/cgroup', '/sys/fs/cgroup'),
    pollMs: 60_000,
    pairingKeys: { label: 'ringfence.pairing-key' },
    timers: systemTimers,
    random: () => 0,
  });
  source.start((now) => {
    found = now;
  });
}

const seen = <T>(probe: () => T) => vi.waitFor(probe, { timeout: 10_000, interval: 10 });
const names = () => found?.map((f) => f.inventory.name).sort();
const addresses = (name: string) =>
  found
    ?.find((f) => f.inventory.name === name)
    ?.inventory.addresses.map((a) => `${formatAddress(a.ip)}${a.space && ` ${a.space}`}`);

beforeEach(async () => {
  found = undefined;
  netnsByPid.clear();
  interfaces.length = 0;
  engine = await FakeEngine.listen(join(directory, `${++sockets}.sock`));
});
afterEach(async () => {
  await source.stop();
  await engine.close();
});

describe('RuntimeSource of Docker', () => {
  it('finds a container with its addresses, ports, metadata, and the host end of its veth', async () => {
    netnsByPid.set(pid, 4);
    interfaces.push(
      { index: 2, name: 'eth0', peerIndex: 0, peerNetnsId: -1 },
      { index: 9, name: 'veth1', peerIndex: 8, peerNetnsId: 4 },
      { index: 11, name: 'veth2', peerIndex: 8, peerNetnsId: 5 },
    );
    engine.containers = [
      {
        id: 'c1',
        name: 'web',
        pid,
        image: 'nginx:1',
        labels: { app: 'shop', 'ringfence.pairing-key': 'rfk1.secret', long: 'x'.repeat(600) },
        networks: { bridge: { ip: '172.17.0.2', ip6: 'fd00::2' } },
        ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }], '53/udp': null },
      },
    ];
    watch(engine.socketPath);
    await seen(() => expect(names()).toEqual(['web']));
    const [web] = found ?? [];
    expect(web?.inventory).toMatchObject({
      localId: 'container:c1',
      kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
      image: 'nginx:1',
      metadata: { app: 'shop' },
      pairingKey: 'rfk1.secret',
      source: `docker:${engine.socketPath}`,
      published: [{ protocol: 6, hostPort: 8080, port: 80 }],
    });
    expect(web?.inventory.metadata).toEqual({ app: 'shop' });
    // Masqueraded IPv4 is this host's alone; an Engine this old routes IPv6.
    expect(addresses('web')).toEqual(['172.17.0.2 local:bridge', 'fd00::2']);
    expect(web?.local).toMatchObject({ interfaces: [{ name: 'veth1', ifindex: 9 }], netns: `/proc/${pid}/ns/net` });
    expect(source.problem).toBeUndefined();
    expect(runtime.spaceOf('docker0', 4)).toBe('local:bridge');
    expect(runtime.spaceOf('eth0', 4)).toBeUndefined();
  });

  it('knows routed networks, several networks, host network and shared network', async () => {
    engine.networks.push({
      Name: 'routed',
      Id: 'r'.repeat(64),
      Driver: 'bridge',
      Options: { 'com.docker.network.bridge.enable_ip_masquerade': 'false' },
    });
    engine.networks.push({ Name: 'lan', Id: 'm'.repeat(64), Driver: 'macvlan', Options: {} });
    engine.containers = [
      { id: 'a', name: 'two', pid, networks: { routed: { ip: '10.1.0.2' }, bridge: { ip: '172.17.0.3' } } },
      { id: 'b', name: 'lan', pid, networks: { lan: { ip: '192.168.7.5' } } },
      { id: 'c', name: 'onhost', pid, mode: 'host', networks: { host: {} } },
      { id: 'd', name: 'sidecar', pid, mode: 'container:a' },
    ];
    watch(engine.socketPath);
    await seen(() => expect(names()).toEqual(['lan', 'onhost', 'two']));
    expect(addresses('two')).toEqual(['172.17.0.3 local:bridge', '10.1.0.2']);
    expect(addresses('lan')).toEqual(['192.168.7.5']);
    const onHost = found?.find((f) => f.inventory.name === 'onhost');
    expect(onHost?.inventory).toMatchObject({ kind: WorkloadKind.WORKLOAD_KIND_CGROUP, addresses: [] });
    expect(onHost?.local.cgroup?.id).toBeTypeOf('bigint');
    expect(onHost?.local).toMatchObject({ interfaces: [], netns: undefined });
  });

  it('follows start, pause, rename, network changes and death by events, and asks anew only about what changed', async () => {
    engine.containers = [{ id: 'a', name: 'one', pid, networks: { bridge: { ip: '172.17.0.2' } } }];
    watch(engine.socketPath);
    await seen(() => expect(names()).toEqual(['one']));
    engine.containers.push({ id: 'b', name: 'two', pid });
    engine.event('container', 'start');
    await seen(() => expect(names()).toEqual(['one', 'two']));
    const first = engine.containers[0];
    if (first) first.networks = { bridge: { ip: '172.17.0.9' } };
    engine.event('network', 'connect');
    await seen(() => expect(addresses('one')).toEqual(['172.17.0.9 local:bridge']));
    engine.containers = engine.containers.map((c) => (c.id === 'b' ? { ...c, state: 'paused' } : c));
    engine.event('container', 'pause');
    await seen(() => expect(engine.asked.filter((url) => url.endsWith('/containers/b/json'))).toHaveLength(2));
    expect(names()).toEqual(['one', 'two']);
    engine.containers = engine.containers.filter((c) => c.id === 'b');
    engine.event('container', 'die');
    await seen(() => expect(names()).toEqual(['two']));
    expect(engine.asked.filter((url) => url.endsWith('/containers/a/json'))).toHaveLength(2);
  });

  it('keeps what it knew while the Engine is away, says so, and catches up when it is back', async () => {
    engine.containers = [{ id: 'a', name: 'one', pid }];
    watch(engine.socketPath);
    await seen(() => expect(names()).toEqual(['one']));
    await engine.close();
    await seen(() => expect(source.problem).toMatch(/Cannot watch Docker at .*, wanted an answering Engine/));
    expect(names()).toEqual(['one']);
    engine = await FakeEngine.listen(engine.socketPath);
    engine.containers = [{ id: 'n', name: 'new', pid }];
    await seen(() => expect(names()).toEqual(['new']));
    expect(source.problem).toBeUndefined();
    expect(engine.streams).toBe(1);
  });

  it('waits for an Engine that is not there yet', async () => {
    const late = join(directory, 'late.sock');
    watch(late);
    await seen(() => expect(source.problem).toMatch(/ENOENT/));
    await engine.close();
    engine = await FakeEngine.listen(late);
    await seen(() => expect(names()).toEqual([]));
  });
});

/** A runtime of another make: what RuntimeSource needs of one, and nothing else. */
class OtherRuntime implements ContainerRuntime {
  readonly name = 'other:here';
  readonly title = 'Other at here';
  readonly version = '1';
  containers: ContainerFacts[] = [];
  readonly forgotten: string[] = [];
  away = false;
  /** Lists that are refused from now on. */
  refusals = 0;
  /** Streams of events that nobody closed. */
  watches = 0;
  /** What a connection waits for before it is there. */
  ready: Promise<void> = Promise.resolve();
  events: RuntimeEvents | undefined;

  async watch(events: RuntimeEvents) {
    if (this.away) throw new Error('nobody is there');
    await this.ready;
    this.events = events;
    this.watches += 1;
    return {
      close: () => {
        this.watches -= 1;
      },
    };
  }
  async list() {
    if (this.refusals > 0) {
      this.refusals -= 1;
      throw new Error('busy');
    }
    return this.containers;
  }
  forget(ids: ReadonlySet<string>): void {
    this.forgotten.push(...ids);
  }
  spaceOf() {
    return undefined;
  }
}

describe('RuntimeSource of any runtime', () => {
  const facts = (id: string, more: Partial<ContainerFacts> = {}): ContainerFacts => ({
    ...{ id, name: id, image: 'image', pid, labels: {}, env: [], network: 'own', addresses: [], published: [] },
    ...more,
  });
  let other: OtherRuntime;

  function follow(prepare: (runtime: OtherRuntime) => void = () => {}, timers: Timers = systemTimers): void {
    other = new OtherRuntime();
    prepare(other);
    const reader = { listInterfaces: () => [], netnsIdOfProcess: () => undefined };
    source = new RuntimeSource({
      runtime: other,
      places: new PlaceFinder(reader, '/sys/fs/cgroup', '/sys/fs/cgroup'),
      pollMs: 60_000,
      pairingKeys: { label: 'key', keyEnv: 'KEY' },
      timers,
      random: () => 0,
    });
    other.containers = [facts('a', { labels: { key: 'k1', team: 'x' } }), facts('s', { network: 'shared' })];
    source.start((now) => {
      found = now;
    });
  }

  it('makes workloads of what it tells, with the key apart, and follows its events', async () => {
    follow();
    await seen(() => expect(names()).toEqual(['a']));
    expect(found?.[0]?.inventory).toMatchObject({
      ...{ localId: 'container:a', source: 'other:here', pairingKey: 'k1', metadata: { team: 'x' } },
    });
    other.containers = [facts('b', { env: ['KEY=k2'] })];
    other.events?.onChange();
    await seen(() => expect(found?.map(({ inventory }) => inventory.pairingKey)).toEqual(['k2']));
  });

  it('looks again at the containers that it is asked about: what the runtime remembers of them is forgotten', async () => {
    follow();
    await seen(() => expect(names()).toEqual(['a']));
    other.containers = [facts('a', { labels: { key: 'put-right' } })];
    await source.lookAgain(new Set(['container:a', 'cgroup:x']));
    expect(other.forgotten).toEqual(['a']);
    expect(found?.[0]?.inventory.pairingKey).toBe('put-right');
  });

  it('whose events end: what was known stands, it says so, and is watched again', async () => {
    follow();
    await seen(() => expect(names()).toEqual(['a']));
    const before = other.events;
    before?.onEnd(new Error('gone'));
    expect(source.problem).toMatch(/Cannot watch Other at here: gone/);
    expect(names()).toEqual(['a']);
    await seen(() => expect(other.events).not.toBe(before));
    await seen(() => expect(source.problem).toBeUndefined());
    // What the former connection still tells is not listened to.
    before?.onEnd(new Error('late'));
    expect(source.problem).toBeUndefined();
  });

  it('that refuses the first look is watched again: what happens later is seen', async () => {
    const timers = new ManualTimers();
    follow((runtime) => {
      runtime.refusals = 1;
    }, timers);
    await settle();
    expect(source.problem).toMatch(/Cannot watch Other at here: busy/);
    await timers.advance(90_000);
    expect(names()).toEqual(['a']);
    other.containers = [facts('late')];
    await timers.advance(90_000);
    expect(names()).toEqual(['late']);
    other.containers = [facts('told')];
    other.events?.onChange();
    await timers.advance(100);
    expect(names()).toEqual(['told']);
    expect(other.watches).toBe(1);
  });

  it('that refuses a look while a connection is still being made keeps one stream of events, not two', async () => {
    const timers = new ManualTimers();
    let letIn = () => {};
    follow((runtime) => {
      runtime.refusals = 1;
      runtime.ready = new Promise((resolve) => {
        letIn = resolve;
      });
    }, timers);
    await source.lookAgain(new Set(['container:a']));
    await timers.advance(1000);
    letIn();
    await timers.advance(1000);
    expect(other.watches).toBe(1);
    expect(names()).toEqual(['a']);
  });
});
