// The rest of the NAT matrix: ICMP, gateways by IPv6, address pools and port blocks, several networks on one host.
import { parseAddress, wireAddress } from '@ringfence/proto/address.js';
import type { Fleet } from '../src/fleet.js';
import { BLOCK, GATEWAY, POOL } from './nat-gateway.js';
import { type Cell, exchangesOf, pingsOf } from './nat-matrix.js';

/** A second network on alpha, a container that is on it, one that is on both, and one on the host's own network. */
export async function widen(fleet: Fleet): Promise<void> {
  const { host, places } = fleet.member('alpha');
  const network = await host.docker.client.createNetwork({
    Name: 'back',
    Driver: 'bridge',
    CheckDuplicate: true,
    IPAM: { Driver: 'default', Config: [{ Subnet: '172.30.0.0/16' }] },
  });
  places.set('a-back', await host.container('a-back', { network: 'back' }));
  await host.container('a-two');
  await network.connect({ Container: 'a-two' });
  places.set('a-two', await host.docker.place('a-two'));
  places.set('a-hostnet', await host.container('a-hostnet', { network: 'host' }));
  await fleet.known(['a-back', 'a-two', 'a-hostnet']);
  // Two machines without an agent, one with labels and one of which nothing is known. Fleet finds them beside alpha's places.
  const [printer, outsider] = await Promise.all(['printer', 'outsider'].map((name) => fleet.lab.addNode(name)));
  for (const node of [printer, outsider])
    if (node !== undefined) places.set(node.name, await node.place(node.name, 'system'));
  const addresses = [printer?.addresses.ip4, printer?.addresses.ip6].flatMap((text) => parseAddress(text ?? '') ?? []);
  await fleet.api.pushUnmanaged([
    { id: 'printer', addresses: addresses.map(wireAddress), labels: { role: 'printer' } },
  ]);
}

/** An address of a container in one of its networks. */
async function inNetwork(fleet: Fleet, host: string, container: string, network: string): Promise<string> {
  const info = await fleet.member(host).host.docker.client.getContainer(container).inspect();
  const address = info.NetworkSettings.Networks[network]?.IPAddress ?? '';
  if (address === '') throw new Error(`Cannot find ${container} in network ${network}: found no address there`);
  return address;
}

export async function wideCells(fleet: Fleet): Promise<Cell[]> {
  const v4 = (name: string) => fleet.member(name).host.addresses.ip4;
  const inside = (name: string) => fleet.place(name).addresses;
  const six = { family: 'v6' } as const;
  const web = { to: 'e-web', address: inside('e-web').ip4 } as const;
  const web6 = { to: 'e-web', address: inside('e-web').ip6, ...six } as const;
  const beta = { to: 'b-web', address: v4('beta') } as const;
  return [
    ...[
      { name: 'container SNAT', from: 'a-client', ...web, published: false },
      { name: 'gateway SNAT', from: 'gamma', ...web6, published: false, machine: true },
      { name: 'gateway + container', from: 'g-client', ...web6, published: false },
      {
        name: 'gateway mapping',
        from: 'a-client',
        to: 'g-web',
        address: GATEWAY.v6.address,
        ...six,
        published: true,
        outside: 1000,
      },
      {
        name: 'one to one, inwards',
        from: 'a-client',
        to: 'd-svc',
        address: GATEWAY.v6.oneToOne,
        ...six,
        published: false,
      },
      { name: 'one to one, outwards', from: 'd-svc', ...web6, published: false },
      {
        name: 'second network',
        from: 'a-back',
        to: 'a-two',
        address: await inNetwork(fleet, 'alpha', 'a-two', 'back'),
        published: false,
      },
      { name: 'second network + container SNAT', from: 'a-back', ...beta, published: true },
      {
        name: 'container on two networks, inwards',
        from: 'a-client',
        to: 'a-two',
        address: await inNetwork(fleet, 'alpha', 'a-two', 'bridge'),
        published: false,
      },
      { name: 'container on two networks, outwards', from: 'a-two', ...beta, published: true },
      { name: 'host-network container, outwards', from: 'a-hostnet', ...beta, published: true },
      {
        name: 'host-network container, inwards',
        from: 'a-client',
        to: 'a-hostnet',
        address: v4('alpha'),
        published: false,
      },
      { name: 'no agent, labelled', from: 'printer', ...web, published: false },
      { name: 'no agent, labelled', from: 'printer', ...web6, published: false },
      { name: 'no agent, unknown', from: 'outsider', ...web, published: false, anybody: true },
      { name: 'no agent, unknown', from: 'outsider', ...web6, published: false, anybody: true },
    ].flatMap(exchangesOf),
    ...[
      {
        name: 'same bridge',
        from: 'a-client',
        denied: 'a-stranger',
        to: 'a-web',
        address: inside('a-web').ip4,
      },
      { name: 'container SNAT', from: 'a-client', denied: 'a-stranger', ...web },
      { name: 'plain, containers routed', from: 'a-client', denied: 'a-stranger', ...web6 },
      { name: 'gateway + container', from: 'g-client', denied: 'g-web', ...web },
      { name: 'gateway + container', from: 'g-client', denied: 'g-web', ...web6 },
      { name: 'one to one, outwards', from: 'd-svc', denied: 'a-stranger', ...web },
      { name: 'one to one, outwards', from: 'd-svc', denied: 'a-stranger', ...web6 },
      {
        name: 'one to one, inwards',
        from: 'a-client',
        // One without any rule is told nothing of addresses.
        denied: 'a-two',
        to: 'd-svc',
        address: GATEWAY.v4.oneToOne,
      },
      {
        name: 'one to one, inwards',
        from: 'a-client',
        // One without any rule is told nothing of addresses.
        denied: 'a-two',
        to: 'd-svc',
        address: GATEWAY.v6.oneToOne,
        ...six,
      },
    ].flatMap(pingsOf),
  ];
}

/** Once the gateway gives gamma one of a pool of addresses. */
export function poolCells(fleet: Fleet): Cell[] {
  const web = {
    to: 'e-web',
    address: fleet.place('e-web').addresses.ip4,
    published: false,
  } as const;
  return exchangesOf({
    name: 'SNAT pool + container',
    from: 'g-client',
    ...web,
    source: (ip) => (POOL as readonly string[]).includes(ip),
  });
}

/** Once it gives it a block of ports of one address. */
export function blockCells(fleet: Fleet): Cell[] {
  const web = {
    to: 'e-web',
    address: fleet.place('e-web').addresses.ip4,
    published: false,
  } as const;
  return exchangesOf({
    name: 'SNAT port block + container',
    from: 'g-client',
    ...web,
    source: (ip, port) => ip === BLOCK.address && port >= BLOCK.low && port <= BLOCK.high,
  });
}
