// Issue 5: what hosts see by themselves of address translation. Two networks of one and the same range stand behind two Linux gateways that run
// the agent in gateway role, with containers of one and the same range behind their hosts; a third host masquerades routed containers by an
// nftables rule of its own, which nobody declared. No source translation is told to the controller but by conntrack.
import { parseAddress, wireAddress } from '@ringfence/proto/address.js';
import type { PolicyFile } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { Confidence, Direction, Mode, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fleet, type FleetHostSpec } from '../src/fleet.js';
import { until } from '../src/until.js';

const inner = { net: { v4: '10.1.0', v6: 'fd77:1:0:' }, dockerNat: true, bridge: '172.17.0.1/16' } as const;
const gateway = { masquerade: true, agent: { nat: { role: 'gateway' } } } as const;
const specs: readonly FleetHostSpec[] = [
  { name: 'server', containers: ['s-web'] },
  { name: 'gw1', ...gateway },
  { name: 'gw2', ...gateway },
  { name: 'own', masquerade: true, containers: ['o-client'] },
  { name: 'zeta1', behind: 'gw1', ...inner, containers: ['z1-client', 'z1-other'] },
  { name: 'zeta2', behind: 'gw2', ...inner, containers: ['z2-client'] },
];
const labels: Readonly<Record<string, string>> = {
  's-web': 'web',
  'z1-client': 'client',
  'z1-other': 'other',
  'z2-client': 'other',
  'o-client': 'native',
};
const policy: PolicyFile[] = [
  {
    name: 'gateways.yaml',
    content: `
modes:
  - { id: servers, match: { label: role, in: [web] }, mode: enforce }
rules:
  - { id: clients, service: [udp/53, tcp/80], providedBy: role=web, usedBy: role=client }
  - { id: natives, service: [udp/54], providedBy: role=web, usedBy: role=native }
`,
  },
];
const SPACES = `spaces:
  - { name: site1, hosts: [zeta1], gateway: gw1 }
  - { name: site2, hosts: [zeta2], gateway: gw2 }
`;

