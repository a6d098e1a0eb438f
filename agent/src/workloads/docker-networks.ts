// Which address space the addresses of a Docker network belong to. A network behind masquerading is visible on its host only; one
// that is routed, or shares the outside network, is part of the routed world.
import type { NetworkInspectInfo } from 'dockerode';

export interface DockerNetwork {
  readonly name: string;
  /** Space of its IPv4 and IPv6 addresses; '' is the routed world. */
  readonly space4: string;
  readonly space6: string;
  /** Its bridge on the host, when it has one. */
  readonly bridge: string | undefined;
}

/** From this version on Docker translates IPv6 of bridge networks too, unless told to route. */
const IP6_NAT_SINCE = 27;

/** engineMajor: major version of the Docker Engine. */
export function readNetwork(info: NetworkInspectInfo, engineMajor: number): DockerNetwork {
  const options: Record<string, string> = info.Options ?? {};
  const local = `local:${info.Name}`;
  const outside = info.Driver === 'macvlan' || info.Driver === 'ipvlan' || info.Driver === 'host';
  if (outside) return { name: info.Name, space4: '', space6: '', bridge: undefined };
  if (info.Driver !== 'bridge') return { name: info.Name, space4: local, space6: local, bridge: undefined };
  const masquerade = options['com.docker.network.bridge.enable_ip_masquerade'] !== 'false';
  const routed = (family: 4 | 6) =>
    ['routed', 'isolated'].includes(options[`com.docker.network.bridge.gateway_mode_ipv${family}`] ?? '');
  return {
    name: info.Name,
    space4: masquerade && !routed(4) ? local : '',
    space6: masquerade && engineMajor >= IP6_NAT_SINCE && !routed(6) ? local : '',
    bridge: options['com.docker.network.bridge.name'] ?? `br-${info.Id.slice(0, 12)}`,
  };
}
