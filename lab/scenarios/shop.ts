import type { PolicyFile } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { Fleet, type FleetHostSpec } from '../src/fleet.js';

/** A small system that most scenarios share: client and server on two hosts, a forbidden third, one plain service. */
export const shopHosts: readonly FleetHostSpec[] = [
  { name: 'alpha', containers: ['client', 'intruder'], services: ['probe'] },
  { name: 'beta', containers: ['server'], services: ['api'] },
];

const roles = ['client', 'intruder', 'probe', 'server', 'api'] as const;

const rules = {
  base: `
modes:
  - id: all
    match: app=shop
    mode: enforce
rules:
  - id: client-to-server
    service: [tcp/80, udp/53, icmp/8, icmpv6/128]
    providedBy: { label: role, in: [server, api] }
    usedBy: role=client
  - id: probe-to-server
    service: tcp/80
    providedBy: role=server
    usedBy: role=probe
`,
  extra: `
rules:
  - id: client-extra
    service: tcp/81
    providedBy: { label: role, in: [server, api] }
    usedBy: role=client
  - id: probe-extra
    service: tcp/81
    providedBy: role=server
    usedBy: role=probe
`,
} as const;

/** The policy's files; `extra` allows port 81 as well. */
export function shopPolicy(options: { extra: boolean }): PolicyFile[] {
  const files = [{ name: 'base.yaml', content: rules.base }];
  return options.extra ? [...files, { name: 'extra.yaml', content: rules.extra }] : files;
}

/** Starts the shop with labels, servers on every port that matters, and the whole policy provisioned. */
export async function startShop(hosts: readonly FleetHostSpec[] = shopHosts): Promise<Fleet> {
  const fleet = await Fleet.start(hosts);
  try {
    for (const role of roles) await fleet.label(role, { role, app: 'shop' });
    for (const name of ['server', 'api']) await fleet.place(name).serve('tcp:80', 'tcp:81', 'tcp:82', 'udp:53');
    await fleet.provision(shopPolicy({ extra: true }));
    return fleet;
  } catch (error) {
    await fleet.close();
    throw error;
  }
}
