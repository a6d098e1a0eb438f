// The agent's process against a real kernel and a scripted controller over mutual TLS.

import { existsSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { Update } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { Mode, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { policySet, policySetToWire } from '@ringfence/proto/policy-set.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { AgentRig } from './testing/agent-rig.js';
import { FakeController } from './testing/fake-controller.js';
import { makeAuthority } from './testing/test-authority.js';

const waitFor = <T>(probe: () => T) => vi.waitFor(probe, { timeout: 60_000, interval: 50 });

let rig: AgentRig;
let controller: FakeController;
let controllerPort: number;
let server: Server;
let serverPort: number;

beforeAll(async () => {
  rig = new AgentRig(1);
  controller = new FakeController(await makeAuthority('ca'));
  controllerPort = await controller.start(rig.outside);
  server = createServer((socket) => socket.on('error', () => {}).pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, rig.outside, resolve));
  serverPort = (server.address() as { port: number }).port;
  await rig.enrol(controller.authority, `${rig.outside}:${controllerPort}`);
  rig.configure();
});
afterAll(async () => {
  controller.stop();
  server.close();
  await rig.close();
});

const nothing = policySet([{ anyone: true, identities: [], classes: [], ports: [] }]);
const everything = policySet([
  {
    anyone: true,
    identities: [],
    classes: [],
    ports: [{ protocol: 256, portLow: 0, portHigh: 65535, rule: 7, allow: true, constraints: 0 }],
  },
]);

/** A full state: the web cgroup may call out by this set, enforced. */
function state(revision: bigint, out: typeof nothing): Parameters<typeof Update.create>[0] {
  const set = policySetToWire(out);
  const assignment = {
    localId: 'cgroup:services/web',
    workloadId: 'workload-web',
    identity: 11,
    modeIn: Mode.MODE_VISIBILITY,
    modeOut: Mode.MODE_ENFORCE,
    setIn: Buffer.alloc(0),
    setOut: set.hash,
    isolated: false,
    space: '',
    reject: true,
    labels: [],
  };
  return { revision, full: true, policyVersion: Number(revision), sets: [set], assignments: [assignment] };
}

const connect = () => rig.connect('services/web', rig.outside, serverPort);

describe('the agent process', () => {
  it('reports its workloads, enforces what it is told, and says so', async () => {
    rig.start();
    await waitFor(() => expect(controller.inventories.length, rig.output).toBeGreaterThan(0));
    const hello = controller.hellos.at(-1);
    expect(hello).toMatchObject({ protocol: 1, epoch: '', revision: 0n });
    expect(hello?.facts?.features).toContain('ringbuf');
    expect(hello?.capacities.map((c) => c.table)).toContain('rf_peers');
    const found = () => controller.inventories.flatMap((i) => i.workloads.map((w) => `${w.localId} ${w.name}`));
    await waitFor(() =>
      expect(found()).toEqual(expect.arrayContaining(['cgroup:services/web web', `host ${rig.name}`])),
    );
    expect(connect()).toBe('ok');
    controller.send(state(1n, nothing));
    await waitFor(() => expect(controller.acks).toEqual([1]));
    expect(connect()).toBe('EPERM');
    controller.send(state(2n, everything));
    await waitFor(() => expect(controller.acks).toEqual([1, 2]));
    expect(connect()).toBe('ok');
    await waitFor(() =>
      expect(controller.status?.workloads.find((w) => w.localId === 'cgroup:services/web')).toMatchObject({
        modeOut: Mode.MODE_ENFORCE,
        inForce: true,
      }),
    );
  });

  it('has given up every capability that it does not need, in every thread, and cannot get more', () => {
    const threads = readdirSync(`/proc/${rig.pid}/task`);
    expect(threads.length).toBeGreaterThan(3);
    for (const thread of threads) {
      const status = readFileSync(`/proc/${rig.pid}/task/${thread}/status`, 'utf8');
      expect(status).toMatch(/CapPrm:\s+000000c000001000\nCapEff:\s+000000c000001000\nCapBnd:\s+000000c000001000/);
      expect(status).toMatch(/NoNewPrivs:\s+1/);
    }
  });

  it('names the workload, the process and the rule in the flow records, allowed and denied', async () => {
    controller.send(state(3n, nothing));
    await waitFor(() => expect(controller.acks.at(-1)).toBe(3));
    expect(connect()).toBe('EPERM');
    const wanted = (verdict: Verdict) =>
      controller.records.find(
        (r) => r.verdict === verdict && r.remotePort === serverPort && r.workload === 'workload-web',
      );
    await waitFor(() => expect(wanted(Verdict.VERDICT_BLOCKED)).toMatchObject({ localIdentity: 11, direction: 2 }));
    await waitFor(() => expect(wanted(Verdict.VERDICT_ALLOWED)).toMatchObject({ rule: 7, servicePort: serverPort }));
    expect(wanted(Verdict.VERDICT_BLOCKED)?.process).toMatch(/node|MainThread/);
    expect(Math.abs((wanted(Verdict.VERDICT_BLOCKED)?.lastSeenUs ?? 0) / 1000 - Date.now())).toBeLessThan(60_000);
  });

  it('refuses content that contradicts itself and keeps what was in force', async () => {
    const broken = state(4n, everything);
    controller.send({ ...broken, sets: [] });
    await waitFor(() => expect(controller.nacks.at(-1)).toMatchObject({ revision: 4, code: 'RF_UPDATE_INVALID' }));
    expect(connect()).toBe('EPERM');
  });

  it('lets no second agent on its pin path, nor detach while it runs', () => {
    expect(rig.main('run')).toMatchObject({ code: 1, output: expect.stringMatching(/RF_LOCKED.*using it/) });
    expect(rig.main('detach')).toMatchObject({ code: 1, output: expect.stringMatching(/RF_LOCKED/) });
  });

  it('stays under 150 MiB', () => {
    expect(rig.residentBytes).toBeLessThan(150 << 20);
    console.log(`agent resident: ${(rig.residentBytes / (1 << 20)).toFixed(0)} MiB`);
  });

  it('leaves the kernel enforcing when killed, adopts it when started, and resumes where it stood', async () => {
    await rig.stop('SIGKILL');
    expect(connect()).toBe('EPERM');
    const before = controller.hellos.length;
    rig.start();
    await waitFor(() => expect(controller.hellos.length, rig.output).toBe(before + 1));
    expect(controller.hellos.at(-1)).toMatchObject({ epoch: 'epoch-1', revision: 3n });
    expect(rig.output).toMatch(/"start":"adopted"/);
    expect(connect()).toBe('EPERM');
  });

  it('keeps flows on disk while the controller is away and delivers each once when it is back', async () => {
    controller.stop();
    const before = controller.records.length;
    await waitFor(() => expect(rig.output).toMatch(/RF_CONTROLLER_AWAY/));
    // The kernel folds refusals of one flow within a second into one event: as many as it takes.
    await waitFor(() => {
      expect(connect()).toBe('EPERM');
      expect(rig.output).toMatch(/RF_SPOOL_IN_USE/);
    });
    await controller.start(rig.outside, controllerPort);
    const attempts = () =>
      controller.records
        .slice(before)
        .filter((r) => r.remotePort === serverPort && r.verdict === Verdict.VERDICT_BLOCKED)
        .reduce((sum, r) => sum + r.attempts, 0);
    await waitFor(() => expect(attempts()).toBeGreaterThanOrEqual(1));
    const numbers = controller.uploads.map((u) => `${u.run.toString('hex')}.${u.sequence}`);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  it('enforces the last good policy after a reboot without a controller, before it has one', async () => {
    controller.stop();
    expect(await rig.stop()).toBe(0);
    rmSync(rig.pinPath, { recursive: true, force: true });
    expect(connect()).toBe('ok'); // nothing is left in the kernel
    rig.start();
    await waitFor(() => expect(rig.output).toMatch(/enforcing from the last good state/));
    expect(rig.output).toMatch(/"start":"fresh","revision":3/);
    await waitFor(() => expect(connect()).toBe('EPERM'));
  });

  it('refuses a truncated state file, keeps the pinned policy, and recovers by a full state', async () => {
    expect(await rig.stop()).toBe(0);
    const file = join(rig.stateDir, 'state.cbor');
    truncateSync(file, readFileSync(file).length - 10);
    rig.start();
    await waitFor(() => expect(rig.output).toMatch(/RF_STATE_CORRUPT.*found \d+ bytes of content, wanted/));
    await waitFor(() => expect(rig.output).toMatch(/"held":true/));
    expect(existsSync(`${file}.refused`)).toBe(true);
    expect(connect()).toBe('EPERM');
    const before = controller.hellos.length;
    await controller.start(rig.outside, controllerPort);
    await waitFor(() => expect(controller.hellos.length).toBeGreaterThan(before));
    expect(controller.hellos.at(-1)).toMatchObject({ epoch: '' });
    await waitFor(() => expect(controller.status?.conditions.map((c) => c.code)).toContain('RF_HELD'));
    controller.send(state(9n, everything));
    await waitFor(() => expect(controller.acks.at(-1)).toBe(9));
    expect(connect()).toBe('ok');
    await waitFor(() => expect(controller.status?.conditions.map((c) => c.code)).not.toContain('RF_HELD'));
  });

  it('takes an unconfirmed rollout back when the controller is lost', async () => {
    controller.send({ ...state(10n, nothing), confirmWithinMs: 500 });
    await waitFor(() => expect(controller.acks.at(-1)).toBe(10));
    expect(connect()).toBe('EPERM');
    controller.stop();
    await waitFor(() => expect(connect()).toBe('ok'));
    await waitFor(() => expect(rig.output).toMatch(/RF_ROLLOUT_RETURNED/));
    await controller.start(rig.outside, controllerPort);
    await waitFor(() => expect(controller.hellos.at(-1)).toMatchObject({ revision: 9n }));
  });

  it('does all of it with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON alone', async () => {
    expect(await rig.stop()).toBe(0);
    expect(rig.main('detach').output).toMatch(/removed everything/);
    expect(connect()).toBe('ok');
    const acks = controller.acks.length;
    const hellos = controller.hellos.length;
    rig.start(['setpriv', '--bounding-set=-all,+bpf,+net_admin,+perfmon', '--inh-caps=-all', '--no-new-privs']);
    await waitFor(() => expect(controller.hellos.length, rig.output).toBeGreaterThan(hellos));
    expect(readFileSync(`/proc/${rig.pid}/status`, 'utf8')).toMatch(/CapEff:\s+000000c000001000/);
    controller.send(state(20n, nothing));
    await waitFor(() => expect(controller.acks.length, rig.output).toBe(acks + 1));
    expect(connect()).toBe('EPERM');
    const denied = () =>
      controller.records.filter((r) => r.policyVersion === 20 && r.verdict === Verdict.VERDICT_BLOCKED);
    await waitFor(() => expect(denied()[0]).toMatchObject({ workload: 'workload-web' }));
    expect(controller.status?.conditions.filter((c) => c.severity === 'alarm')).toEqual([]);
    expect(controller.status?.conditions.map((c) => c.code)).not.toContain('RF_CONNTRACK');
  });

  it('removes everything from the kernel on detach, and on SIGTERM without keepOnExit', async () => {
    expect(await rig.stop()).toBe(0);
    expect(rig.pinned).toBe(true);
    expect(connect()).toBe('EPERM');
    rig.configure({ keepOnExit: false });
    rig.start();
    await waitFor(() => expect(rig.output).toMatch(/enforcing from/));
    expect(await rig.stop()).toBe(0);
    expect(connect()).toBe('ok');
    expect(rig.main('detach').output).toMatch(/nothing is pinned/);
  });

  it('refuses a wrong configuration before it touches anything', () => {
    rig.configure({ ringBytes: 7, nonsense: true });
    const { code, output } = rig.main('run');
    expect(code).toBe(2);
    expect(output).toMatch(/agent\.yaml:\d+:\d+: found unknown key "nonsense", wanted a known key/);
    expect(rig.pinned).toBe(false);
  });
});
