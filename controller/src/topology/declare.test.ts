import { addressFromHex, addressHex, formatAddress, parseAddress } from '@ringfence/proto/address.js';
import { describe, expect, it } from 'vitest';
import { declareSpaces } from './declare.js';
import type { SpaceTree } from './spaces.js';
import { type Located, Topology } from './view.js';

function address(text: string): Uint8Array {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new RangeError(`no address: ${text}`);
  return parsed;
}
const hexOf = (text: string) => addressHex(address(text));
const shown = (hex: string) => formatAddress(addressFromHex(hex));

function treeOf(text: string): SpaceTree {
  const { tree, problems } = declareSpaces('spaces.yaml', text);
  if (tree === undefined) throw new Error(problems.map(({ message }) => message).join('\n'));
  return tree;
}

const OFFICE = `
spaces:
  - name: office
    hosts: [g]
    networks: [10.1.0.0/16]
    source: [{ address: 198.51.100.1 }]
    destination:
      - { address: 198.51.100.1, port: 9080, to: 10.1.0.5, toPort: 8080 }
      - { protocol: udp, address: 198.51.100.1, port: 53, to: 10.1.0.5 }
  - name: lab
    parent: office
    source: [{ oneToOne: { inside: 10.9.0.0/24, outside: 10.1.9.0/24 } }]
`;

describe('SpaceTree', () => {
  const tree = treeOf(OFFICE);

  it('climbs through every translator', () => {
    expect(tree.chain('lab')).toEqual(['lab', 'office', '']);
    expect(tree.climb({ space: 'lab', hex: hexOf('10.9.0.7') }).map(({ space, hex }) => [space, shown(hex)])).toEqual([
      ['office', '10.1.9.7'],
      ['', '198.51.100.1'],
    ]);
  });

  it('has no way out for an address that nobody translates, and leaves a family alone that nobody speaks of', () => {
    expect(tree.climb({ space: 'lab', hex: hexOf('10.8.0.7') })).toEqual([]);
    expect(
      tree.climb({ space: 'lab', hex: hexOf('2001:db8::7') }).map(({ space, hex }) => [space, shown(hex)]),
    ).toEqual([
      ['office', '2001:db8::7'],
      ['', '2001:db8::7'],
    ]);
  });

  it('a port block, is the address it belongs to', () => {
    const blocks = treeOf(`
spaces:
  - name: cgn
    source:
      - { ports: { inside: 100.64.0.1/32, outside: 198.51.100.7, low: 1024, high: 2047 } }
      - { ports: { inside: 100.64.0.2/32, outside: 198.51.100.7, low: 2048, high: 4095 } }
      - { pool: [198.51.100.8, 198.51.100.9] }
`);
    const seen = (text: string) => blocks.outwards({ space: 'cgn', hex: hexOf(text) });
    expect(seen('100.64.0.2')).toMatchObject({ kind: 'ports', hex: [hexOf('198.51.100.7')] });
    expect(seen('100.64.0.3')).toMatchObject({ kind: 'shared', hex: [hexOf('198.51.100.8'), hexOf('198.51.100.9')] });
  });
});

describe('two translations: a container behind a host behind a gateway', () => {
  const topology = new Topology(treeOf(OFFICE));
  const host: Located = {
    hostId: 'g',
    localId: 'host',
    addresses: [
      { space: '', address: address('10.1.0.5') },
      { space: 'local:bridge', address: address('172.17.0.1') },
    ],
  };
  const container: Located = {
    hostId: 'g',
    localId: 'container:1',
    addresses: [{ space: 'local:bridge', address: address('172.17.0.2') }],
    published: [{ protocol: 6, address: undefined, hostPort: 8080, port: 80 }],
  };
  topology.add(host);
  topology.add(container);
  topology.settle();

  it('is seen at home, in its office and in the world, under one address each', () => {
    expect(topology.placesOf(container).map(({ scope, hex }) => [scope, shown(hex)])).toEqual([
      ['@g', '172.17.0.2'],
      ['office', '10.1.0.5'],
      ['', '198.51.100.1'],
    ]);
    expect(topology.scopes('g')).toEqual(['@g', 'office', '']);
    expect(topology.scopes('elsewhere')).toEqual(['@elsewhere', '']);
  });

  it('is reached by its published port in the office, and by the gateway mapping that leads there in the world', () => {
    const services = topology.servicesOf(container);
    expect(services.map(({ scope, hex, port, toPort }) => [scope, `${shown(hex)}:${port}`, toPort])).toEqual([
      ['@g', '172.17.0.1:8080', 80],
      ['office', '10.1.0.5:8080', 80],
      ['', '198.51.100.1:9080', 80],
    ]);
    // The host itself answers the mapping of a port that no container publishes.
    expect(topology.servicesOf(host).map(({ protocol, port, toPort }) => [protocol, port, toPort])).toContainEqual([
      17, 53, 53,
    ]);
  });
});

