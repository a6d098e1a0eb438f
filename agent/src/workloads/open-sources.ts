// The sources that a configuration asks for, in order of precedence.
import { hostname } from 'node:os';
import type { AgentConfig } from '../config.js';
import type { Timers } from '../timers.js';
import { CgroupSource, configuredCgroups, systemdUnits } from './cgroup-source.js';
import { type InterfaceReader, PlaceFinder } from './container-place.js';
import { DockerRuntime } from './docker-runtime.js';
import type { WorkloadSource } from './found-workload.js';
import { HostSource } from './host-source.js';
import { RuntimeSource } from './runtime-source.js';

export interface Sources {
  readonly all: readonly WorkloadSource[];
  /** For example "docker 20.10.24 /var/run/docker.sock"; without those that have not answered yet. */
  readonly runtimes: () => string[];
  /** Address space of an interface's addresses; '' is the routed world. */
  readonly spaceOf: (interfaceName: string, family: 4 | 6) => string;
}

const CGROUP_POLL_MS = 2_000;
const ADDRESS_POLL_MS = 5_000;
const RUNTIME_POLL_MS = 30_000;

/** mount: the cgroup2 mount; cgroupRoot: the agent's root in it. */
export function openSources(
  config: AgentConfig,
  cgroups: { readonly mount: string; readonly cgroupRoot: string },
  interfaces: InterfaceReader,
  timers: Timers,
): Sources {
  const spaceOf = (name: string, family: 4 | 6) => {
    for (const engine of engines) {
      const space = engine.spaceOf(name, family);
      if (space !== undefined) return space;
    }
    return '';
  };
  const host = new HostSource({
    hostName: config.host.name ?? hostname(),
    cgroupRoot: cgroups.cgroupRoot,
    interfaces: config.host.interfaces,
    spaceOf,
    pollMs: ADDRESS_POLL_MS,
    timers,
  });
  const engines = config.dockerSockets.map(
    (socketPath) =>
      new DockerRuntime({
        socketPath,
        timers,
        // A new network brings a bridge, whose address is the host's in that network's space.
        onNetworks: () => {
          if (config.host.enabled) host.look();
        },
      }),
  );
  const containers = engines.map(
    (runtime) =>
      new RuntimeSource({
        runtime,
        places: new PlaceFinder(interfaces, cgroups.mount, cgroups.cgroupRoot),
        pollMs: RUNTIME_POLL_MS,
        pairingKeys: config.pairing,
        timers,
        random: Math.random,
      }),
  );
  const cgroup = (name: 'config' | 'systemd', wanted: ConstructorParameters<typeof CgroupSource>[0]['wanted']) =>
    new CgroupSource({ name, root: cgroups.cgroupRoot, wanted, pollMs: CGROUP_POLL_MS, timers });
  const all: WorkloadSource[] = [];
  if (config.cgroups.length > 0) all.push(cgroup('config', configuredCgroups(config.cgroups)));
  all.push(...containers);
  if (config.systemd) all.push(cgroup('systemd', systemdUnits(cgroups.cgroupRoot)));
  if (config.host.enabled) all.push(host);
  return {
    all,
    runtimes: () =>
      engines.flatMap((e) => (e.version ? [`docker ${e.version} ${e.name.slice('docker:'.length)}`] : [])),
    spaceOf,
  };
}
