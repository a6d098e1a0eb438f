// Issue 4, must show 1, 2 and 5: pairing against real Docker, two hosts, the system's own processes. alpha cuts off what is not paired
// (unassigned: isolate), beta sees it only.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerOptions } from '../src/docker.js';
import { run as execute } from '../src/exec.js';
import { Fleet, type Member } from '../src/fleet.js';
import { PacketCount } from '../src/packet-count.js';
import { repository } from '../src/paths.js';
import type { Place } from '../src/place.js';
import { until } from '../src/until.js';

const KEY_LABEL = 'ringfence.pairing-key';

interface Shown {
  id: string;
  name: string;
  labels: Record<string, string>;
  labelReasons: { dimension: string; source: string; by: string | null }[];
  isolatedWhy: string | null;
  pairing: { paired: boolean; denial: string | null; keyId: string | null; detail: string | null } | null;
  expectedMode: { inbound: string } | null;
  inForce: boolean;
  present: boolean;
}

interface Key {
  id: string;
  key: string;
}

const policy = `
rules:
  - id: web-to-server
    service: [tcp/80, udp/53, icmp/8]
    providedBy: role=server
    usedBy: { all: [role=web, env=prod] }
`;

const alphaConfig = { unassigned: 'isolate', pairing: { keyEnv: 'RF_KEY', keyFile: '/tmp/rf-key' } };

