// Issue 2, must show 4, second half: a host comes back from a reboot (pins gone, no agent, no controller) and enforces its last
// good policy before anything else; and must show 8: a truncated state file.
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Fleet } from '../src/fleet.js';
import { until } from '../src/until.js';
import { Witness } from '../src/witness.js';
import { shopPolicy, startShop } from './shop.js';

// Each test boots two hosts twice, and a boot loads every program.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

describe('a host that reboots while the controller is gone', () => {
  let fleet: Fleet | undefined;

  beforeEach(async () => {
    await fleet?.close();
    fleet = await startShop();
  });
  afterAll(() => fleet?.close());

  function running(): Fleet {
    if (!fleet) throw new Error('Cannot use the fleet: it did not start');
    return fleet;
  }

  /** Takes the controller, agents and everything in the kernel away, with the network cut, as a reboot of both hosts does. */
  async function powerOff(): Promise<void> {
    const { controller, members } = running();
    await controller.stop('SIGKILL');
    for (const { agent, host } of members.values()) {
      await agent.kill();
      await host.dropPins();
      await host.link('down');
    }
  }

  it('without pins and agent nothing is enforced: the following tests see the agent, not leftovers', async () => {
    await powerOff();
    for (const { host } of running().members.values()) await host.link('up');
    const server = running().place('server');
    const intruder = running().place('intruder');
    // The kernel detaches a link some time after its last pin is gone.
    await until('forbidden traffic to pass', async () => (await intruder.probe('tcp', server.addresses.ip4, 80)).ok);
  });

  it('the last good policy is in force before the network is, and before the controller is back', async () => {
    await powerOff();
    const { members, controller } = running();
    const [client, intruder, server] = ['client', 'intruder', 'server'].map((n) => running().place(n));
    if (!client || !intruder || !server) throw new Error('Cannot find the places of the shop');
    const witness = await Witness.place(
      server.netns,
      { source: intruder.addresses.ip4 },
      { source: intruder.addresses.ip6, protocol: 'tcp' },
    );
    // They try all the time; the cut link is all that stops them until the agents are up.
    const forbidden = [
      await intruder.attempts('tcp', server.addresses.ip4, 80, { intervalMs: 10, timeoutMs: 300 }),
      await intruder.attempts('tcp', server.addresses.ip6, 80, { intervalMs: 10, timeoutMs: 300 }),
    ];
    for (const { agent } of members.values()) await agent.start();
    for (const { agent } of members.values()) expect(await agent.ready()).toMatchObject({ source: 'state' });
    for (const { host } of members.values()) await host.link('up');
    expect(await client.probe('tcp', server.addresses.ip4, 80, 5000)).toMatchObject({ ok: true });
    expect(await client.probe('tcp', server.addresses.ip6, 80, 5000)).toMatchObject({ ok: true });
    const before = (await forbidden[1]?.counts())?.started ?? 0;
    await until('many attempts', async () => ((await forbidden[1]?.counts())?.started ?? 0) > before + 200);
    for (const attempts of forbidden) expect((await attempts.stop()).ok).toBe(0);
    expect(await witness.packets()).toEqual([0, 0]);
    const probe = running().place('probe');
    expect(await probe.probe('tcp', server.addresses.ip4, 82, 1000)).toMatchObject({ ok: false, error: 'EPERM' });
    await controller.start();
    await running().converged();
    expect(await client.probe('tcp', server.addresses.ip4, 80, 3000)).toMatchObject({ ok: true });
  });

  it('a truncated state file is named in the log, is never half used, and the controller heals the host', async () => {
    await powerOff();
    const { members, controller } = running();
    const { agent, host } = running().member('alpha');
    const file = join(agent.stateDir, 'state.cbor');
    truncateSync(file, Math.floor(readFileSync(file).length / 2));
    for (const m of members.values()) await m.agent.start();
    expect(await agent.ready()).toMatchObject({ source: 'none' });
    expect(agent.log).toContain('RF_STATE');
    expect(agent.log).toContain(file);
    for (const m of members.values()) await m.host.link('up');
    await controller.start();
    await running().converged();
    const [intruder, server] = [running().place('intruder'), running().place('server')];
    expect(await intruder.probe('tcp', server.addresses.ip4, 80, 500)).toMatchObject({ ok: false });
    expect(readdirSync(host.file('agent'))).toContain('state.cbor');
  });

  it('a flipped byte in the state file while pins exist: the kernel goes on enforcing the last good policy', async () => {
    const { agent } = running().member('alpha');
    await running().controller.stop('SIGKILL');
    await agent.kill();
    const file = join(agent.stateDir, 'state.cbor');
    const bytes = readFileSync(file);
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 0xff, bytes.length >> 1);
    writeFileSync(file, bytes);
    const [client, intruder, server] = ['client', 'intruder', 'server'].map((n) => running().place(n));
    if (!client || !intruder || !server) throw new Error('Cannot find the places of the shop');
    await agent.start();
    await agent.ready();
    expect(await client.probe('tcp', server.addresses.ip4, 80, 3000)).toMatchObject({ ok: true });
    expect(await intruder.probe('tcp', server.addresses.ip4, 80, 500)).toMatchObject({ ok: false });
    await running().controller.start();
    await running().converged();
    await running().provision(shopPolicy({ extra: false }));
    expect(await client.probe('tcp', server.addresses.ip4, 81, 500)).toMatchObject({ ok: false });
  });
});
