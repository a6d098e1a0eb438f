import { addressHex, formatAddress, parseAddress } from '@ringfence/proto/address.js';
import { describe, expect, it } from 'vitest';
import { declareSpaces } from './declare.js';
import { withObserved } from './observed.js';
import { SpaceTree } from './spaces.js';
import { hostScope, type Located, Topology, WORLD } from './view.js';

const address = (text: string) => parseAddress(text) ?? new Uint8Array(16);
const hex = (text: string) => addressHex(address(text));
const at = (text: string, space = '') => ({ space, address: address(text) });
const HOST: Located = { hostId: 'h', localId: 'host', addresses: [at('192.0.2.10'), at('172.17.0.1', 'local:net')] };

function places(topology: Topology, workload: Located): string[] {
  return topology.placesOf(workload).map(({ scope, key }) => {
    const bytes = Buffer.from(key.slice(-32), 'hex');
    return `${scope === WORLD ? 'world' : scope} ${formatAddress(bytes)}`;
  });
}

describe('what was observed', () => {
  it('puts a routed container that the host masquerades also behind the address it was seen to leave as', () => {
    const routed: Located = {
      hostId: 'h',
      localId: 'container:r',
      addresses: [at('10.201.1.2')],
      leavesAs: [address('192.0.2.10')],
    };
    const topology = new Topology();
    for (const each of [HOST, routed]) topology.add(each);
    expect(topology.settle()).toEqual(['h']);
    expect(places(topology, routed)).toEqual(['world 10.201.1.2', 'world 192.0.2.10']);
    // On its own host the address still means the host alone.
    expect(places(topology, HOST)).toContain(`${hostScope('h')} 192.0.2.10`);
    topology.remove(routed);
    expect(topology.settle()).toEqual(['h']);
    expect(places(topology, HOST)).not.toContain(`${hostScope('h')} 192.0.2.10`);
  });

  it("puts a container behind an address that is not the host's own: source NAT to another one", () => {
    const hidden: Located = {
      hostId: 'h',
      localId: 'container:c',
      addresses: [at('172.17.0.2', 'local:net')],
      leavesAs: [address('203.0.113.7')],
    };
    const topology = new Topology();
    for (const each of [HOST, hidden]) topology.add(each);
    topology.settle();
    expect(places(topology, hidden)).toEqual([`${hostScope('h')} 172.17.0.2`, 'world 192.0.2.10', 'world 203.0.113.7']);
  });

  it('climbs from there through the spaces around the host', () => {
    const declared = declareSpaces('f', 'spaces: [{ name: office, hosts: [h], source: [{ address: 198.51.100.1 }] }]');
    const topology = new Topology(declared.tree ?? SpaceTree.EMPTY);
    const routed: Located = {
      hostId: 'h',
      localId: 'container:r',
      addresses: [at('10.201.1.2')],
      leavesAs: [address('192.0.2.10')],
    };
    for (const each of [HOST, routed]) topology.add(each);
    topology.settle();
    expect(places(topology, routed)).toEqual(['office 10.201.1.2', 'world 198.51.100.1', 'office 192.0.2.10']);
  });
});

describe('withObserved', () => {
  const tree = (more: string) =>
    declareSpaces('f', `spaces: [{ name: office, hosts: [h], gateway: gw${more} }]`).tree ?? SpaceTree.EMPTY;
  const pairs = [
    { inside: hex('10.1.0.5'), outside: hex('198.51.100.2') },
    { inside: hex('10.1.0.6'), outside: hex('198.51.100.1') },
    { inside: hex('fd00::5'), outside: hex('2001:db8::1') },
  ];
  const outwards = (made: SpaceTree, text: string) =>
    made.outwards({ space: 'office', hex: hex(text) })?.hex.map((each) => formatAddress(Buffer.from(each, 'hex')));

  it('takes all that the gateway gives for one pool, of each family', () => {
    const made = withObserved(tree(''), (id) => (id === 'gw' ? { pairs } : undefined));
    expect(outwards(made, '10.1.0.9')).toEqual(['198.51.100.1', '198.51.100.2']);
    expect(outwards(made, 'fd00::9')).toEqual(['2001:db8::1']);
  });

  it('lets what is declared for a family stand, and is routed where nothing was seen', () => {
    const made = withObserved(tree(', source: [{ address: 198.51.100.9 }]'), () => ({ pairs }));
    expect(outwards(made, '10.1.0.9')).toEqual(['198.51.100.9']);
    expect(outwards(made, 'fd00::9')).toEqual(['2001:db8::1']);
    expect(
      outwards(
        withObserved(tree(''), () => undefined),
        '10.1.0.9',
      ),
    ).toEqual(['10.1.0.9']);
  });

  it('puts what is reached through a port of the gateway behind it, published ports of hosts included', () => {
    const to = (text: string, toPort: number, port: number) => ({
      ...{ protocol: 6, address: hex('198.51.100.1'), port },
      ...{ to: hex(text), toPort },
    });
    const destinations = [to('10.1.0.5', 8080, 9080), to('10.1.0.5', 22, 9022), to('10.9.0.1', 80, 9081)];
    const declared =
      ', networks: [10.1.0.0/16], destination: [{ protocol: tcp, address: 198.51.100.1, port: 9022, to: 10.1.0.6, toPort: 22 }]';
    const topology = new Topology(withObserved(tree(declared), () => ({ pairs, destinations })));
    const inside: Located = {
      ...{ hostId: 'h', localId: 'container:c', addresses: [at('172.17.0.2', 'local:net')] },
      published: [{ protocol: 6, address: undefined, hostPort: 8080, port: 80 }],
    };
    const host: Located = { hostId: 'h', localId: 'host', addresses: [at('10.1.0.5')] };
    for (const each of [host, inside]) topology.add(each);
    topology.settle();
    const services = (workload: Located) =>
      topology
        .servicesOf(workload)
        .filter(({ scope }) => scope === WORLD)
        .map(({ hex: outer, port, toPort }) => `${formatAddress(Buffer.from(outer, 'hex'))}:${port} ${toPort}`);
    expect(services(inside)).toEqual(['198.51.100.1:9080 80']);
    // What is declared for a port stands (it leads to another machine), and what leads out of the space counts for nobody.
    expect(services(host)).toEqual(['198.51.100.1:9080 8080']);
  });

  it('gives the same tree when no space names a gateway', () => {
    expect(withObserved(SpaceTree.EMPTY, () => ({ pairs }))).toBe(SpaceTree.EMPTY);
  });
});
