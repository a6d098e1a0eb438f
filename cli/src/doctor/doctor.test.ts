import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ListHostsResponse } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Pair, type TestAuthority, testAuthority, writeContext } from '../testing/certificates.js';
import { startFakeController } from '../testing/fake-controller.js';
import { sampleHost, sampleStatus } from '../testing/samples.js';
import { TestTerminal } from '../testing/terminal.js';
import { agentChecks } from './agent.js';
import { runChecks } from './check.js';
import { bpffsFinding, capabilityFinding, cgroupFinding, kernelFinding, nodeFinding } from './machine.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let folder: string;
let authority: TestAuthority;
let operator: Pair;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-doctor-'));
  authority = await testAuthority();
  operator = await authority.issue('operator');
});
afterAll(() => rm(folder, { recursive: true }));

test('every check runs, also after one that throws; that one is a failure with its words', async () => {
  const results = await runChecks([
    { area: 'a', name: 'throws', run: () => Promise.reject(new Error('boom')) },
    { area: 'a', name: 'runs', run: async () => [{ state: 'ok', found: 'yes' }] },
  ]);
  expect(results).toEqual([
    { area: 'a', name: 'throws', state: 'fail', found: 'boom', fix: 'report this as a bug' },
    { area: 'a', name: 'runs', state: 'ok', found: 'yes' },
  ]);
});

describe('findings about the machine', () => {
  test.each([
    ['5.10.0-30', 'fail'],
    ['4.19.0-21-amd64', 'fail'],
    ['5.15.0-100', 'ok'],
    ['6.18.1+deb13-cloud-amd64', 'ok'],
  ])('kernel %s: %s', (release, state) => {
    expect(kernelFinding(release).state).toBe(state);
  });

  test('a kernel before tcx is said to use clsact', () => {
    expect(kernelFinding('6.1.0').found).toContain('clsact');
    expect(kernelFinding('6.6.0').found).not.toContain('clsact');
  });

  test.each([
    ['22.18.0', 'fail'],
    ['22.19.0', 'ok'],
    ['24.0.1', 'ok'],
    ['20.20.2', 'fail'],
  ])('node %s: %s', (version, state) => {
    expect(nodeFinding(version).state).toBe(state);
  });

  test('mounts and capabilities are read from /proc', () => {
    const mounts =
      'proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n';
    expect(cgroupFinding(mounts)).toEqual({ state: 'ok', found: '/sys/fs/cgroup/unified' });
    expect(bpffsFinding(mounts)).toEqual({ state: 'ok', found: '/sys/fs/bpf' });
    expect([cgroupFinding('').state, bpffsFinding('').state]).toEqual(['fail', 'warn']);
    expect(capabilityFinding('Name:\tnode\nCapEff:\t000001ffffffffff\n').state).toBe('ok');
    const lacking = capabilityFinding('CapEff:\t0000000000001000\n');
    expect([lacking.state, lacking.found]).toEqual(['info', expect.stringContaining('CAP_BPF CAP_PERFMON')]);
  });
});

describe('findings about the agent', () => {
  const states = async (stateDir: string) =>
    Object.fromEntries(
      (await runChecks(agentChecks(stateDir, join(stateDir, 'pins'), Date.now()))).map(({ name, state, found }) => [
        name,
        `${state}: ${found}`,
      ]),
    );

  test('a machine without an agent is no failure', async () => {
    for (const text of Object.values(await states(join(folder, 'nothing')))) expect(text).toMatch(/^info: /);
  });

  test('an expired certificate and a key that others can read are failures with a fix', async () => {
    const dir = join(folder, 'agent');
    await mkdir(join(dir, 'pins/v1'), { recursive: true });
    const { cert, key } = await authority.issue('host-a', { fromDays: -5, toDays: -1 });
    await writeFile(join(dir, 'cert.pem'), cert);
    await writeFile(join(dir, 'key.pem'), key, { mode: 0o644 });
    await writeFile(join(dir, 'state.cbor'), 'x');
    const found = await states(dir);
    expect(found.enrolment).toMatch(/^fail: certificate of .*host-a expired 1d/);
    expect(found.key).toMatch(/^fail: .* can be read by others \(mode 644\)/);
    expect(found['kernel state']).toContain('pins: v1');
    await chmod(join(dir, 'key.pem'), 0o600);
    await writeFile(join(dir, 'cert.pem'), (await authority.issue('host-a', { toDays: 1 })).cert);
    const better = await states(dir);
    expect([better.key, better.enrolment]).toEqual([
      expect.stringMatching(/^ok: /),
      expect.stringMatching(/^warn: .* ends in/),
    ]);
  });
});

describe('ringfence doctor', () => {
  test('without a context every remote check fails with its fix, the local ones still run, exit code 1', async () => {
    const terminal = new TestTerminal();
    expect(
      await terminal.run('doctor', '-o', 'json', '--context', join(folder, 'none.json'), '--state-dir', folder),
    ).toBe(1);
    const { checks } = JSON.parse(terminal.stdout.text) as {
      checks: { area: string; check: string; state: string; fix: string | null }[];
    };
    const remote = checks.filter(({ area }) => area === 'context' || area === 'controller');
    expect(remote.map(({ check, state }) => [check, state])).toEqual(
      ['file', 'certificate', 'key', 'network', 'API', 'conditions', 'hosts'].map((name) => [name, 'fail']),
    );
    for (const { fix } of remote) expect(fix).toContain('--context');
    expect(checks.some(({ area }) => area === 'machine')).toBe(true);
  });

  test('with a controller: its conditions and hosts are findings', async () => {
    const server = await authority.issue('controller', { dns: 'ringfence-controller' });
    const condition = { code: 'RF_DISK', severity: 'alarm', title: 'Disk full', text: 'Free some space.' };
    const controller = await startFakeController(authority.ca, server, {
      status: { get: (_call, done) => done(null, sampleStatus({ conditions: [condition] })) },
      hosts: {
        list: (_call, done) =>
          done(
            null,
            ListHostsResponse.fromPartial({ hosts: [sampleHost(), sampleHost({ id: 'b', connected: false })] }),
          ),
      },
    });
    try {
      const file = await writeContext(join(folder, 'context'), controller.address, authority.ca, operator);
      const terminal = new TestTerminal();
      expect(await terminal.run('doctor', '--remote', '--context', file)).toBe(1);
      expect(terminal.stdout.text).toMatch(/^ok +context file/);
      expect(terminal.stdout.text).toMatch(/^ok +controller network .* answers in \d+ ms/m);
      expect(terminal.stdout.text).toMatch(
        /^fail +controller conditions +alarm: Disk full: Free some space. \[RF_DISK\]\n +fix: Free some space\./m,
      );
      expect(terminal.stdout.text).toMatch(/^warn +controller hosts +b is away/m);
      expect(terminal.stdout.text).toContain('1 failed.');
    } finally {
      controller.stop();
    }
  });
});
