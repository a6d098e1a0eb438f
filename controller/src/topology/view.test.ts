import { addressFromHex, formatAddress, parseAddress } from '@ringfence/proto/address.js';
import { describe, expect, it } from 'vitest';
import { hostScope, type Located, type Published, Topology } from './view.js';

function address(text: string): Uint8Array {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new RangeError(`no address: ${text}`);
  return parsed;
}

function located(hostId: string, localId: string, addresses: string[], published?: Published[]): Located {
  return {
    hostId,
    localId,
    addresses: addresses.map((each) => {
      const [plain = '', space = ''] = each.split('@');
      return { space, address: address(plain) };
    }),
    published,
  };
}

const show = (places: readonly { scope: string; hex: string }[]) =>
  places.map(({ scope, hex }) => `${scope || 'world'} ${formatAddress(addressFromHex(hex))}`).sort();

/** Docker's defaults: a bridge behind masquerade for IPv4, IPv6 routed. */
function docker() {
  const topology = new Topology();
  const host = located('a', 'host', ['192.0.2.1', '2001:db8::1', '172.17.0.1@local:bridge']);
  const service = located('a', 'cgroup:/x', ['192.0.2.1', '2001:db8::1', '172.17.0.1@local:bridge']);
  const container = located(
    'a',
    'container:1',
    ['172.17.0.2@local:bridge', '2001:db8:1::2'],
    [
      { protocol: 6, address: address('0.0.0.0'), hostPort: 8080, port: 80 },
      { protocol: 17, address: undefined, hostPort: 5353, port: 53 },
      { protocol: 6, address: address('127.0.0.1'), hostPort: 9000, port: 90 },
    ],
  );
  return { topology, host, service, container };
}

describe('Topology', () => {
  it('a container behind masquerade, is behind its host address elsewhere and itself at home', () => {
    const { topology, host, service, container } = docker();
    for (const each of [container, host, service]) topology.add(each);
    expect(topology.settle()).toEqual(['a']);
    expect(show(topology.placesOf(container))).toEqual(['@a 172.17.0.2', 'world 192.0.2.1', 'world 2001:db8:1::2']);
    // At home the host's own IPv4 address means the host and its services only.
    const own = ['@a 172.17.0.1', '@a 192.0.2.1', 'world 192.0.2.1', 'world 2001:db8::1'];
    expect(show(topology.placesOf(host))).toEqual(own);
    expect(show(topology.placesOf(service))).toEqual(own);
    expect(topology.scopes('a')).toEqual([hostScope('a'), '']);
  });

  it('published ports, are on every address that Docker listens on, of its family, and on the bridge at home', () => {
    const { topology, host, container } = docker();
    for (const each of [host, container]) topology.add(each);
    topology.settle();
    const services = topology
      .servicesOf(container)
      .map(({ scope, hex, protocol, port, toPort }) => `${show([{ scope, hex }])[0]} ${protocol}/${port}>${toPort}`)
      .sort();
    expect(services).toEqual([
      '@a 172.17.0.1 17/5353>53',
      '@a 172.17.0.1 6/8080>80',
      'world 192.0.2.1 17/5353>53',
      'world 192.0.2.1 6/8080>80',
      'world 2001:db8::1 17/5353>53',
    ]);
  });

  it('a host without hidden containers, needs no places of its own at home', () => {
    const { topology, host } = docker();
    topology.add(host);
    topology.settle();
    expect(show(topology.placesOf(host))).toEqual(['@a 172.17.0.1', 'world 192.0.2.1', 'world 2001:db8::1']);
  });

  it('only what changes the view of others, moves the host', () => {
    const { topology, host, container } = docker();
    topology.add(host);
    topology.add(container);
    topology.settle();
    topology.add(located('a', 'container:2', ['172.17.0.3@local:bridge']));
    expect(topology.settle()).toEqual([]);
    topology.remove(host);
    topology.add(located('a', 'host', ['192.0.2.9', '172.17.0.1@local:bridge']));
    expect(topology.settle()).toEqual(['a']);
    expect(show(topology.placesOf(container))).toEqual(['@a 172.17.0.2', 'world 192.0.2.9', 'world 2001:db8:1::2']);
  });

  it('an address in a space that nobody declared, is seen by nobody', () => {
    const topology = new Topology();
    expect(topology.placesOf(located('a', 'x', ['10.9.9.9@vpc-1']))).toEqual([]);
    expect(topology.placesOf(located('', '', ['10.9.9.9@local:bridge']))).toEqual([]);
  });
});
