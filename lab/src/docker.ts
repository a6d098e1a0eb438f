import { createReadStream, existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import Docker from 'dockerode';
import { cgroupOf } from './cgroup.js';
import type { HostOptions, TestHost } from './host.js';
import { addressesSettled } from './netns.js';
import { Place } from './place.js';
import type { LabProcess } from './process.js';
import { imageTar } from './tool.js';
import { HopelessError, until } from './until.js';

const image = 'rflab:latest';

export interface ContainerOptions {
  /** Metadata, as an orchestrator would set it. */
  labels?: Record<string, string>;
  /** Published ports, `"80/tcp": 8080`. Only with dockerNat or the userland proxy. */
  publish?: Record<string, number>;
  /** What it runs, the tool at /rflab; default nothing, it waits. */
  command?: readonly string[];
  /** Docker network mode; default the bridge. */
  network?: string;
}

/**
 * One dockerd inside a host's network namespace. It runs in a mount namespace of its own: its overlay and namespace mounts go
 * away with it even when it is killed. Socket, storage and cgroups are the host's own.
 */
export class DockerEngine {
  private constructor(
    private readonly host: TestHost,
    private readonly daemon: LabProcess,
    readonly socket: string,
    readonly client: Docker,
  ) {}

  static async start(host: TestHost, options: HostOptions): Promise<DockerEngine> {
    const socket = host.file('docker.sock');
    const dockerd = ['/usr/sbin/dockerd', '/usr/bin/dockerd'].find((path) => existsSync(path));
    if (!dockerd) throw new Error('Cannot start Docker: no dockerd, wanted the package docker.io');
    await mkdir(host.file('docker'), { recursive: true });
    // Its own, or the machine's /etc/docker/daemon.json would contradict the flags.
    await writeFile(host.file('docker', 'daemon.json'), '{}');
    const daemon = await host.daemon(
      'dockerd',
      dockerd,
      [
        `--data-root=${host.file('docker', 'data')}`,
        `--exec-root=${host.file('docker', 'exec')}`,
        `--pidfile=${host.file('docker', 'pid')}`,
        `--config-file=${host.file('docker', 'daemon.json')}`,
        `--host=unix://${socket}`,
        `--bip=${options.bridge ?? host.containerNet.bip}`,
        '--ipv6',
        `--fixed-cidr-v6=${host.containerNet.ip6}`,
        `--cgroup-parent=${host.cgroupPath}/docker`,
        '--exec-opt=native.cgroupdriver=cgroupfs',
        `--storage-driver=${options.storage ?? 'overlay2'}`,
        `--iptables=${options.dockerNat ?? false}`,
        `--ip-masq=${options.dockerNat ?? false}`,
        `--userland-proxy=${options.userlandProxy ?? false}`,
        '--log-level=warn',
      ],
      { privateMounts: true },
    );
    const client = new Docker({ socketPath: socket });
    await until(
      `dockerd of ${host.name} to answer`,
      async () => {
        if (!daemon.running)
          throw new HopelessError(
            `Cannot start dockerd of ${host.name}: it ended, wanted it to answer: ${daemon.logTail()}`,
          );
        return (await client.ping()) !== undefined;
      },
      { timeoutMs: 60_000, intervalMs: 100 },
    );
    const imported = await client.importImage(createReadStream(await imageTar()), { repo: 'rflab', tag: 'latest' });
    await finished(imported.resume());
    return new DockerEngine(host, daemon, socket, client);
  }

  /** Creates and starts a container that waits; servers and clients are started in it by the Place. */
  async run(name: string, options: ContainerOptions): Promise<Place> {
    const ports = Object.entries(options.publish ?? {});
    const container = await this.client.createContainer({
      name,
      Image: image,
      Cmd: [...(options.command ?? ['/bin/sleep', '1000000000'])],
      Labels: options.labels ?? {},
      ExposedPorts: Object.fromEntries(ports.map(([inside]) => [inside, {}])),
      HostConfig: {
        NetworkMode: options.network,
        PortBindings: Object.fromEntries(ports.map(([inside, outside]) => [inside, [{ HostPort: String(outside) }]])),
      },
    });
    await container.start();
    return this.place(name);
  }

  /** A running container as a place. Its processes join its cgroup and namespaces, as `docker exec` does. */
  async place(name: string): Promise<Place> {
    const info = await this.client.getContainer(name).inspect();
    const pid = info.State.Pid;
    if (!pid) throw new Error(`Cannot use container ${name}: it is ${info.State.Status}, wanted running`);
    await addressesSettled(this.host.netns.path);
    await addressesSettled(`/proc/${pid}/ns/net`);
    const network = Object.values(info.NetworkSettings.Networks)[0];
    const addresses = network?.IPAddress
      ? { ip4: network.IPAddress, ip6: network.GlobalIPv6Address }
      : this.host.addresses;
    return new Place(
      name,
      addresses,
      `/proc/${pid}/ns/net`,
      { cgroup: cgroupOf(pid), enter: pid },
      '/rflab',
      this.host.file('log', `${name}.log`),
    );
  }

  async restart(name: string): Promise<Place> {
    await this.client.getContainer(name).restart({ t: 0 });
    return this.place(name);
  }

  async remove(name: string): Promise<void> {
    await this.client.getContainer(name).remove({ force: true });
  }

  /** Stops the daemon the way a service manager does; containers end with it. */
  async stop(): Promise<void> {
    await this.daemon.stop('SIGTERM', 30_000);
  }
}
