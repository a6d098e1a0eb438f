// The command against the controller itself, as its own process: what both sides understand by the same messages.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestTerminal } from './testing/terminal.js';
import { uploadFlow } from './testing/upload-flow.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const main = fileURLToPath(new URL('../../controller/dist/main.js', import.meta.url));
let folder: string;
let context: string;
let controller: ChildProcess;
let addresses: { sync: string; admin: string; enroll: string };

beforeAll(async () => {
  await stat(main).catch(() => {
    throw new Error(`found no ${main}, wanted a built controller (next: make build)`);
  });
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-real-'));
  const ready = join(folder, 'ready.json');
  const listen = ['sync', 'admin', 'enroll'].flatMap((port) => [`--listen-${port}`, '127.0.0.1:0']);
  controller = spawn(process.execPath, [main, '--state-dir', join(folder, 'state'), ...listen, '--ready-file', ready], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  controller.stderr?.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  let text: string | undefined;
  for (const end = Date.now() + 20_000; text === undefined && Date.now() < end && controller.exitCode === null; ) {
    text = await readFile(ready, 'utf8').catch(() => undefined);
    if (text === undefined) await sleep(20);
  }
  if (text === undefined) throw new Error(`the controller did not start: ${log}`);
  addresses = JSON.parse(text) as typeof addresses;
  context = join(folder, 'state/operator/context.json');
});

afterAll(async () => {
  if (controller.exitCode === null) {
    controller.kill('SIGTERM');
    await once(controller, 'exit');
  }
  await rm(folder, { recursive: true });
});

/** Runs one command line to its exit code, which must be the wanted one; gives the terminal. */
async function ringfence(wanted: number, ...args: string[]): Promise<TestTerminal> {
  const terminal = new TestTerminal({ env: { RINGFENCE_CONTEXT: context } });
  const exit = await terminal.run(...args);
  expect(exit, `${args.join(' ')}\n${terminal.stdout.text}${terminal.stderr.text}`).toBe(wanted);
  return terminal;
}

/** The JSON document that a command prints. */
async function json<T>(...args: string[]): Promise<T> {
  return JSON.parse((await ringfence(0, ...args, '-o', 'json')).stdout.text) as T;
}

test('a fresh controller: status, doctor and every list answer', async () => {
  expect(await json('status')).toMatchObject({ policyVersion: 0, hosts: { total: 0 } });
  expect((await ringfence(0, 'doctor', '--remote')).stdout.text).toContain('Nothing failed.');
  for (const list of ['host', 'workload', 'identity', 'dimension', 'nat', 'flows']) await ringfence(0, list, 'list');
  await ringfence(0, 'host', 'token', 'list');
});

test('workloads: create, select, label with an expected version, delete', async () => {
  await ringfence(0, 'workload', 'create', 'web', '--id', 'w-1', '-a', '10.0.0.1', '-l', 'role=web', '-l', 'env=prod');
  await ringfence(0, 'workload', 'create', 'db', '--id', 'w-2', '-a', '2001:db8::2', '-l', 'role=db');
  await ringfence(6, 'workload', 'create', 'other', '--id', 'w-1', '-a', '10.0.0.3');
  const ids = async (selector: string) =>
    (await json<{ workloads: { id: string }[] }>('workload', 'list', '-l', selector)).workloads.map(({ id }) => id);
  expect(await ids('role=web|db')).toEqual(['w-1', 'w-2']);
  expect(await ids('role=web|db,!env')).toEqual(['w-2']);
  const { version } = await json<{ version: number }>('workload', 'show', 'db');
  await ringfence(0, 'workload', 'label', 'db', 'env=prod', '--expected-version', String(version));
  await ringfence(6, 'workload', 'label', 'db', 'env=test', '--expected-version', String(version));
  await ringfence(4, 'workload', 'show', 'nobody');
  expect(await json('workload', 'show', 'w-2')).toMatchObject({
    kind: 'unmanaged',
    labels: { role: 'db', env: 'prod' },
    addresses: [{ address: '2001:db8::2', space: '' }],
  });
});

test('spaces: refused with a place, applied, listed, shown, and the path drawn, as text and JSON', async () => {
  const file = join(folder, 'spaces.yaml');
  await writeFile(file, 'spaces:\n  - { name: site, source: [{ nat64: {} }] }\n');
  const refused = await ringfence(1, 'space', 'apply', '-f', file, '-o', 'json');
  expect(JSON.parse(refused.stdout.text)).toMatchObject({
    accepted: false,
    problems: [{ code: 'RF_SPACE_NAT64', place: expect.stringMatching(/spaces\.yaml:2:\d+/) }],
  });
  const content = 'spaces:\n  - { name: site, gateway: gw, source: [{ address: 198.51.100.1 }] }\n';
  await writeFile(file, content);
  expect(await json('space', 'apply', '-f', file)).toMatchObject({ accepted: true, changed: true, spaces: 1 });
  await ringfence(0, 'workload', 'create', 'inside', '--id', 'w-in', '-a', '10.1.0.5@site', '-l', 'role=web');
  expect(await json('space', 'show', 'site')).toMatchObject({
    origin: 'declaration',
    gateway: 'gw',
    sources: ['behind 198.51.100.1'],
    workloads: 1,
  });
  const { spaces } = await json<{ spaces: { name: string }[] }>('space', 'list');
  expect(spaces.map(({ name }) => name)).toEqual(['', 'site']);
  expect((await ringfence(0, 'space', 'list')).stdout.text).toMatch(
    /site +world +declaration +1 +behind 198\.51\.100\.1/,
  );
  expect(await json('space', 'path', 'w-in', 'w-1')).toMatchObject({
    reachable: true,
    hops: [
      { space: 'site', address: '10.1.0.5' },
      { space: '', address: '198.51.100.1' },
    ],
    destinationAddress: '10.0.0.1',
  });
  const drawn = (await ringfence(0, 'space', 'path', 'w-in', 'w-1')).stdout.text;
  expect(drawn).toMatch(/10\.1\.0\.5 +in site\s+│ source translation of space site[^\n]*\s+198\.51\.100\.1 +in world/);
  await ringfence(1, 'space', 'path', 'w-1', 'w-in');
  await ringfence(0, 'workload', 'delete', 'w-in');
});

test('policy: check, apply, explain, draft, diff, provision, rollback, export and apply again', async () => {
  const policy = join(folder, 'policy');
  await mkdir(policy);
  const text = 'rules:\n  - id: web-to-db\n    service: tcp/5432\n    providedBy: role=db\n    usedBy: role=web\n';
  await writeFile(join(policy, 'main.yaml'), text);
  await ringfence(0, 'policy', 'check', '-f', policy);
  await ringfence(0, 'policy', 'apply', '-f', policy, '--note', 'first', '--wait', '5s');
  expect(await json('policy', 'apply', '-f', policy)).toMatchObject({ accepted: true, changed: false, version: 1 });

  await writeFile(join(policy, 'main.yaml'), text.replace('tcp/5432', 'tcp/70000'));
  const refused = await ringfence(1, 'policy', 'apply', '-f', policy);
  expect(refused.stderr.text).toMatch(/main\.yaml:3:14: error: .*\n 3 \| {5}service: tcp\/70000\n {3}\| {14}\^{9}\n/);
  expect(await json('status')).toMatchObject({ policyVersion: 1, draftDiffers: false });

  await ringfence(0, 'explain', 'role=web', 'role=db', 'tcp/5432', '--expect', 'allowed');
  await ringfence(0, 'explain', 'role=web', 'role=db', '22/tcp', '--expect', 'blocked');
  await ringfence(4, 'explain', 'nobody', 'role=db', '22/tcp');

  await writeFile(join(policy, 'main.yaml'), text.replace('tcp/5432', 'tcp/5433'));
  await ringfence(0, 'policy', 'apply', '-f', policy, '--draft');
  expect((await ringfence(0, 'policy', 'diff')).stdout.text).toContain('+ allow tcp/5433');
  await ringfence(0, 'explain', 'role=web', 'role=db', 'tcp/5433', '--draft', '--expect', 'allowed');
  await ringfence(6, 'policy', 'provision', '--expected-version', '9');
  await ringfence(0, 'policy', 'provision', '--note', 'second');
  await ringfence(0, 'policy', 'rollback', '1');
  const { versions } = await json<{ versions: { version: number; rollbackOf: number | null }[] }>('policy', 'history');
  expect(versions.map(({ version, rollbackOf }) => [version, rollbackOf])).toEqual([
    [3, 1],
    [2, null],
    [1, null],
  ]);
  const exported = join(folder, 'exported');
  await ringfence(0, 'policy', 'export', exported);
  expect(await readFile(join(exported, 'main.yaml'), 'utf8')).toBe(text);
  expect(await json('policy', 'apply', '-f', exported)).toMatchObject({ changed: false });
  expect((await ringfence(0, 'policy', 'show', 'web-to-db')).stdout.text).toContain('providedBy: role=db');
});

test('policy: confirm windows, canary, lint, simulate, import', async () => {
  const policy = join(folder, 'rollout');
  await mkdir(policy);
  const rules = (port: number) =>
    `rules:\n  - { id: web-to-db, service: tcp/${port}, providedBy: role=db, usedBy: role=web }\n`;
  const apply = async (port: number, ...more: string[]) => {
    await writeFile(join(policy, 'main.yaml'), rules(port));
    return json<{ version: number; rollout: object | null }>('policy', 'apply', '-f', policy, ...more);
  };
  const { version: base } = await apply(1);
  expect(await apply(2, '--confirm-within', '10m')).toMatchObject({
    version: base + 1,
    rollout: { baseVersion: base },
  });
  const refused = await ringfence(6, 'policy', 'provision');
  expect(refused.stderr.text).toMatch(/RF_POLICY_PENDING[\s\S]*policy confirm, promote or return/);
  expect((await ringfence(0, 'status')).stdout.text).toMatch(new RegExp(`version ${base} comes back unless confirmed`));
  await ringfence(0, 'policy', 'confirm', String(base + 1));
  await ringfence(6, 'policy', 'confirm');
  expect(await apply(3, '--canary', 'role=web')).toMatchObject({ rollout: { canary: 'role=web' } });
  expect((await ringfence(0, 'policy', 'history')).stdout.text).toMatch(/canary on role=web/);
  await ringfence(0, 'policy', 'return', '--note', 'enough');
  const { versions } = await json<{ versions: object[] }>('policy', 'history', '--limit', '2');
  expect(versions).toMatchObject([
    { state: 'returned', why: 'taken back by admin: enough' },
    { state: 'in-force', confirmedBy: 'admin' },
  ]);
  expect((await ringfence(0, 'policy', 'diff')).stdout.text).toMatch(/\+ allow tcp\/3 .*[\s\S]*reach/);
  expect(await json('policy', 'simulate', '--since', '1h', '--as-enforced')).toMatchObject({
    connections: 0,
    groups: [],
  });
  expect((await json<{ findings: { kind: string }[] }>('policy', 'lint')).findings).toBeInstanceOf(Array);
  const manifests = join(folder, 'manifests');
  await mkdir(manifests);
  await writeFile(
    join(manifests, 'deny.yaml'),
    'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: deny, namespace: shop }\nspec: { podSelector: {} }\n',
  );
  const imported = await ringfence(0, 'policy', 'import', 'networkpolicy', manifests);
  expect(imported.stdout.text).toContain('netpol/shop/deny');
  await ringfence(0, 'policy', 'discard');
});

test('a host enrols by token, its flows come through tail and list, and it is revoked', async () => {
  const token = join(folder, 'token');
  const stateDir = join(folder, 'agent');
  await ringfence(0, 'host', 'token', '--out', token, '--host-id', 'host-a');
  const enroll = ['enroll', '--controller', addresses.enroll, '--token-file', token, '--state-dir', stateDir];
  await ringfence(0, ...enroll);
  await ringfence(5, ...enroll);
  expect(await json('host', 'show', 'host-a')).toMatchObject({ id: 'host-a', connected: false, revoked: false });

  const tail = new TestTerminal({ env: { RINGFENCE_CONTEXT: context } });
  const done = tail.run('flows', 'tail', '-o', 'json', '--denied', '--dst-workload', 'db', '--since', '1h', '-n', '1');
  await tail.until((out) => out.includes('"synced"'));
  const flow = {
    workloadId: 'host-a/host',
    local: '10.0.0.5',
    remote: '2001:db8::2',
    remotePort: 5432,
    process: 'psql',
  };
  await uploadFlow(stateDir, addresses.sync, flow);
  expect(await done).toBe(0);
  const [, line = ''] = tail.stdout.text.split('\n');
  expect(JSON.parse(line)).toMatchObject({
    type: 'flow',
    verdict: 'blocked',
    reason: 'implicit-deny',
    source: { address: '10.0.0.5', process: 'psql', pid: 312 },
    destination: { workload: 'db', labels: { role: 'db', env: 'prod' }, address: '2001:db8::2' },
    service: 'tcp/5432',
    attempts: 2,
    reporterHostId: 'host-a',
  });
  for (const filter of [
    ['--address', '10.0.0.0/8'],
    ['-l', 'role=db'],
    ['-p', '5000-6000'],
    ['--process', 'psql'],
    ['--rule', 'none'],
    ['--reporter', 'host-a'],
  ]) {
    expect((await json<{ flows: unknown[] }>('flows', 'list', ...filter)).flows, filter.join(' ')).toHaveLength(1);
  }
  for (const filter of [
    ['--address', '192.0.2.0/24'],
    ['-l', 'role=web'],
    ['--verdict', 'allowed'],
    ['--protocol', 'udp'],
    ['--mode', 'test'],
  ]) {
    expect((await json<{ flows: unknown[] }>('flows', 'list', ...filter)).flows, filter.join(' ')).toHaveLength(0);
  }
  await ringfence(2, 'flows', 'list', '--reporter', 'nobody');

  await ringfence(0, 'host', 'revoke', 'host-a', '--yes', '--reason', 'test');
  expect(await json('host', 'show', 'host-a')).toMatchObject({ revoked: true, state: 'revoked' });
  await ringfence(0, 'host', 'remove', 'host-a', '--yes');
  await ringfence(4, 'host', 'show', 'host-a');
});

test('the inventory: match by the policy’s language, groups of one workload, why it has its labels', async () => {
  await ringfence(0, 'workload', 'create', 'cache', '--id', 'inv-1', '-a', '192.0.2.77', '-l', 'app=inventory');
  type Matched = { workloads: { id: string }[]; understood: string; total: number };
  const matched = await json<Matched>('workload', 'match', '{all: [app=inventory, {not: role=web}]}');
  expect([matched.workloads.map(({ id }) => id), matched.understood, matched.total]).toEqual([
    ['inv-1'],
    'app=inventory and not role=web',
    1,
  ]);
  expect((await ringfence(0, 'workload', 'match', 'app=nothing')).stderr.text).toContain(
    'No workloads match: app=nothing.',
  );
  expect((await ringfence(2, 'workload', 'match', 'colour=red')).stderr.text).toContain('wanted a declared dimension');
  expect(await json('workload', 'groups', 'cache')).toMatchObject({ workloadId: 'inv-1', groups: [], modes: [] });
  await ringfence(0, 'workload', 'label', 'cache', 'role=cache');
  const why = await json<{ reasons: object[] }>('workload', 'why', 'inv-1', 'role');
  expect(why).toMatchObject({ reasons: [{ label: 'role=cache', source: 'operator', by: 'admin' }] });
  expect((await ringfence(0, 'workload', 'why', 'inv-1')).stdout.text).toMatch(/role=cache +operator +admin/);
  expect((await ringfence(2, 'workload', 'why', 'inv-1', 'loc')).stderr.text).toContain(
    'wanted one that it has: app, role',
  );
  await ringfence(0, 'workload', 'delete', 'inv-1');
});

test('profiles and hosts say how unpaired containers are treated; a host that is removed is told how to leave', async () => {
  const profile = await json('profile', 'create', 'racks', '--lock', 'role=rack', '--host-unpaired', 'isolate');
  expect(profile).toMatchObject({ hostUnpaired: 'isolate' });
  expect((await ringfence(0, 'profile', 'update', 'racks', '--host-unpaired', 'default')).stdout.text).not.toContain(
    'unpaired containers',
  );
  await ringfence(0, 'profile', 'delete', 'racks', '--yes');
  await ringfence(4, 'host', 'set', 'nobody', '--unpaired', 'isolate');
  await ringfence(2, 'host', 'set', 'nobody');
  await ringfence(2, 'host', 'remove', 'nobody', '--leave', 'burn');
});

test('NAT mappings and workloads of a source are pushed, pruned and listed', async () => {
  const nat = join(folder, 'nat.yaml');
  await writeFile(
    nat,
    'source: gw\nmappings:\n  - { address: 203.0.113.7, port: 443, workload: w-1, workloadPort: 8443 }\n',
  );
  await ringfence(0, 'nat', 'push', nat);
  expect(await json('nat', 'list')).toMatchObject({
    mappings: [{ address: '203.0.113.7', workloadPort: 8443, effective: true }],
  });
  await writeFile(nat, 'source: gw\nmappings: []\n');
  expect(await json('nat', 'push', nat, '--prune')).toMatchObject({ removed: 1 });
});

test('the operator of another controller is refused', async () => {
  const { testAuthority, writeContext } = await import('./testing/certificates.js');
  const stranger = await testAuthority();
  const ca = await readFile(join(folder, 'state/operator/ca.pem'), 'utf8');
  const file = await writeContext(
    join(folder, 'stranger'),
    addresses.admin,
    stranger.ca,
    await stranger.issue('stranger'),
  );
  // Its own authority does not vouch for the controller: this side refuses.
  await ringfence(3, 'status', '--context', file);
  await writeFile(join(folder, 'stranger/ca.pem'), `${stranger.ca}\n${ca}`);
  // Trusting both, it is the controller that refuses.
  const refused = await ringfence(5, 'status', '--context', file);
  expect(refused.stderr.text).toContain('RF_TLS_FOREIGN');
});

test('after the controller stopped: exit code 3', async () => {
  controller.kill('SIGTERM');
  await once(controller, 'exit');
  expect((await ringfence(3, 'status')).stderr.text).toContain('nothing listens there');
});