describe('pairing', () => {
  let fleet: Fleet;
  let alpha: Member;
  let beta: Member;
  let server: Place;
  /** Every secret that this test has seen. */
  const secrets: string[] = [];

  const cli = async <T>(...args: string[]) => JSON.parse(await fleet.controller.cli(['-o', 'json', ...args], {})) as T;

  async function newKey(profile: string): Promise<Key> {
    const made = await cli<Key>('key', 'create', profile);
    secrets.push(made.key);
    return made;
  }

  const run = (member: Member, name: string, key: string | undefined, asked: Record<string, string> = {}) => {
    const requested = Object.entries(asked).map(([dimension, value]) => [`ringfence.label.${dimension}`, value]);
    const labels: NonNullable<ContainerOptions['labels']> = Object.fromEntries(requested);
    if (key !== undefined) labels[KEY_LABEL] = key;
    return member.host.container(name, { labels });
  };

  /** The workload of this name, once the controller has decided on it and its host has what was decided. */
  async function decided(name: string): Promise<Shown> {
    const shown = await until(`${name} to be decided`, async () => {
      const { workloads } = await cli<{ workloads: Shown[] }>('workload', 'list', name);
      return workloads.find((w) => w.name === name && w.present && w.inForce);
    });
    await fleet.converged();
    return shown;
  }

  const reaches = async (from: Place, to = server, port = 80) =>
    (await from.probe('tcp', to.addresses.ip4, port, 1000)).ok;

  beforeAll(async () => {
    fleet = await Fleet.start([
      {
        name: 'alpha',
        containers: ['first'],
        agent: alphaConfig,
      },
      { name: 'beta', containers: ['server'] },
    ]);
    [alpha, beta] = [fleet.member('alpha'), fleet.member('beta')];
    server = fleet.place('server');
    await server.serve('tcp:80', 'tcp:81', 'udp:53');
    await fleet.label('server', { role: 'server' });
    await fleet.provision([{ name: 'pairing.yaml', content: policy }]);
    await fleet.controller.cli([
      ...['profile', 'create', 'web', '--lock', 'env=prod', '--default', 'role=web', '--allow', 'role=web|cache'],
      ...['--allow', 'loc', '--mode', 'enforce'],
    ]);
    await fleet.controller.cli(['profile', 'create', 'strict', '--lock', 'env=prod', '--on-conflict', 'deny']);
  }, 180_000);
  afterAll(() => fleet?.close());

  it('gives default, locked and asked-for labels, and enforces from the profile’s starting mode', async () => {
    const key = await newKey('web');
    const place = await run(alpha, 'c-default', key.key);
    const shown = await decided('c-default');
    expect(shown).toMatchObject({
      labels: { env: 'prod', role: 'web' },
      isolatedWhy: null,
      expectedMode: { inbound: 'enforce' },
    });
    expect(shown.labelReasons).toMatchObject([
      { source: 'pairing', by: `profile web, key ${key.id}` },
      { source: 'pairing' },
    ]);
    expect(await reaches(place)).toBe(true);
    expect(await reaches(place, server, 81)).toBe(false);
    const mixed = await run(alpha, 'c-mixed', key.key, { env: 'dev', role: 'cache', loc: 'fra' });
    expect(await decided('c-mixed')).toMatchObject({ labels: { env: 'prod', role: 'cache', loc: 'fra' } });
    expect(await reaches(mixed)).toBe(false);
    const text = await fleet.controller.cli(['workload', 'show', 'c-mixed']);
    expect(text).toContain('pairing: profile web');
    expect(text).toContain('asked for env=dev, got prod');
  });

  it('finds the key in a variable or file that the agent’s configuration names', async () => {
    const key = await newKey('web');
    const engine = alpha.host.docker;
    const made = await engine.client.createContainer({
      name: 'c-env',
      Image: 'rflab:latest',
      Cmd: ['/bin/sleep', '100000'],
      Env: [`RF_KEY=${key.key}`],
    });
    await made.start();
    expect((await decided('c-env')).pairing).toMatchObject({ paired: true, keyId: key.id });
    const file = alpha.host.file('key-in-container');
    await writeFile(file, `${key.key}\n`, { mode: 0o600 });
    const second = await engine.client.createContainer({
      name: 'c-file',
      Image: 'rflab:latest',
      Cmd: ['/bin/sleep', '100000'],
      HostConfig: { Binds: [`${file}:/tmp/rf-key:ro`] },
    });
    await second.start();
    expect((await decided('c-file')).pairing).toMatchObject({ paired: true, keyId: key.id });
    for (const name of ['c-env', 'c-file']) await engine.remove(name);
    await rm(file);
  });

  it('denies for each reason: cut off, told, in the audit log', async () => {
    const profile = (name: string, ...more: string[]) =>
      fleet.controller.cli(['profile', 'create', name, '--lock', 'env=prod', '--on-conflict', 'deny', ...more]);
    await profile('short', '--lifespan', '1s');
    await profile('once', '--max-uses', '1');
    await profile('elsewhere', '--source', '203.0.113.0/24');
    await profile('picky', '--allow', 'role=web');
    await profile('off');
    const [strict, short, once, elsewhere, picky, off, revoked] = await Promise.all(
      ['strict', 'short', 'once', 'elsewhere', 'picky', 'off', 'strict'].map(newKey),
    );
    await fleet.controller.cli(['profile', 'update', 'off', '--disable']);
    await fleet.controller.cli(['key', 'revoke', revoked?.id ?? '', '--yes']);
    // A key that was issued here and is gone with its profile: well formed, and nobody knows it.
    await profile('gone');
    const foreign = await newKey('gone');
    await fleet.controller.cli(['profile', 'delete', 'gone', '--yes']);
    await run(alpha, 'd-once', once?.key);
    await decided('d-once');
    const expired = Date.now() + 1000;
    await until('the short key to end', async () => Date.now() > expired);
    const cases: [string, string | undefined, Record<string, string>][] = [
      ['malformed', `${strict?.key.slice(0, -1)}u`, {}],
      ['unknown', foreign.key, {}],
      ['revoked', revoked?.key, {}],
      ['expired', short?.key, {}],
      ['exhausted', once?.key, {}],
      ['wrong-source', elsewhere?.key, {}],
      ['dimension-locked', strict?.key, { env: 'dev' }],
      ['value-not-permitted', picky?.key, { role: 'db' }],
      ['profile-disabled', off?.key, {}],
    ];
    for (const [denial, key, asked] of cases) {
      const place = await run(alpha, `d-${denial}`, key, asked);
      const shown = await decided(`d-${denial}`);
      expect(shown, denial).toMatchObject({ labels: {}, pairing: { paired: false, denial } });
      expect(shown.isolatedWhy, denial).toContain(denial);
      expect(await reaches(place), denial).toBe(false);
    }
    const { pairings } = await cli<{ pairings: { workloadName: string; denial: string }[] }>(
      'pairing',
      'list',
      '--denied',
    );
    expect(pairings.filter(({ workloadName }) => workloadName.startsWith('d-')).length).toBe(cases.length);
    const { entries } = await cli<{ entries: object[] }>('audit', 'list', '--action', 'pairing.deny');
    expect(entries.length).toBeGreaterThanOrEqual(cases.length);
    expect(await fleet.controller.cli(['host', 'show', 'alpha'])).toContain('RF_PAIRING_DENIED');
    for (const [denial] of cases) await alpha.host.docker.remove(`d-${denial}`);
    await alpha.host.docker.remove('d-once');
  }, 120_000);

  it('a denied container exchanges no packet: counted at both ends of its interface', async () => {
    const key = await newKey('strict');
    const denied = await run(alpha, 'c-denied', key.key, { env: 'dev' });
    expect((await decided('c-denied')).pairing).toMatchObject({ denial: 'dimension-locked' });
    const other = await run(alpha, 'c-other', (await newKey('web')).key);
    await decided('c-other');
    await denied.serve('tcp:80', 'udp:53');
    const count = await PacketCount.place(alpha.host, denied);
    const outside = await beta.host.self();
    const tries = [
      denied.probe('tcp', server.addresses.ip4, 80, 300),
      denied.probe('tcp', server.addresses.ip6, 80, 300),
      denied.probe('udp', server.addresses.ip4, 53, 300),
      denied.probe('ping', server.addresses.ip4, 0, 300),
      denied.probe('tcp', other.addresses.ip4, 80, 300),
      denied.probe('tcp', alpha.host.addresses.ip4, 22, 300),
      ...[other, outside, await alpha.host.self()].flatMap((from) => [
        from.probe('tcp', denied.addresses.ip4, 80, 300),
        from.probe('tcp', denied.addresses.ip4, 9999, 300),
        from.probe('udp', denied.addresses.ip4, 53, 300),
        from.probe('ping', denied.addresses.ip4, 0, 300),
        from.probe('tcp', denied.addresses.ip6, 80, 300),
      ]),
    ];
    const results = await Promise.all(tries);
    expect(results.every(({ ok }) => !ok)).toBe(true);
    expect(await count.packets()).toEqual({ from: 0, to: 0 });
    // The counter counts: the same attempts from a paired one.
    const counted = await PacketCount.place(alpha.host, other);
    expect(await reaches(other)).toBe(true);
    const { from, to } = await counted.packets();
    expect(from).toBeGreaterThan(3);
    expect(to).toBeGreaterThan(2);
    await alpha.host.docker.remove('c-denied');
    await alpha.host.docker.remove('c-other');
  });

  it('without a key: cut off where the host says so, seen and left alone elsewhere; an operator’s label lets it in', async () => {
    const held = await run(alpha, 'c-none', undefined);
    const free = await run(beta, 'c-free', undefined);
    expect((await decided('c-none')).isolatedWhy).toMatch(/not paired/);
    expect((await decided('c-free')).isolatedWhy).toBeNull();
    expect(await reaches(held)).toBe(false);
    expect(await reaches(free)).toBe(true);
    await fleet.controller.cli(['workload', 'label', 'c-none', 'role=web', 'env=prod']);
    await until('the labelled container to be let in', () => reaches(held));
    await alpha.host.docker.remove('c-none');
    await beta.host.docker.remove('c-free');
  });

  it('a container made anew with other metadata is decided anew; one removed is forgotten by its peers', async () => {
    const key = await newKey('web');
    await run(alpha, 'c-anew', key.key, { role: 'cache' });
    const before = await decided('c-anew');
    expect(before.labels).toMatchObject({ role: 'cache' });
    await alpha.host.docker.remove('c-anew');
    const place = await run(alpha, 'c-anew', key.key);
    const after = await until('the new one', async () => {
      const shown = await decided('c-anew');
      return shown.id === before.id ? undefined : shown;
    });
    expect(after.labels).toMatchObject({ role: 'web' });
    expect(await reaches(place)).toBe(true);
    // A restart keeps labels and is no use of the key.
    await alpha.host.docker.restart('c-anew');
    expect(await decided('c-anew')).toMatchObject({ id: after.id, labels: { role: 'web' } });
    const { keys } = await cli<{ keys: { id: string; uses: number }[] }>('key', 'list', '--all');
    expect(keys.find(({ id }) => id === key.id)?.uses).toBe(2);
    // Its peer's kernel knows it, and no longer does when it is gone.
    const peers = async () => {
      const { tables } = await cli<{ tables: { table: string; entries: number }[] }>('host', 'show', 'beta');
      return tables.find(({ table }) => table === 'rf_peers')?.entries ?? 0;
    };
    // The newest report may lag behind what was acknowledged, so the most that is ever told counts.
    let most = await peers();
    await alpha.host.docker.remove('c-anew');
    await until('it to be gone', async () => {
      const { workloads } = await cli<{ workloads: Shown[] }>('workload', 'list', 'c-anew');
      return workloads.every(({ present }) => !present);
    });
    await until('its two addresses to leave the peer’s kernel', async () => {
      const now = await peers();
      most = Math.max(most, now);
      return now <= most - 2;
    });
  });

  it('rotation and leak: a revoked key pairs nothing more; what it paired stays until it is quarantined, and comes back', async () => {
    const [old, fresh] = [await newKey('web'), await newKey('web')];
    const [one, two] = [await run(alpha, 'r-old', old.key), await run(alpha, 'r-new', fresh.key)];
    await decided('r-old');
    await decided('r-new');
    await fleet.controller.cli(['key', 'revoke', old.id, '--yes']);
    expect(await reaches(one)).toBe(true);
    await run(alpha, 'r-late', old.key);
    expect((await decided('r-late')).pairing).toMatchObject({ denial: 'revoked' });
    const preview = await cli<{ touched: { workloadName: string }[] }>('key', 'revoke', old.id, '--list');
    expect(preview.touched.map(({ workloadName }) => workloadName)).toEqual(['r-old']);
    expect(await reaches(one)).toBe(true);
    const stream = await one.stream('tcp', server.addresses.ip4, 80, 5);
    const { quarantineId } = await cli<{ quarantineId: string }>('key', 'revoke', old.id, '--quarantine', '--yes');
    expect((await stream.closed(10_000)).closed).not.toBe('none');
    expect(await reaches(one)).toBe(false);
    expect(await reaches(two)).toBe(true);
    await fleet.controller.cli(['quarantine', 'release', quarantineId]);
    await until('it to be back', () => reaches(one));
    const history = await fleet.controller.cli(['key', 'history', old.id]);
    for (const word of [
      'key.create',
      'pairing.approve',
      'key.revoke',
      'pairing.deny',
      'quarantine.begin',
      'quarantine.end',
    ])
      expect(history).toContain(word);
    for (const name of ['r-old', 'r-new', 'r-late']) await alpha.host.docker.remove(name);
  });

  it('a host enrols by a key that carries the controller’s fingerprint', async () => {
    const made = await cli<Key>('key', 'create', 'web', '--for-hosts');
    secrets.push(made.key);
    const { host } = beta;
    const file = host.file('host.key');
    await writeFile(file, `${made.key}\n`, { mode: 0o600 });
    const stateDir = host.file('second-agent');
    const main = join(repository, 'cli', 'dist', 'main.js');
    const args = [
      'enroll',
      '--controller',
      fleet.controller.enrollAddress,
      '--key-file',
      file,
      '--state-dir',
      stateDir,
    ];
    await execute('nsenter', [`--net=${host.netns.path}`, process.execPath, main, ...args]);
    expect(statSync(join(stateDir, 'key.pem')).mode & 0o077).toBe(0);
    const { keys } = await cli<{ keys: { id: string; uses: number }[] }>('key', 'list');
    expect(keys.find(({ id }) => id === made.id)?.uses).toBe(1);
    const other = `${made.key.split('.')[0]}.${Buffer.alloc(32, 1).toString('base64url')}`;
    await writeFile(file, other);
    await expect(execute('nsenter', [`--net=${host.netns.path}`, process.execPath, main, ...args])).rejects.toThrow(
      /RF_CA_MISMATCH/,
    );
    await rm(file);
  });

  it('a quarantined host keeps the controller and its admin sources, and nothing else', async () => {
    const [admin, stranger, host] = [
      await fleet.controller.node.place('admin', 'admin'),
      await beta.host.self(),
      await alpha.host.self(),
    ];
    await alpha.agent.stop();
    await alpha.agent.writeConfig({ ...alphaConfig, adminSources: [{ from: admin.addresses.ip4, port: 22 }] });
    await alpha.agent.start();
    await alpha.agent.ready();
    const server = await host.serve('tcp:22', 'tcp:81');
    const session = await admin.stream('tcp', alpha.host.addresses.ip4, 22, 5);
    expect(await reaches(admin, host, 81)).toBe(true);
    expect(await reaches(stranger, host, 22)).toBe(true);
    const { id } = await cli<{ id: string }>('quarantine', 'add', 'alpha', '--reason', 'odd traffic', '--yes');
    await until('the host to be cut off', async () => !(await reaches(stranger, host, 22)));
    expect(await reaches(admin, host, 81)).toBe(false);
    expect(await reaches(admin, host, 22)).toBe(true);
    expect(await fleet.controller.cli(['workload', 'show', 'alpha/alpha'])).toContain('odd traffic');
    await fleet.controller.cli(['quarantine', 'release', id]);
    await until('the host to be back', () => reaches(stranger, host, 22));
    expect(await session.stop()).toMatchObject({ closed: 'none', missing: 0 });
    await server.stop();
  });

  it('controller away, agent restarted: what is paired goes on, what is new is held until it is decided', async () => {
    const key = await newKey('web');
    const paired = await run(alpha, 'a-paired', key.key);
    await decided('a-paired');
    const stream = await paired.stream('tcp', server.addresses.ip4, 80, 5);
    await fleet.controller.stop();
    const late = await run(alpha, 'a-late', key.key);
    expect(await reaches(late)).toBe(false);
    await alpha.agent.kill();
    const later = await run(alpha, 'a-later', key.key);
    // Nobody is there to see it start: the kernel holds it all the same.
    expect(await reaches(later)).toBe(false);
    await alpha.agent.start();
    await alpha.agent.ready();
    expect(await reaches(late)).toBe(false);
    expect(await reaches(paired)).toBe(true);
    await fleet.controller.start();
    await until('the first late one to be let in', () => reaches(late), { timeoutMs: 60_000 });
    await until('the second late one to be let in', () => reaches(later), { timeoutMs: 60_000 });
    expect(await stream.stop()).toMatchObject({ closed: 'none', missing: 0 });
    const { keys } = await cli<{ keys: { id: string; uses: number }[] }>('key', 'list');
    expect(keys.find(({ id }) => id === key.id)?.uses).toBe(3);
    for (const name of ['a-paired', 'a-late', 'a-later']) await alpha.host.docker.remove(name);
  }, 120_000);

  it('no key, token or private key is in a log, a process list, or a state file that others can read', async () => {
    const { token } = await fleet.api.createToken('');
    secrets.push(token);
    expect(secrets.length).toBeGreaterThan(10);
    // The secret part: a key's id is no secret and stands everywhere. A token's parts are base64url, in which _ is a letter.
    const needles = secrets.map((text) => Buffer.from(text.split(text.startsWith('rfe1.') ? '.' : '_')[2] ?? ''));
    expect(needles.every((needle) => needle.length >= 20)).toBe(true);
    const found = (bytes: Buffer) => needles.some((needle) => bytes.includes(needle));
    expect(found(Buffer.from(secrets[0] ?? ''))).toBe(true);
    let looked = 0;
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      for (const name of ['cmdline', 'environ']) {
        // The container that got its key by variable has it in its own environment, by the operator's wish; it is gone by now.
        try {
          expect(found(readFileSync(`/proc/${pid}/${name}`)), `/proc/${pid}/${name}`).toBe(false);
          looked += 1;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === undefined) throw error;
        }
      }
    }
    expect(looked).toBeGreaterThan(20);
    const places = [fleet.controller.stateDir, alpha.agent.stateDir, beta.agent.stateDir];
    const logs = [fleet.controller.node.file('log'), alpha.host.file('log'), beta.host.file('log')];
    for (const place of [...places, ...logs].filter(existsSync)) {
      for (const entry of readdirSync(place, { recursive: true, withFileTypes: true })) {
        const file = join(entry.parentPath, entry.name);
        if (!entry.isFile()) continue;
        const bytes = readFileSync(file);
        expect(found(bytes), file).toBe(false);
        looked += 1;
        if (!bytes.includes('PRIVATE KEY')) continue;
        expect(statSync(file).mode & 0o077, file).toBe(0);
      }
    }
    for (const place of places) expect(statSync(place).mode & 0o077, place).toBe(0);
    expect(looked).toBeGreaterThan(30);
  });
});
