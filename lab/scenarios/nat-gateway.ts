// The gateway of the NAT matrix: nftables in the lab's router, of both families, and the same as declared spaces. It can be replaced by one
// that gives addresses otherwise.
import type { Fleet } from '../src/fleet.js';

export const GATEWAY = {
  v4: { address: '198.51.100.1', oneToOne: '198.51.100.50' },
  v6: { address: 'fd77:fff::1', oneToOne: 'fd77:fff::50' },
} as const;

/** How gamma leaves by IPv4. */
export type GatewayKind = 'address' | 'pool' | 'ports';

export const POOL = ['198.51.100.11', '198.51.100.12', '198.51.100.13'] as const;
export const BLOCK = { address: '198.51.100.9', low: 20_000, high: 20_999 } as const;

/** Protocol, port of the gateway, published port of gamma; of IPv6: port of the gateway, g-web's own. */
const FORWARDED = [
  ['tcp', 9080, 8080],
  ['tcp', 9081, 8081],
  ['udp', 9053, 8053],
  ['udp', 9054, 8054],
] as const;
const FORWARDED6 = [
  ['tcp', 9080, 80],
  ['tcp', 9081, 81],
  ['udp', 9053, 53],
  ['udp', 9054, 54],
] as const;

interface Behind {
  readonly gamma: { readonly ip4: string; readonly ip6: string; readonly net6: string; readonly oif: string };
  readonly delta: { readonly ip4: string; readonly ip6: string; readonly oif: string };
  readonly web6: string;
}

function behind(fleet: Fleet): Behind {
  const [gamma, delta] = [fleet.member('gamma').host, fleet.member('delta').host];
  return {
    gamma: { ...gamma.addresses, net6: gamma.containerNet.ip6, oif: gamma.routerInterface },
    delta: { ...delta.addresses, oif: delta.routerInterface },
    web6: fleet.place('g-web').addresses.ip6,
  };
}

/** Puts the gateway in place, or another in place of the one before. */
export async function openGateway(fleet: Fleet, kind: GatewayKind = 'address'): Promise<void> {
  const { gamma, delta, web6 } = behind(fleet);
  const { v4, v6 } = GATEWAY;
  const maps = FORWARDED.map(
    ([protocol, outside, inside]) =>
      `ip daddr ${v4.address} ${protocol} dport ${outside} dnat to ${gamma.ip4}:${inside}`,
  );
  const maps6 = FORWARDED6.map(
    ([protocol, outside, inside]) => `ip6 daddr ${v6.address} ${protocol} dport ${outside} dnat to [${web6}]:${inside}`,
  );
  const block = `${BLOCK.address}:${BLOCK.low}-${BLOCK.high}`;
  const out = {
    address: [`ip saddr ${gamma.ip4} oifname != "${gamma.oif}" snat to ${v4.address}`],
    pool: [`ip saddr ${gamma.ip4} oifname != "${gamma.oif}" snat to ${POOL[0]}-${POOL[2]}`],
    ports: (['tcp', 'udp'] as const).map(
      (protocol) => `ip saddr ${gamma.ip4} ip protocol ${protocol} oifname != "${gamma.oif}" snat to ${block}`,
    ),
  }[kind];
  await fleet.lab.router.exec('nft', ['-f', '-'], {
    input: `table ip gateway {}
    delete table ip gateway
    table ip gateway {
      chain in {
        type nat hook prerouting priority -100
        ${maps.join('\n        ')}
        ip daddr ${v4.oneToOne} dnat to ${delta.ip4}
      }
      chain out {
        type nat hook postrouting priority 100
        ${out.join('\n        ')}
        ip saddr ${delta.ip4} oifname != "${delta.oif}" snat to ${v4.oneToOne}
      }
    }
    table ip6 gateway {}
    delete table ip6 gateway
    table ip6 gateway {
      chain in {
        type nat hook prerouting priority -100
        ${maps6.join('\n        ')}
        ip6 daddr ${v6.oneToOne} dnat to ${delta.ip6}
      }
      chain out {
        type nat hook postrouting priority 100
        ip6 saddr { ${gamma.ip6}, ${gamma.net6} } oifname != "${gamma.oif}" snat to ${v6.address}
        ip6 saddr ${delta.ip6} oifname != "${delta.oif}" snat to ${v6.oneToOne}
      }
    }
`,
  });
}

/** The same, declared. */
export async function spaces(fleet: Fleet, kind: GatewayKind = 'address'): Promise<void> {
  const { gamma, delta, web6 } = behind(fleet);
  const { v4, v6 } = GATEWAY;
  const mapping = (address: string, to: string) => (each: readonly [string, number, number]) =>
    `      - { protocol: ${each[0]}, address: '${address}', port: ${each[1]}, to: '${to}', toPort: ${each[2]} }`;
  const source = {
    address: `{ address: ${v4.address} }`,
    pool: `{ pool: [${POOL.join(', ')}] }`,
    ports: `{ ports: { inside: ${gamma.ip4}/32, outside: ${BLOCK.address}, low: ${BLOCK.low}, high: ${BLOCK.high} } }`,
  }[kind];
  const content = `spaces:
  - name: office
    hosts: [gamma]
    source: [${source}, { address: '${v6.address}' }]
    destination:
${[...FORWARDED.map(mapping(v4.address, gamma.ip4)), ...FORWARDED6.map(mapping(v6.address, web6))].join('\n')}
  - name: dmz
    hosts: [delta]
    source:
      - { oneToOne: { inside: ${delta.ip4}/32, outside: ${v4.oneToOne}/32 } }
      - { oneToOne: { inside: '${delta.ip6}/128', outside: '${v6.oneToOne}/128' } }
`;
  const outcome = await fleet.api.applySpaces(content);
  if (!outcome.accepted)
    throw new Error(`Cannot apply spaces: ${outcome.problems.map((each) => each.message).join('; ')}`);
}