describe('translations that hosts see by themselves', () => {
  let fleet: Fleet;
  let web = '';

  beforeAll(async () => {
    fleet = await Fleet.start(specs, 180_000);
    for (const [name, role] of Object.entries(labels)) await fleet.label(name, { role });
    web = fleet.place('s-web').addresses.ip4;
    await fleet.place('s-web').serve('tcp:80', 'udp:53', 'udp:54');
    const outcome = await fleet.api.applySpaces(SPACES);
    expect(outcome.problems).toEqual([]);
    await fleet.provision(policy);
  }, 240_000);
  afterAll(() => fleet?.close());

  const udp = async (from: string, port: number) => (await fleet.place(from).probe('udp', web, port, 800)).ok;
  const inbound = async (servicePort: number, wanted: (flow: Flow) => boolean): Promise<Flow> =>
    until(`an inbound record of port ${servicePort}`, async () => {
      const flows = await fleet.api.flows();
      return flows.find(
        (flow) =>
          (flow.views.length > 0 || flow.direction === Direction.DIRECTION_INBOUND) &&
          flow.destination?.workloadName === 's-web' &&
          flow.servicePort === servicePort &&
          wanted(flow),
      );
    });

  it('tells under which address each gateway hides its network, without a declared source', async () => {
    const sources = await until('both gateways to be seen translating', async () => {
      const spaces = await fleet.api.listSpaces();
      const seen = ['site1', 'site2'].map((name) => spaces.find((space) => space.name === name)?.sources.join() ?? '');
      return seen.every((text) => text !== '') ? seen : undefined;
    });
    expect(sources).toEqual(
      ['gw1', 'gw2'].map((name) => expect.stringContaining(fleet.member(name).host.addresses.ip4)),
    );
    const path = await fleet.api.spacePath('z1-client', 's-web');
    expect(path.hops.map(({ space, address }) => [space, address])).toEqual([
      ['local:bridge on zeta1', fleet.place('z1-client').addresses.ip4],
      ['site1', '10.1.0.2'],
      ['', fleet.member('gw1').host.addresses.ip4],
    ]);
  });

  it('lets in who is allowed behind one gateway and refuses the same address behind the other one', async () => {
    await until('the allowed client to get through', () => udp('z1-client', 53));
    const { ip4 } = fleet.member('gw2').host.addresses;
    // What a gateway saw and what the client's host saw arrive one after the other. Nobody gets through, and nobody is named wrongly meanwhile.
    const refused = await until('a refused connection to be told by its client', async () => {
      expect(await udp('z2-client', 53)).toBe(false);
      const flows = await fleet.api.flows();
      const ofClient = flows.filter(
        (flow) =>
          flow.verdict === Verdict.VERDICT_BLOCKED &&
          seenFrom(flow) === ip4 &&
          flow.destination?.workloadName === 's-web',
      );
      const named = ofClient.filter(({ source }) => (source?.workloadName ?? '') !== '');
      expect(
        [...new Set(named.map(({ source }) => source?.workloadName))].filter((name) => name !== 'z2-client'),
      ).toEqual([]);
      return named[0];
    });
    // Both networks have the same addresses; each gateway's conntrack tells whose connection it was.
    expect(refused.confidence).toBe(Confidence.CONFIDENCE_MAPPED);
  });

  it('names a machine without an agent behind a gateway by what the gateway saw', async () => {
    // Nobody but the gateway knows: at the server it is one of those behind the gateway's address.
    const printer = await fleet.lab.addNode('printer', { behind: fleet.member('gw1').host });
    const address = parseAddress(printer.addresses.ip4) ?? new Uint8Array(16);
    await fleet.api.pushUnmanaged([
      { id: 'printer', addresses: [wireAddress(address)], space: 'site1', labels: { role: 'client' } },
    ]);
    await fleet.converged();
    const place = await printer.place('printer', 'system');
    await until('the printer to get through', async () => (await place.probe('udp', web, 53, 800)).ok);
    const flow = await inbound(53, ({ source }) => source?.workloadName === 'printer');
    expect(flow).toMatchObject({
      confidence: Confidence.CONFIDENCE_MAPPED,
      views: [],
      destination: { workloadName: 's-web' },
    });
    expect(seenFrom(flow)).toBe(fleet.member('gw1').host.addresses.ip4);
  });

  it("finds the host's own masquerade rule by its connections, and lets the hidden container in under the host's address", async () => {
    // The first connection may be refused: nobody knows yet that the address stands for the container too.
    await until('the hidden container to get through', () => udp('o-client', 54));
    const flow = await inbound(54, ({ verdict }) => verdict === Verdict.VERDICT_ALLOWED);
    expect(seenFrom(flow)).toBe(fleet.member('own').host.addresses.ip4);
    expect(flow.source?.workloadName).toBe('o-client');
  });

  it('keeps what it saw over a restart of the agent, when the container is idle', async () => {
    const { agent, host } = fleet.member('own');
    await agent.stop();
    // Nothing is left in the kernel that a dump could find.
    await host.netns.exec('conntrack', ['-F']);
    await agent.start();
    await until('the agent to be back', async () =>
      (await fleet.api.listHosts()).some(({ id, connected }) => id === 'own' && connected),
    );
    await fleet.converged();
    expect(await udp('o-client', 54)).toBe(true);
  }, 120_000);

  it('enforces nothing at gateways unless told', async () => {
    const workloads = await fleet.api.listWorkloads();
    const hosts = workloads.filter(({ name }) => name === 'gw1' || name === 'gw2');
    expect(hosts).toHaveLength(2);
    for (const { actualMode } of hosts)
      expect([actualMode?.inbound, actualMode?.outbound]).toEqual([Mode.MODE_VISIBILITY, Mode.MODE_VISIBILITY]);
  });
});

/** The source's address as the server's host saw it. */
function seenFrom({ views, source }: Flow): string {
  const far = views.find(({ direction }) => direction === Direction.DIRECTION_INBOUND);
  return [...(far?.remoteIp ?? source?.ip ?? [])].join('.');
}
