import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { topCgroups } from './cgroup.js';
import { run } from './exec.js';
import type { TestHost } from './host.js';
import { Lab } from './lab.js';
import { sweepLeftovers } from './leftovers.js';
import { namespaceNames } from './netns.js';
import { bpffs } from './paths.js';
import type { Place, Server } from './place.js';
import { Witness } from './witness.js';

describe('Lab with two hosts', () => {
  let lab: Lab;
  let a: TestHost;
  let b: TestHost;
  let client: Place;
  let server: Place;
  let service: Place;
  let echo: Server;

  beforeAll(async () => {
    lab = await Lab.create();
    [a, b] = await Promise.all([lab.addHost('a', { docker: true }), lab.addHost('b', { docker: true })]);
    [client, server] = await Promise.all([a.container('client'), b.container('server')]);
    service = await b.service('metrics');
    echo = await server.serve('tcp:80', 'udp:53');
    await service.serve('tcp:9100');
  });

  afterAll(async () => {
    await lab?.close();
  });

  it.each([4, 6] as const)(
    'container to container on another host over IPv%i: TCP, UDP and ping pass',
    async (family) => {
      const to = family === 4 ? server.addresses.ip4 : server.addresses.ip6;
      const results = [
        await client.probe('tcp', to, 80),
        await client.probe('udp', to, 53),
        await client.probe('ping', to),
      ];
      expect(results.map((r) => [r.ok, r.error])).toEqual(Array(3).fill([true, 'none']));
    },
  );

  it('container to host service and back pass over both families', async () => {
    const own = await client.serve('tcp:81');
    for (const ip of ['ip4', 'ip6'] as const) {
      expect(await client.probe('tcp', service.addresses[ip], 9100)).toMatchObject({ ok: true });
      expect(await service.probe('tcp', client.addresses[ip], 81)).toMatchObject({ ok: true });
    }
    await own.stop();
  });

  it('probe of a closed port fails with ECONNREFUSED', async () => {
    expect(await client.probe('tcp', server.addresses.ip4, 82)).toMatchObject({ ok: false, error: 'ECONNREFUSED' });
  });

  it('probe of a host behind a cut link times out, and passes again when the link is back', async () => {
    await b.link('down');
    const lost = await client.probe('tcp', server.addresses.ip4, 80, 300);
    await b.link('up');
    expect(lost.ok).toBe(false);
    expect(await client.probe('tcp', server.addresses.ip4, 80, 5000)).toMatchObject({ ok: true });
  });

  it('stream, attempts, server counters and packet witness agree', async () => {
    const before = (await echo.counts())[0]?.accepted ?? 0;
    const witness = await Witness.place(server.netns, { protocol: 'tcp', source: client.addresses.ip4, port: 80 });
    const stream = await client.stream('tcp', server.addresses.ip4, 80, 2);
    const attempts = await client.attempts('tcp', server.addresses.ip4, 80, { intervalMs: 5 });
    await expect.poll(async () => (await attempts.counts()).ok, { timeout: 10_000 }).toBeGreaterThan(20);
    const tried = await attempts.stop();
    const flowed = await stream.stop();
    expect(tried.ok).toBe(tried.started);
    expect(flowed).toMatchObject({ missing: 0, repeated: 0, closed: 'none', received: flowed.sent });
    expect((await echo.counts())[0]?.accepted).toBe(before + tried.started + 1);
    const [packets = 0] = await witness.packets();
    expect(packets).toBeGreaterThanOrEqual(tried.started * 3 + flowed.sent);
  });

  it('processes of a place are in its cgroup', async () => {
    const p = await client.start(['serve', 'tcp:90']);
    await p.event('ready');
    expect(client.cgroup).toContain(`/${lab.name}/a/docker/`);
    expect((await run('cat', [`${client.cgroup}/cgroup.procs`])).split('\n')).toContain(String(p.pid));
    await p.stop();
  });
});

describe('a host with dockerNat', () => {
  it('masquerades its containers and publishes their ports', async () => {
    const lab = await Lab.create();
    try {
      const host = await lab.addHost('nat', { docker: true, dockerNat: true });
      const outside = await (await lab.addNode('outside')).place('outside', 'outside');
      const inner = await host.container('inner', { publish: { '80/tcp': 8080 } });
      await inner.serve('tcp:80');
      expect(await outside.probe('tcp', host.addresses.ip4, 8080)).toMatchObject({ ok: true });
      await outside.serve('tcp:81');
      const witness = await Witness.place(
        outside.netns,
        { source: host.addresses.ip4, protocol: 'tcp', port: 81 },
        { source: inner.addresses.ip4, protocol: 'tcp', port: 81 },
      );
      expect(await inner.probe('tcp', outside.addresses.ip4, 81)).toMatchObject({ ok: true });
      const [translated = 0, plain] = await witness.packets();
      expect(translated).toBeGreaterThan(0);
      expect(plain).toBe(0);
    } finally {
      await lab.close();
    }
  });
});

/** Everything on the machine that still carries a lab's name. */
function traces(name: string): string[] {
  const processes = readdirSync('/proc').filter((entry) => {
    try {
      return /^\d+$/.test(entry) && readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes(name);
    } catch {
      // It ended between the two looks.
      return false;
    }
  });
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return [
    ...processes,
    ...mounts.filter((line) => line.includes(name)),
    ...[...namespaceNames(), ...topCgroups(), ...readdirSync(bpffs), ...readdirSync('/var/tmp')].filter((entry) =>
      entry.startsWith(name),
    ),
  ];
}

describe('what a lab leaves behind', () => {
  it('close() ends every process and removes namespaces, cgroups, pins, mounts and files; twice does no harm', async () => {
    const lab = await Lab.create();
    const host = await lab.addHost('h', { docker: true });
    await host.container('container');
    await lab.close();
    expect(traces(lab.name)).toEqual([]);
    await lab.close();
  });

  it('sweepLeftovers() removes the lab of a dead process with its running dockerd, and no living one', async () => {
    const [dead, alive] = [await Lab.create(), await Lab.create()];
    const host = await dead.addHost('h', { docker: true });
    await host.container('container');
    // No process has this id: the kernel's limit is far below.
    await writeFile(join(dead.dir, 'owner'), '999999999 1');
    await sweepLeftovers();
    expect(traces(dead.name)).toEqual([]);
    expect(traces(alive.name)).not.toEqual([]);
    await alive.close();
  });
});
