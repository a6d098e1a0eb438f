// The cells of the NAT matrix, and the fleet they run in.
//
//   alpha  Docker, userland proxy off, 172.17.0.0/16     ┐
//   beta   Docker, userland proxy on,  172.17.0.0/16     ├── router ── the routed world
//   gamma  Docker, behind the gateway 198.51.100.1       │   (translates gamma and delta by nftables)
//   delta  no Docker, 198.51.100.50 one to one           ┘
//   epsilon  Docker, containers routed, no translation
import type { PolicyFile } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Fleet, FleetHostSpec } from '../src/fleet.js';
import { GATEWAY } from './nat-gateway.js';
import { type Cell, exchangesOf, type Row } from './nat-matrix.js';

const bridge = '172.17.0.1/16';
const nat = { dockerNat: true, bridge } as const;
const publish = {
  ...{ '80/tcp': 8080, '81/tcp': 8081, '82/tcp': 8082 },
  ...{ '53/udp': 8053, '54/udp': 8054, '55/udp': 8055 },
};

export const fleetSpec: readonly FleetHostSpec[] = [
  { name: 'alpha', ...nat, containers: ['a-client', 'a-web', 'a-stranger'], publish: { 'a-web': publish } },
  { name: 'beta', ...nat, userlandProxy: true, containers: ['b-client', 'b-web'], publish: { 'b-web': publish } },
  { name: 'gamma', ...nat, containers: ['g-client', 'g-web'], publish: { 'g-web': publish } },
  { name: 'delta', services: ['d-svc'] },
  { name: 'epsilon', containers: ['e-web'] },
];

const { address: gateway, oneToOne } = GATEWAY.v4;
export const labels: Readonly<Record<string, Record<string, string>>> = {
  alpha: { role: 'machine' },
  beta: { role: 'proxy-machine' },
  'a-client': { role: 'client' },
  'b-client': { role: 'client' },
  'a-stranger': { role: 'stranger' },
  'a-web': { role: 'web' },
  'b-web': { role: 'proxied-web' },
  gamma: { role: 'office-machine' },
  'g-client': { role: 'office-client' },
  'g-web': { role: 'office-web' },
  'd-svc': { role: 'plain' },
  'e-web': { role: 'routed-web' },
  // Made by nat-wide-cells.ts.
  'a-back': { role: 'back' },
  'a-two': { role: 'two' },
  'a-hostnet': { role: 'hostnet' },
};

/**
 * Containers are enforced, machines watched. Clients and machines have ports of their own, so that behind a shared address only one
 * of them is allowed each. Docker's proxy is a process of its host: what comes through it comes from the host.
 */
export const natPolicy: PolicyFile[] = [
  {
    name: 'nat.yaml',
    content: `
modes:
  - id: containers
    match:
      label: role
      in: [client, stranger, web, proxied-web, office-client, office-web, plain, routed-web, back, two, hostnet]
    mode: enforce
rules:
  - id: clients
    service: [tcp/80, udp/53]
    providedBy: { label: role, in: [web, proxied-web, office-web, plain, routed-web, two, hostnet] }
    usedBy: { label: role, in: [client, office-client, plain, back, two, hostnet, printer] }
  - id: pings
    service: [icmp/8, icmpv6/128]
    providedBy: { label: role, in: [web, routed-web, plain] }
    usedBy: { label: role, in: [client, office-client, plain] }
  - id: machines
    service: [tcp/82, udp/55]
    providedBy: { label: role, in: [web, proxied-web, routed-web] }
    usedBy: { label: role, in: [machine, proxy-machine, office-machine] }
  - id: everybody
    service: [tcp/84, udp/56]
    providedBy: role=routed-web
    usedBy: anyone
  - id: streams
    service: [tcp/90, udp/90]
    providedBy: role=routed-web
    usedBy: role=office-client
  - id: proxy
    service: [tcp/80, udp/53]
    providedBy: role=proxied-web
    usedBy: role=proxy-machine
`,
  },
];

export function cells(fleet: Fleet): Cell[] {
  const v4 = (name: string) => fleet.member(name).host.addresses.ip4;
  const v6 = (name: string) => fleet.member(name).host.addresses.ip6;
  const inside = (name: string) => fleet.place(name).addresses;
  const own = { published: true, machine: true } as const;
  const rows: Row[] = [
    { name: 'published port', from: 'beta', to: 'a-web', address: v4('alpha'), published: true, machine: true },
    {
      name: 'published port, proxy on',
      from: 'alpha',
      to: 'b-web',
      address: v4('beta'),
      published: true,
      machine: true,
    },
    {
      name: 'published port + container SNAT, same range on both',
      from: 'a-client',
      to: 'b-web',
      address: v4('beta'),
      published: true,
    },
    {
      name: 'published port + container SNAT, back',
      from: 'b-client',
      to: 'a-web',
      address: v4('alpha'),
      published: true,
    },
    { name: 'same bridge', from: 'a-client', to: 'a-web', address: inside('a-web').ip4, published: false },
    {
      name: 'plain, containers routed',
      from: 'a-client',
      to: 'b-web',
      address: inside('b-web').ip6,
      published: false,
      family: 'v6',
    },
    {
      name: 'host process to own published port',
      from: 'alpha',
      to: 'a-web',
      address: v4('alpha'),
      ...own,
    },
    {
      name: 'host process to own published port, proxy on',
      from: 'beta',
      to: 'b-web',
      address: v4('beta'),
      ...own,
    },
    { name: 'hairpin', from: 'a-client', to: 'a-web', address: v4('alpha'), published: true },
    {
      name: 'hairpin by the bridge, proxy on',
      from: 'b-client',
      to: 'b-web',
      address: '172.17.0.1',
      published: true,
    },
    {
      name: 'published port, proxy on',
      from: 'a-client',
      to: 'b-web',
      address: v6('beta'),
      published: true,
      family: 'v6',
    },
    { name: 'gateway SNAT', from: 'gamma', to: 'a-web', address: v4('alpha'), published: true, machine: true },
    { name: 'gateway SNAT + container SNAT', from: 'g-client', to: 'a-web', address: v4('alpha'), published: true },
    {
      name: 'gateway mapping + published port',
      from: 'a-client',
      to: 'g-web',
      address: gateway,
      published: true,
      outside: 1000,
    },
    {
      name: 'one to one, inwards',
      from: 'a-client',
      to: 'd-svc',
      address: oneToOne,
      published: false,
    },
    { name: 'one to one, outwards', from: 'd-svc', to: 'a-web', address: v4('alpha'), published: true },
  ];
  return rows.flatMap(exchangesOf);
}
