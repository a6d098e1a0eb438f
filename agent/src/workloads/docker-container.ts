// One inspected container to a workload.

import { parseAddress, wireAddress } from '@ringfence/proto/address.js';
import { LocalWorkload as InventoryEntry, type PublishedPort } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { Address, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { ContainerInspectInfo } from 'dockerode';
import type { LocalCgroup, LocalInterface } from '../desired/local.js';
import type { DockerNetwork } from './docker-networks.js';
import { boundedMetadata, type FoundWorkload } from './found-workload.js';
import { findPairingKey, type PairingKeyPlaces, withoutKey } from './pairing-key.js';

/** What the host side says about a container's process. */
export interface ContainerPlace {
  /** Host ends of its veth pairs. */
  readonly interfaces: readonly LocalInterface[];
  readonly cgroup: LocalCgroup | undefined;
  /** cgroup path relative to the agent's cgroup root; '' when outside or unknown. */
  readonly cgroupPath: string;
}

/**
 * A running or paused container. One that shares the host's network is a cgroup workload: it is decided at its cgroup, and has no
 * addresses of its own. undefined for one that shares another container's network: it is that container to the network.
 */
export function containerWorkload(
  info: ContainerInspectInfo,
  networks: ReadonlyMap<string, DockerNetwork>,
  place: ContainerPlace,
  source: string,
  keys: PairingKeyPlaces,
): FoundWorkload | undefined {
  const mode = info.HostConfig.NetworkMode ?? '';
  if (mode.startsWith('container:')) return undefined;
  const onHost = mode === 'host';
  if (onHost && place.cgroup === undefined) return undefined;
  const localId = `container:${info.Id}`;
  const kind = onHost ? WorkloadKind.WORKLOAD_KIND_CGROUP : WorkloadKind.WORKLOAD_KIND_CONTAINER;
  return {
    inventory: InventoryEntry.create({
      localId,
      kind,
      name: info.Name.replace(/^\//, ''),
      source,
      image: info.Config.Image,
      addresses: onHost ? [] : addressesOf(info, networks),
      published: publishedPorts(info),
      metadata: boundedMetadata(withoutKey(info.Config.Labels ?? {}, keys)),
      cgroupPath: place.cgroupPath,
      pairingKey: findPairingKey(info, keys),
    }),
    local: {
      localId,
      kind,
      interfaces: onHost ? [] : place.interfaces,
      cgroup: place.cgroup,
      addresses: [],
      netns: onHost ? undefined : `/proc/${info.State.Pid}/ns/net`,
    },
  };
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
        hostAddress: address && Address.create({ ip: Buffer.from(wireAddress(address)) }),
        hostPort: Number(binding.HostPort),
        port: Number(port),
      });
    }
  }
  return ports;
}
