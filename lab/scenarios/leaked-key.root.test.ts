// Issue 4, must show 7: a key leaks that has paired 50 workloads on 3 hosts: the hosts themselves, which enrolled by it, and 47 real Docker
// containers. One command shows them, one cuts all of them off, one lets all of them back; the administrator's connections to the hosts
// (adminSources, the failsafe table) go on through all of it. Packets are counted by nftables at both ends of every container's interface.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentProcess } from '../src/agent.js';
import { ControllerProcess } from '../src/controller.js';
import { run } from '../src/exec.js';
import type { TestHost } from '../src/host.js';
import { Lab } from '../src/lab.js';
import { PacketCount } from '../src/packet-count.js';
import { repository } from '../src/paths.js';
import type { Place, Stream } from '../src/place.js';
import { until } from '../src/until.js';

const CONTAINERS = [16, 16, 15];
const ALL = CONTAINERS.reduce((sum, count) => sum + count, CONTAINERS.length);

interface Touched {
  touched: { workloadId: string; hostId: string }[];
  quarantineId: string | null;
}

describe('a leaked key', () => {
  let lab: Lab;
  let controller: ControllerProcess;
  let hosts: TestHost[];
  let places: { host: TestHost; place: Place }[];
  let admin: Place;
  let stranger: Place;
  let key: { id: string; key: string };

  const cli = async <T>(...args: string[]) => JSON.parse(await controller.cli(['-o', 'json', ...args])) as T;
  const listed = async () => (await cli<Touched>('key', 'revoke', key.id, '--list')).touched;
  /** Runs for all, at most eight at a time: the lab starts a process for each. */
  const forAll = async <T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> => {
    const results: R[] = [];
    for (let at = 0; at < items.length; at += 8)
      results.push(...(await Promise.all(items.slice(at, at + 8).map(work))));
    return results;
  };
  const reaches = async (from: Place, to: { ip4: string }, port: number, timeoutMs = 300) =>
    (await from.probe('tcp', to.ip4, port, timeoutMs)).ok;
  const isolated = async () => {
    const { workloads } = await cli<{ workloads: { isolatedWhy: string | null; inForce: boolean }[] }>(
      'workload',
      'list',
    );
    return workloads.filter(({ isolatedWhy, inForce }) => isolatedWhy !== null && inForce).length;
  };
  /** Every host has acknowledged the newest revision. */
  const converged = () =>
    until('all hosts to hold what is wanted', async () => {
      const { hosts: shown } = await cli<{ hosts: { state: string }[] }>('host', 'list');
      return shown.length === hosts.length && shown.every(({ state }) => state === 'current');
    });

  beforeAll(async () => {
    lab = await Lab.create();
    controller = new ControllerProcess(await lab.addNode('control'));
    await controller.start();
    await controller.cli(['profile', 'create', 'fleet', '--lock', 'env=prod', '--default', 'role=web']);
    key = await cli('key', 'create', 'fleet', '--for-hosts');
    const outside = await lab.addNode('outside');
    [admin, stranger] = await Promise.all([outside.place('admin', 'admin'), controller.node.place('stranger', 'x')]);
    hosts = await Promise.all(CONTAINERS.map((_, i) => lab.addHost(`h${i + 1}`, { docker: true })));
    const main = join(repository, 'cli', 'dist', 'main.js');
    const agents = await Promise.all(
      hosts.map(async (host) => {
        const agent = await AgentProcess.configure(host, controller, [], {
          adminSources: [{ from: admin.addresses.ip4, port: 22 }],
        });
        const file = host.file('host.key');
        await writeFile(file, `${key.key}\n`, { mode: 0o600 });
        const args = [
          'enroll',
          '--controller',
          controller.enrollAddress,
          '--key-file',
          file,
          '--state-dir',
          agent.stateDir,
        ];
        await run('nsenter', [`--net=${host.netns.path}`, process.execPath, main, ...args]);
        await agent.start();
        return agent;
      }),
    );
    const [text = ''] = key.key.split('.');
    const made = await Promise.all(
      hosts.map(async (host, i) => {
        const own: { host: TestHost; place: Place }[] = [];
        for (let n = 0; n < (CONTAINERS[i] ?? 0); n += 1) {
          const labels = { 'ringfence.pairing-key': text };
          own.push({ host, place: await host.container(`${host.name}-c${n}`, { labels }) });
        }
        return own;
      }),
    );
    places = made.flat();
    await Promise.all(agents.map((agent) => agent.ready()));
    await until('all to be paired', async () => (await listed()).length === ALL, { timeoutMs: 100_000 });
    await converged();
  }, 300_000);
  afterAll(async () => {
    controller?.close();
    await lab?.close();
  }, 60_000);

  it('50 workloads on 3 hosts: previewed, quarantined by one command and released by another; admin SSH untouched', async () => {
    // Stands for whatever the containers talk to: a machine without an agent.
    await stranger.serve('tcp:80');
    await Promise.all(hosts.map(async (host) => (await host.self()).serve('tcp:22')));
    await forAll(places, ({ place }) => place.serve('tcp:80', 'tcp:22'));
    const sessions: Stream[] = await Promise.all(
      hosts.map(({ addresses }) => admin.stream('tcp', addresses.ip4, 22, 20)),
    );
    const exchange = async () => {
      const out = await forAll(places, ({ place }) => reaches(place, stranger.addresses, 80));
      const into = await forAll(places, ({ place }) => reaches(stranger, place.addresses, 80));
      return [out, into].map((results) => results.filter(Boolean).length);
    };
    expect(await exchange()).toEqual([places.length, places.length]);

    const preview = await listed();
    expect([preview.length, new Set(preview.map(({ hostId }) => hostId)).size]).toEqual([50, 3]);
    expect(await isolated()).toBe(0);

    const began = performance.now();
    const { quarantineId, touched } = await cli<Touched>('key', 'revoke', key.id, '--quarantine', '--yes');
    expect(touched).toHaveLength(50);
    await until('all of them to be cut off', async () => (await isolated()) === 50);
    await converged();
    const tookMs = Math.round(performance.now() - began);

    const counts = await forAll(places, ({ host, place }) => PacketCount.place(host, place));
    expect(await exchange()).toEqual([0, 0]);
    const counted = await forAll(counts, (count) => count.packets());
    expect(counted.reduce((sum, { from, to }) => sum + from + to, 0)).toBe(0);
    // The hosts are cut off too, but for the administrator: old connections and new ones.
    const doors = hosts.map(({ addresses }) => addresses);
    expect(await forAll(doors, (door) => reaches(stranger, door, 22))).toEqual([false, false, false]);
    expect(await forAll(doors, (door) => reaches(admin, door, 22, 5000))).toEqual([true, true, true]);

    // The failsafe table holds for containers as well: the administrator's port, and no other.
    const [first] = places;
    expect(first && (await reaches(admin, first.place.addresses, 22, 5000))).toBe(true);
    expect(first && (await reaches(admin, first.place.addresses, 80))).toBe(false);

    await controller.cli(['quarantine', 'release', quarantineId ?? '']);
    await until('none to be cut off', async () => (await isolated()) === 0);
    await converged();
    expect(await exchange()).toEqual([places.length, places.length]);
    const after = await forAll(counts, (count) => count.packets());
    // The same counters: they would have seen a packet.
    expect(after.every(({ from, to }) => from >= 6 && to >= 6)).toBe(true);
    expect(await forAll(doors, (door) => reaches(stranger, door, 22, 5000))).toEqual([true, true, true]);
    for (const session of sessions)
      expect(await session.stop()).toMatchObject({ closed: 'none', missing: 0, repeated: 0 });
    console.info(
      `50 workloads on 3 hosts cut off in ${tookMs} ms, told and in force; 0 packets of ${places.length} containers`,
    );
  }, 240_000);
});
