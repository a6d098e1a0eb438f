// Issue 2, must show 4: replacement of the programs under continuous traffic loses no allowed connection and lets no forbidden
// packet through. The agents find that the pinned programs came from another build, load theirs beside them and switch every
// link; program ids before and after prove that it happened.

import { KernelMaps } from '@ringfence/agent/datapath/kernel-maps.js';
import { Pins } from '@ringfence/agent/datapath/pins.js';
import { BpfProgram } from '@ringfence/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet, Member } from '../src/fleet.js';
import { until } from '../src/until.js';
import { Witness } from '../src/witness.js';
import { startShop } from './shop.js';

/** Ids of the programs pinned by a host's agent. */
function programIds({ host }: Member): number[] {
  const pins = new Pins(host.pinPath);
  return pins.names('progs').map((name) => {
    using program = BpfProgram.fromPin(pins.path('progs', name));
    return program.info.id;
  });
}

/** Makes the pinned programs look as if another build had loaded them. */
function pretendOtherBuild({ host }: Member): void {
  const maps = KernelMaps.adopted(new Pins(host.pinPath));
  const other = Buffer.from(maps.fingerprint());
  other.writeUInt8(other.readUInt8(0) ^ 0xff, 0);
  maps.setFingerprint(other);
}

describe('replacement of every program', () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await startShop();
  });
  afterAll(() => fleet?.close());

  it('three upgrades under traffic: no connection lost, no forbidden packet, all programs new each time', async () => {
    const [client, intruder, server, probe] = ['client', 'intruder', 'server', 'probe'].map((n) => fleet.place(n));
    if (!client || !intruder || !server || !probe) throw new Error('Cannot find the places of the shop');
    const witness = await Witness.place(
      server.netns,
      { source: intruder.addresses.ip4 },
      { source: intruder.addresses.ip6, protocol: 'tcp' },
    );
    const streams = [
      await client.stream('tcp', server.addresses.ip4, 80, 5),
      await client.stream('tcp', server.addresses.ip6, 80, 5),
      await client.stream('udp', server.addresses.ip4, 53, 5),
      await probe.stream('tcp', server.addresses.ip4, 80, 5),
    ];
    const allowed = [
      await client.attempts('tcp', server.addresses.ip4, 80, { intervalMs: 5, timeoutMs: 4000 }),
      await probe.attempts('tcp', server.addresses.ip4, 80, { intervalMs: 5, timeoutMs: 4000 }),
    ];
    const forbidden = [
      await intruder.attempts('tcp', server.addresses.ip4, 80, { intervalMs: 5, timeoutMs: 300 }),
      await intruder.attempts('tcp', server.addresses.ip6, 80, { intervalMs: 5, timeoutMs: 300 }),
      await probe.attempts('tcp', server.addresses.ip4, 82, { intervalMs: 5, timeoutMs: 300 }),
    ];
    for (let round = 0; round < 3; round++) {
      for (const member of fleet.members.values()) {
        const before = programIds(member);
        await member.agent.stop();
        pretendOtherBuild(member);
        await member.agent.start();
        await member.agent.ready();
        const after = programIds(member);
        expect(after).toHaveLength(before.length);
        expect(after.filter((id) => before.includes(id))).toEqual([]);
      }
      await fleet.converged();
    }
    for (const attempts of [...allowed, ...forbidden]) {
      await until('traffic during the upgrades', async () => (await attempts.counts()).started > 300);
    }
    for (const count of await Promise.all(allowed.map((a) => a.stop()))) {
      expect(count).toMatchObject({ ok: count.started, refused: 0, eperm: 0, timeout: 0, reset: 0, other: 0 });
    }
    for (const count of await Promise.all(forbidden.map((a) => a.stop()))) expect(count.ok).toBe(0);
    for (const count of await Promise.all(streams.map((s) => s.stop()))) {
      expect(count).toMatchObject({ missing: 0, repeated: 0, closed: 'none', received: count.sent });
    }
    expect(await witness.packets()).toEqual([0, 0]);
  });
});
