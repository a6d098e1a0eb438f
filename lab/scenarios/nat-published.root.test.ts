// Issue 5: a gateway's published ports, which nobody declared. A Linux gateway with an agent forwards a port by nftables to a host behind it,
// which publishes a container there. The gateway's conntrack shows where the port leads: from the first connection on a client is judged and
// recorded by the workload behind it. Until then the port is nobody's that the client may reach, and it is refused; never let through for another.
import type { PolicyFile } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { Confidence, Direction, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fleet, type FleetHostSpec } from '../src/fleet.js';
import { until } from '../src/until.js';

const PORT = 9080;
const specs: readonly FleetHostSpec[] = [
  { name: 'front', containers: ['f-client', 'f-other', 'f-watch'] },
  { name: 'gw1', masquerade: true, agent: { nat: { role: 'gateway' } } },
  {
    ...{ name: 'zeta1', behind: 'gw1', net: { v4: '10.1.0', v6: 'fd77:1:0:' } },
    ...{ dockerNat: true, bridge: '172.17.0.1/16', containers: ['z-web', 'z-db'] },
    publish: { 'z-web': { '80/tcp': 8080 }, 'z-db': { '80/tcp': 8081 } },
  },
];
const labels: Readonly<Record<string, string>> = {
  'f-client': 'client',
  'f-other': 'other',
  'f-watch': 'watch',
  'z-web': 'web',
  'z-db': 'db',
};
const policy: PolicyFile[] = [
  {
    name: 'published.yaml',
    content: `
modes:
  - { id: clients, match: { label: role, in: [client, other] }, mode: enforce }
rules:
  - { id: web, service: tcp/80, providedBy: role=web, usedBy: role=client }
  - { id: db, service: tcp/80, providedBy: role=db, usedBy: role=other }
`,
  },
];

describe('a port that a gateway forwards and nobody declared', () => {
  let fleet: Fleet;
  let address = '';

  /** The gateway forwards PORT to that port of zeta1, in place of what it forwarded to before. */
  const forward = (toPort: number) =>
    fleet.member('gw1').host.netns.exec('nft', ['-f', '-'], {
      input: `table ip published {}
        delete table ip published
        table ip published {
          chain in { type nat hook prerouting priority -100; ip daddr ${address} tcp dport ${PORT} dnat to 10.1.0.2:${toPort}; }
        }
      `,
    });
  const call = async (from: string) => (await fleet.place(from).probe('tcp', address, PORT, 800)).ok;
  /** Until the newest record of a call says so. */
  const recorded = (from: string, wanted: (flow: Flow) => boolean) =>
    until(`a record of ${from}`, async () =>
      (await fleet.api.flows()).find(
        (flow) => flow.source?.workloadName === from && seenAt(flow) === address && flow.protocol === 6 && wanted(flow),
      ),
    );
  const mappings = async () => (await fleet.api.listSpaces()).find(({ name }) => name === 'site1')?.destinations ?? [];

  beforeAll(async () => {
    fleet = await Fleet.start(specs, 180_000);
    address = fleet.member('gw1').host.addresses.ip4;
    for (const [name, role] of Object.entries(labels)) await fleet.label(name, { role });
    for (const name of ['z-web', 'z-db']) await fleet.place(name).serve('tcp:80');
    const outcome = await fleet.api.applySpaces('spaces: [{ name: site1, hosts: [zeta1], gateway: gw1 }]');
    expect(outcome.problems).toEqual([]);
    await fleet.provision(policy);
    await fleet.converged();
    await forward(8080);
  }, 240_000);
  afterAll(() => fleet?.close());

  it('refuses who is enforced before anybody was seen to use it, also whom it would lead to one who may', async () => {
    expect(await mappings()).toEqual([]);
    for (const from of ['f-client', 'f-other']) {
      expect(await call(from)).toBe(false);
      const flow = await recorded(from, ({ verdict }) => verdict === Verdict.VERDICT_BLOCKED);
      expect(flow).toMatchObject({ reason: Reason.REASON_IMPLICIT_DENY, servicePort: PORT, views: [] });
      expect(flow.destination?.workloadName).not.toMatch(/^z-/);
      expect([Confidence.CONFIDENCE_EXACT, Confidence.CONFIDENCE_SHARED]).toContain(flow.confidence);
    }
    // Neither reached the gateway: there is nothing to see yet.
    expect(await mappings()).toEqual([]);
  });

  it('judges and records by the workload behind it from the first connection on', async () => {
    expect(await call('f-watch')).toBe(true);
    await until('the client to get through', () => call('f-client'));
    expect(await mappings()).toEqual([`tcp ${address}:${PORT} → 10.1.0.2:8080`]);
    const flow = await recorded('f-client', ({ views }) => views.length === 2);
    expect(flow).toMatchObject({
      destination: { workloadName: 'z-web' },
      servicePort: 80,
      verdict: Verdict.VERDICT_ALLOWED,
    });
    const out = flow.views.find(({ direction }) => direction === Direction.DIRECTION_OUTBOUND);
    expect(out?.confidence).toBe(Confidence.CONFIDENCE_MAPPED);
    // Who may not reach that workload is refused, and the record names it.
    expect(await call('f-other')).toBe(false);
    const refused = await recorded('f-other', ({ servicePort }) => servicePort === 80);
    expect(refused).toMatchObject({
      destination: { workloadName: 'z-web' },
      verdict: Verdict.VERDICT_BLOCKED,
      confidence: Confidence.CONFIDENCE_MAPPED,
    });
  });

  it('keeps what it saw over a restart of the gateway and its agent', async () => {
    const { agent, host } = fleet.member('gw1');
    await agent.stop();
    await host.netns.exec('conntrack', ['-F']);
    await agent.start();
    await until('the agent to be back', async () =>
      (await fleet.api.listHosts()).some(({ id, connected }) => id === 'gw1' && connected),
    );
    await fleet.converged();
    expect(await mappings()).toEqual([`tcp ${address}:${PORT} → 10.1.0.2:8080`]);
    expect(await call('f-client')).toBe(true);
  }, 120_000);

  it('follows when the port is forwarded elsewhere: the first connection there changes who may', async () => {
    await forward(8081);
    expect(await call('f-watch')).toBe(true);
    await until('the other one to get through', () => call('f-other'));
    expect(await mappings()).toEqual([`tcp ${address}:${PORT} → 10.1.0.2:8081`]);
    expect(await call('f-client')).toBe(false);
    const flow = await recorded('f-client', ({ destination }) => destination?.workloadName === 'z-db');
    expect(flow).toMatchObject({ verdict: Verdict.VERDICT_BLOCKED, confidence: Confidence.CONFIDENCE_MAPPED });
  });
});

/** The address that was called, as the caller's host saw it. */
function seenAt({ views, destination }: Flow): string {
  const near = views.find(({ direction }) => direction === Direction.DIRECTION_OUTBOUND);
  return [...(near?.remoteIp ?? destination?.ip ?? [])].join('.');
}
