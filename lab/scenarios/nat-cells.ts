// The cells of the NAT matrix, and the fleet they run in.
//
//   alpha  Docker, userland proxy off, 172.17.0.0/16     ┐
//   beta   Docker, userland proxy on,  172.17.0.0/16     ├── router ── the routed world
//   gamma  Docker, behind the gateway 198.51.100.1       │   (translates gamma and delta by nftables)
//   delta  no Docker, 198.51.100.50 one to one           ┘
import type { PolicyFile } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { Confidence, Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Fleet, FleetHostSpec } from '../src/fleet.js';

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
];

const gateway = '198.51.100.1';
const oneToOne = '198.51.100.50';
/** Protocol, port of the gateway, published port of gamma. */
const forwarded = [
  ['tcp', 9080, 8080],
  ['tcp', 9081, 8081],
  ['udp', 9053, 8053],
  ['udp', 9054, 8054],
] as const;
/** Whose own processes are watched, not enforced. */
const machines: Readonly<Record<string, true>> = { alpha: true, beta: true, gamma: true };

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
    match: { label: role, in: [client, stranger, web, proxied-web, office-client, office-web, plain] }
    mode: enforce
rules:
  - id: clients
    service: [tcp/80, udp/53]
    providedBy: { label: role, in: [web, proxied-web, office-web, plain] }
    usedBy: { label: role, in: [client, office-client, plain] }
  - id: machines
    service: [tcp/82, udp/55]
    providedBy: { label: role, in: [web, proxied-web] }
    usedBy: { label: role, in: [machine, proxy-machine, office-machine] }
  - id: proxy
    service: [tcp/80, udp/53]
    providedBy: role=proxied-web
    usedBy: role=proxy-machine
