// One inspected container of Docker's as every runtime describes one.
import { parseAddress, wireAddress } from '@ringfence/proto/address.js';
import type { PublishedPort } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { Address } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { ContainerInspectInfo } from 'dockerode';
import type { ContainerFacts } from './container-runtime.js';
import type { DockerNetwork } from './docker-networks.js';

/** networks: by id and by name. */
export function containerFacts(
  info: ContainerInspectInfo,
  networks: ReadonlyMap<string, DockerNetwork>,
): ContainerFacts {
  return {
    id: info.Id,
    name: info.Name.replace(/^\//, ''),
    image: info.Config.Image,
    pid: info.State.Pid,
    labels: info.Config.Labels ?? {},
    env: info.Config.Env ?? [],
    network: networkOf(info.HostConfig.NetworkMode ?? ''),
    addresses: addressesOf(info, networks),
    published: publishedPorts(info),
  };
}

function networkOf(mode: string): ContainerFacts['network'] {
  if (mode.startsWith('container:')) return 'shared';
  return mode === 'host' ? 'host' : 'own';
}

function addressesOf(info: ContainerInspectInfo, networks: ReadonlyMap<string, DockerNetwork>): Address[] {
  const addresses: Address[] = [];
  const add = (text: string | undefined, space: string) => {
    const address = text ? parseAddress(text) : undefined;
    if (address) addresses.push(Address.create({ ip: Buffer.from(wireAddress(address)), space }));
  };
  const attached = Object.entries(info.NetworkSettings.Networks ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, at] of attached) {
    // A network made a moment ago may not be known yet: the next look has it. Until then its addresses are this host's alone.
    const network = networks.get(at.NetworkID) ?? networks.get(name);
    add(at.IPAddress, network?.space4 ?? `local:${name}`);
    add(at.GlobalIPv6Address, network?.space6 ?? `local:${name}`);
  }
  return addresses;
}

const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

function publishedPorts(info: ContainerInspectInfo): PublishedPort[] {
  const ports: PublishedPort[] = [];
  for (const [inside, bindings] of Object.entries(info.NetworkSettings.Ports ?? {})) {
    const [port, name] = inside.split('/');
    const protocol = PROTOCOLS[name ?? 'tcp'];
    if (protocol === undefined) continue;
    for (const binding of bindings ?? []) {
      const address = parseAddress(binding.HostIp);
      ports.push({
        protocol,
        hostAddress: address && Address.create({ ip: Buffer.from(wireAddress(address)), space: '' }),
        hostPort: Number(binding.HostPort),
        port: Number(port),
      });
    }
  }
  return ports;
}