describe('declareSpaces refuses', () => {
  it.each([
    ['a tree that is none', '[{ name: a, parent: b }, { name: b, parent: a }]', 'RF_SPACE_CYCLE', 'a in b in a'],
    ['an unknown parent', '[{ name: a, parent: x }]', 'RF_SPACE_PARENT', 'no such space'],
    ['a name twice', '[{ name: a }, { name: a }]', 'RF_SPACE_NAME', 'found it twice'],
    ['a name of agents', '[{ name: "local:x" }]', 'RF_SPACE_NAME', 'local:x'],
    ['a host in two spaces', '[{ name: a, hosts: [h] }, { name: b, hosts: [h] }]', 'RF_SPACE_HOST', 'in a too'],
    [
      'one outside address for two spaces',
      '[{ name: a, source: [{ address: 192.0.2.1 }] }, { name: b, source: [{ pool: [192.0.2.1] }] }]',
      'RF_SPACE_OVERLAP',
      'space a behind it',
    ],
    ['overlapping networks', '[{ name: a, networks: [10.0.0.0/8, 10.1.0.0/16] }]', 'RF_SPACE_OVERLAP', '10.1.0.0/16'],
    [
      'overlapping port blocks',
      '[{ name: a, source: [{ ports: { inside: 10.0.0.1/32, outside: 192.0.2.1, low: 1, high: 9 } }, { ports: { inside: 10.0.0.2/32, outside: 192.0.2.1, low: 9, high: 12 } }] }]',
      'RF_SPACE_OVERLAP',
      'given away',
    ],
    [
      'a one-to-one translation of two sizes',
      '[{ name: a, source: [{ oneToOne: { inside: 10.0.0.0/24, outside: 192.0.2.0/25 } }] }]',
      'RF_SPACE_OVERLAP',
      'different sizes',
    ],
    [
      'a mapping to nowhere',
      '[{ name: a, networks: [10.0.0.0/24], destination: [{ address: 192.0.2.1, port: 1, to: 10.0.1.1 }] }]',
      'RF_SPACE_ORPHAN',
      '10.0.1.1',
    ],
    ['NAT64 by its name', '[{ name: a, source: [{ nat64: {} }] }]', 'RF_SPACE_NAT64', 'an entry nat64'],
    [
      'IPv6 one to one with IPv4',
      '[{ name: a, source: [{ oneToOne: { inside: "fd00::/96", outside: 10.0.0.0/8 } }] }]',
      'RF_SPACE_NAT64',
      'fd00::/96 translated to 10.0.0.0',
    ],
    [
      'IPv6 behind a pool of IPv4',
      '[{ name: a, source: [{ pool: [198.51.100.1], inside: "fd00::/64" }] }]',
      'RF_SPACE_NAT64',
      'fd00::/64 translated to 198.51.100.1',
    ],
    [
      'a mapping from one family to the other',
      '[{ name: a, destination: [{ address: 198.51.100.1, port: 80, to: "fd00::1" }] }]',
      'RF_SPACE_NAT64',
      '198.51.100.1 leading to fd00::1',
    ],
    ['the NAT64 prefix', '[{ name: a, networks: ["64:ff9b::/96"] }]', 'RF_SPACE_NAT64', '64:ff9b::/96'],
    [
      'parts of a space that overlap',
      '[{ name: a, source: [{ address: 198.51.100.1, inside: 10.0.0.0/8 }, { address: 198.51.100.1, inside: 10.1.0.0/16 }] }]',
      'RF_SPACE_OVERLAP',
      '10.1.0.0/16',
    ],
    [
      'a part that is in no network',
      '[{ name: a, networks: [10.0.0.0/8], source: [{ address: 198.51.100.1, inside: 172.16.0.0/16 }] }]',
      'RF_SPACE_ORPHAN',
      '172.16.0.0/16',
    ],
    ['an address that is none', '[{ name: a, source: [{ address: 10.0.0 }] }]', 'RF_SPACES_SHAPE', 'spaces.0.source'],
    ['a misspelt member', '[{ name: a, hostz: [] }]', 'RF_SPACES_SHAPE', 'hostz'],
  ])('%s', (_what, spaces, code, message) => {
    const { tree, problems } = declareSpaces('spaces.yaml', `spaces: ${spaces}\n`);
    expect(tree).toBeUndefined();
    expect(problems).toContainEqual(
      expect.objectContaining({ code, line: 1, message: expect.stringContaining(message) }),
    );
  });

  it('what is no YAML, with its place', () => {
    expect(declareSpaces('x', 'spaces: [').problems[0]).toMatchObject({ code: 'RF_SPACES_YAML', line: 1 });
  });

  it('nothing of the same private range in many spaces', () => {
    expect(
      treeOf('spaces: [{ name: a, networks: [10.0.0.0/8] }, { name: b, networks: [10.0.0.0/8] }]').all(),
    ).toHaveLength(2);
  });
});