`,
  },
];

/** How one end's agent recorded a cell. */
export interface SeenBy {
  readonly direction: Direction;
  readonly allowed: boolean;
  readonly confidence: Confidence;
  /** The other end's name in the record, when it is not the cell's; empty: one of several, none of which was allowed. */
  readonly names?: string;
}

export interface Cell {
  readonly name: string;
  /** Place, or host. */
  readonly from: string;
  readonly to: string;
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  /** The same as the client's kernel sees it when it decides. */
  readonly observed: string;
  readonly port: number;
  readonly servicePort: number;
  readonly allowed: boolean;
  readonly records: readonly SeenBy[];
}

const OUT = Direction.DIRECTION_OUTBOUND;
const IN = Direction.DIRECTION_INBOUND;
const { CONFIDENCE_EXACT: EXACT, CONFIDENCE_MAPPED: MAPPED, CONFIDENCE_SHARED: SHARED } = Confidence;

/** What is between the two ends, and how each sees the other when it is allowed. */
interface Row {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** Default: address. A host's own processes are decided after Docker has translated. */
  readonly observed?: string;
  /** Added to published ports on the way. */
  readonly outside?: number;
  /** Reached by published ports, not by the service's own. */
  readonly published: boolean;
  readonly out: Confidence;
  readonly in: Confidence;
  /** The source as the server names it; default the source. */
  readonly seenAs?: string;
  readonly only?: 'tcp' | 'udp';
  /** Machines have other ports. Default: as clients. */
  readonly machine?: boolean;
  readonly family?: 'v4' | 'v6';
}

export function cells(fleet: Fleet): Cell[] {
  const v4 = (name: string) => fleet.member(name).host.addresses.ip4;
  const v6 = (name: string) => fleet.member(name).host.addresses.ip6;
  const inside = (name: string) => fleet.place(name).addresses;
  const mapped = { published: true, out: MAPPED, in: SHARED } as const;
  const plain = { published: false, out: EXACT, in: EXACT } as const;
  const own = { published: true, out: EXACT, in: EXACT, machine: true } as const;
  const rows: Row[] = [
    { name: 'published port', from: 'beta', to: 'a-web', address: v4('alpha'), ...mapped, machine: true },
    { name: 'published port, proxy on', from: 'alpha', to: 'b-web', address: v4('beta'), ...mapped, machine: true },
    {
      name: 'published port + container SNAT, same range on both',
      from: 'a-client',
      to: 'b-web',
      address: v4('beta'),
      ...mapped,
    },
    { name: 'published port + container SNAT, back', from: 'b-client', to: 'a-web', address: v4('alpha'), ...mapped },
    { name: 'same bridge', from: 'a-client', to: 'a-web', address: inside('a-web').ip4, ...plain },
    {
      name: 'plain, containers routed',
      from: 'a-client',
      to: 'b-web',
      address: inside('b-web').ip6,
      ...plain,
      family: 'v6',
    },
    {
      name: 'host process to own published port',
      from: 'alpha',
      to: 'a-web',
      address: v4('alpha'),
      observed: inside('a-web').ip4,
      ...own,
    },
    {
      name: 'host process to own published port, proxy on',
      from: 'beta',
      to: 'b-web',
      address: v4('beta'),
      observed: inside('b-web').ip4,
      ...own,
    },
    { name: 'hairpin', from: 'a-client', to: 'a-web', address: v4('alpha'), ...mapped, in: EXACT },
    {
      name: 'hairpin by the bridge, proxy on',
      from: 'b-client',
      to: 'b-web',
      address: '172.17.0.1',
      ...mapped,
      in: EXACT,
      seenAs: 'beta',
    },
    {
      name: 'published port, proxy on',
      from: 'a-client',
      to: 'b-web',
      address: v6('beta'),
      ...mapped,
      in: EXACT,
      seenAs: 'beta',
      family: 'v6',
    },
    { name: 'gateway SNAT', from: 'gamma', to: 'a-web', address: v4('alpha'), ...mapped, machine: true },
    { name: 'gateway SNAT + container SNAT', from: 'g-client', to: 'a-web', address: v4('alpha'), ...mapped },
    {
      name: 'gateway mapping + published port',
      from: 'a-client',
      to: 'g-web',
      address: gateway,
      ...mapped,
      outside: 1000,
    },
    {
      name: 'one to one, inwards',
      from: 'a-client',
      to: 'd-svc',
      address: oneToOne,
      ...plain,
      out: SHARED,
      in: SHARED,
    },
    { name: 'one to one, outwards', from: 'd-svc', to: 'a-web', address: v4('alpha'), ...mapped },
  ];
  return rows.flatMap((row) =>
    (['tcp', 'udp'] as const).flatMap((protocol) => pair(row, protocol, row.family ?? 'v4')),
  );
}

/** Allowed on the first port, denied on the second. */
function pair(row: Row, protocol: 'tcp' | 'udp', family: 'v4' | 'v6'): Cell[] {
  const [client, bad, machine] = protocol === 'tcp' ? [80, 81, 82] : [53, 54, 55];
  const good = row.machine ? machine : client;
  const outside = (port: number) => (row.published ? 8000 + port + (row.outside ?? 0) : port);
  const observed = row.observed ?? row.address;
  const cell = { observed, from: row.from, to: row.to, protocol, address: row.address };
  const title = (what: string) => `${row.name}, ${protocol} ${family}, ${what}`;
  const watched = row.from in machines;
  const inbound = { direction: IN, confidence: row.in, ...(row.seenAs && { names: row.seenAs }) };
  return [
    {
      ...cell,
      name: title('allowed'),
      port: outside(good),
      servicePort: good,
      allowed: true,
      records: [
        { direction: OUT, allowed: true, confidence: row.out },
        { ...inbound, allowed: true },
      ],
    },
    {
      ...cell,
      name: title(watched ? 'denied by the server' : 'denied by the client'),
      port: outside(bad),
      servicePort: bad,
      allowed: false,
      records: watched
        ? [
            { direction: OUT, allowed: true, confidence: row.out },
            { ...inbound, allowed: false, ...(row.in === SHARED && { names: '' }) },
          ]
        : [{ direction: OUT, allowed: false, confidence: row.out, ...(row.out === SHARED && { names: '' }) }],
    },
  ];
}

/** The gateway's nftables in the router. It begins to translate once the fleet is up. */
export async function openGateway(fleet: Fleet): Promise<void> {
  const [gamma, delta] = [fleet.member('gamma').host, fleet.member('delta').host];
  const maps = forwarded.map(
    ([protocol, outside, inside]) =>
      `ip daddr ${gateway} ${protocol} dport ${outside} dnat to ${gamma.addresses.ip4}:${inside}`,
  );
  await fleet.lab.router.exec('nft', ['-f', '-'], {
    input: `table ip gateway {
      chain in {
        type nat hook prerouting priority -100
        ${maps.join('\n        ')}
        ip daddr ${oneToOne} dnat to ${delta.addresses.ip4}
      }
      chain out {
        type nat hook postrouting priority 100
        ip saddr ${gamma.addresses.ip4} oifname != "${gamma.routerInterface}" snat to ${gateway}
        ip saddr ${delta.addresses.ip4} oifname != "${delta.routerInterface}" snat to ${oneToOne}
      }
    }
`,
  });
}

/** The same, declared. */
export async function spaces(fleet: Fleet): Promise<void> {
  const [gamma, delta] = [fleet.member('gamma').host, fleet.member('delta').host];
  const content = `spaces:
  - name: office
    hosts: [gamma]
    source: [{ address: ${gateway} }]
    destination:
${forwarded
  .map(
    ([protocol, outside, inside]) =>
      `      - { protocol: ${protocol}, address: ${gateway}, port: ${outside}, to: ${gamma.addresses.ip4}, toPort: ${inside} }`,
  )
  .join('\n')}
  - name: dmz
    hosts: [delta]
    source: [{ oneToOne: { inside: ${delta.addresses.ip4}/32, outside: ${oneToOne}/32 } }]
`;
  const outcome = await fleet.api.applySpaces(content);
  if (!outcome.accepted)
    throw new Error(`Cannot apply spaces: ${outcome.problems.map((each) => each.message).join('; ')}`);
}
