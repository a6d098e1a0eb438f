// The agent's process with a real Docker Engine: discovery, enforcement at the container's interface, and every change of one.
import { type ChildProcess, spawn } from 'node:child_process';
import { formatAddress } from '@ringfence/proto/address.js';
import type { LocalWorkload } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { Mode, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { policySet, policySetToWire } from '@ringfence/proto/policy-set.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { AgentRig } from './testing/agent-rig.js';
import { DockerRig } from './testing/docker-rig.js';
import { FakeController } from './testing/fake-controller.js';
import { makeAuthority } from './testing/test-authority.js';

const waitFor = <T>(probe: () => T) => vi.waitFor(probe, { timeout: 20_000, interval: 50 });
const PORT = 8099;

let rig: AgentRig;
let engine: DockerRig;
let controller: FakeController;
let server: ChildProcess | undefined;
let revision = 0n;

beforeAll(async () => {
  rig = new AgentRig(3);
  engine = new DockerRig(rig, 3);
  controller = new FakeController(await makeAuthority('ca'));
  const port = await controller.start(rig.outside);
  await rig.enrol(controller.authority, `${rig.outside}:${port}`);
  rig.configure({ dockerSockets: [engine.socket] });
  await vi.waitFor(() => engine.ready(), { timeout: 60_000, interval: 200 });
  engine.importImage();
  // An echo server of the host, which containers reach through their interfaces at the bridge's address.
  const script = `require('net').createServer((s) => s.on('error', () => {}).pipe(s)).listen(${PORT})`;
  server = spawn('nsenter', [`--net=${rig.netns}`, process.execPath, '-e', script]);
});
afterAll(async () => {
  server?.kill();
  await rig.stop('SIGKILL');
  await engine.close();
  controller.stop();
  await rig.close();
});

/** The workload as the controller knows it by now. */
function known(name: string): LocalWorkload | undefined {
  const all = new Map<string, LocalWorkload>();
  for (const inventory of controller.inventories) {
    if (inventory.full) all.clear();
    for (const workload of inventory.workloads) all.set(workload.localId, workload);
    for (const id of inventory.removed) all.delete(id);
  }
  return [...all.values()].find((w) => w.name === name);
}

const start = (name: string, ...more: string[]) =>
  engine.docker('run', '-d', '--name', name, ...more, 'rfag', '/bin/busybox', 'sleep', '100000');

/** 'ok' or 'refused': one TCP connect from inside the container. */
function connect(name: string, address = '172.31.3.1'): string {
  try {
    engine.docker('exec', name, '/bin/busybox', 'nc', '-w', '3', address, String(PORT), '-e', '/bin/busybox', 'true');
    return 'ok';
  } catch {
    return 'refused';
  }
}

/** Says that these workloads, and no others, are cut off in both directions. */
async function enforce(...localIds: string[]): Promise<void> {
  const set = policySetToWire(policySet([{ anyone: true, identities: [], classes: [], ports: [] }]));
  revision += 1n;
  controller.send({
    revision,
    full: true,
    policyVersion: Number(revision),
    sets: [set],
    assignments: localIds.map((localId, i) => ({
      localId,
      workloadId: `w-${i}`,
      identity: 20 + i,
      modeIn: Mode.MODE_ENFORCE,
      modeOut: Mode.MODE_ENFORCE,
      setIn: set.hash,
      setOut: set.hash,
      isolated: false,
      space: 'local:bridge',
      reject: true,
      labels: [],
    })),
  });
  await waitFor(() => expect(controller.acks.at(-1)).toBe(Number(revision)));
}

const status = (localId: string) => controller.status?.workloads.find((w) => w.localId === localId);
const addresses = (name: string) => known(name)?.addresses.map((a) => `${formatAddress(a.ip)} ${a.space}`);

describe('the agent with Docker', () => {
  it('finds a container by its event, with address, metadata and host interface, and enforces at it', async () => {
    rig.start();
    await waitFor(() => expect(controller.inventories.length, rig.output).toBeGreaterThan(0));
    const id = start('shop', '--label', 'app=shop', '-p', '8080:80');
    await waitFor(() =>
      expect(known('shop'), rig.output).toMatchObject({ localId: `container:${id}`, metadata: { app: 'shop' } }),
    );
    expect(addresses('shop')).toEqual(['172.31.3.2 local:bridge']);
    expect(known('shop')).toMatchObject({
      kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
      image: 'rfag',
      source: `docker:${engine.socket}`,
      published: [{ protocol: 6, hostPort: 8080, port: 80 }],
      cgroupPath: `docker/${id}`,
    });
    // The host's own address on the bridge belongs to the bridge's space.
    await waitFor(() => expect(addresses(rig.name)).toContain('172.31.3.1 local:bridge'));
    expect(addresses(rig.name)).toContain(`${rig.inside} `);
    await waitFor(() =>
      expect(status(`container:${id}`)?.attachments.join()).toMatch(
        /ingress veth.*egress veth|egress veth.*ingress veth/,
      ),
    );
    expect(connect('shop')).toBe('ok');
    await enforce(`container:${id}`);
    expect(connect('shop')).toBe('refused');
    await waitFor(() => expect(status(`container:${id}`)).toMatchObject({ inForce: true, modeOut: Mode.MODE_ENFORCE }));
  });

  it('keeps enforcing on a restarted container, whose interface is another', async () => {
    const id = known('shop')?.localId ?? '';
    const before = status(id)?.attachments.join();
    engine.docker('restart', '-t', '0', 'shop');
    await waitFor(() => {
      expect(status(id)?.inForce).toBe(true);
      expect(status(id)?.attachments.join()).not.toBe(before);
    });
    expect(connect('shop')).toBe('refused');
  });

  it('enforces at every network of a container, as they come', async () => {
    const id = known('shop')?.localId ?? '';
    engine.docker('network', 'create', '--subnet', '172.31.103.0/24', 'second');
    engine.docker('network', 'connect', 'second', 'shop');
    await waitFor(() =>
      expect(addresses('shop')?.sort()).toEqual(['172.31.103.2 local:second', '172.31.3.2 local:bridge']),
    );
    await waitFor(() => expect(status(id)?.attachments).toHaveLength(4));
    expect(connect('shop', '172.31.103.1')).toBe('refused');
    await enforce();
    expect(connect('shop', '172.31.103.1')).toBe('ok');
  });

  it('treats a container on the host network as a workload of its cgroup', async () => {
    start('onhost', '--network', 'host');
    await waitFor(() => expect(known('onhost')).toMatchObject({ kind: WorkloadKind.WORKLOAD_KIND_CGROUP }));
    // It is reached under the host's addresses, as the host is.
    expect(addresses('onhost')).toEqual(addresses(rig.name));
    // Loopback within the host is never decided by policy, so the way out is the veth's far end: nothing listens there.
    const refusal = () => {
      try {
        engine.docker(
          'exec',
          'onhost',
          '/bin/busybox',
          'nc',
          '-w',
          '3',
          rig.outside,
          String(PORT),
          '-e',
          '/bin/busybox',
          'true',
        );
        return 'ok';
      } catch (error) {
        return String((error as { stderr: Buffer }).stderr);
      }
    };
    expect(refusal()).toMatch(/Connection refused/);
    await enforce(known('onhost')?.localId ?? '');
    expect(refusal()).toMatch(/Operation not permitted/);
  });

  it('reports a paused container as present, and forgets stopped and removed ones', async () => {
    engine.docker('pause', 'shop');
    start('short');
    await waitFor(() => expect(known('short')).toBeDefined());
    expect(known('shop')).toBeDefined();
    engine.docker('unpause', 'shop');
    engine.docker('stop', '-t', '0', 'short');
    await waitFor(() => expect(known('short')).toBeUndefined());
    engine.docker('rm', '-f', 'shop');
    await waitFor(() => expect(known('shop')).toBeUndefined());
    await waitFor(() =>
      expect(controller.status?.workloads.map((w) => w.localId).sort()).toEqual(
        ['cgroup:services/web', 'host', known('onhost')?.localId ?? ''].sort(),
      ),
    );
  });

  it('takes up running containers after kill -9 without losing one', async () => {
    const id = start('again');
    await waitFor(() => expect(known('again')).toBeDefined());
    await enforce(`container:${id}`);
    expect(connect('again')).toBe('refused');
    await rig.stop('SIGKILL');
    expect(connect('again')).toBe('refused');
    const hellos = controller.hellos.length;
    rig.start();
    await waitFor(() => expect(controller.hellos.length).toBeGreaterThan(hellos));
    expect(controller.hellos.at(-1)?.facts?.runtimes.join()).toMatch(/^(docker 20\.|$)/);
    await waitFor(() => expect(status(`container:${id}`)).toMatchObject({ inForce: true }));
    expect(connect('again')).toBe('refused');
  });
});
