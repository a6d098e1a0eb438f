import { rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { cgroupMount } from './cgroup.js';
import { type ContainerOptions, DockerEngine } from './docker.js';
import { LabNode, type NodeSeat, type Standing } from './node.js';
import type { Place } from './place.js';
import { tool } from './tool.js';

export interface HostOptions extends Standing {
  /** What leaves by its uplink leaves under its own address: its own nftables, which nobody is told of. Default false. */
  masquerade?: boolean;
  /** Start a dockerd of its own. Default false. */
  docker?: boolean;
  /** Let Docker write its own NAT rules (masquerade, published ports). Default false: container networks are routed. */
  dockerNat?: boolean;
  /** Let a process of Docker's answer for published ports where its NAT rules do not. Default false. */
  userlandProxy?: boolean;
  /** IPv4 address and prefix of Docker's bridge. Default one that no other host of the lab has. With dockerNat only. */
  bridge?: string;
  /** Docker's storage driver. Default overlay2. */
  storage?: 'overlay2' | 'vfs';
}

/**
 * A host of the lab: a machine with a routed container network (10.201.<index>.0/24, fd77:201:<index>::/64) and places for
 * its services. The agent and the container runtime run in its namespace; the host's cgroup subtree is the agent's cgroup root.
 */
export class TestHost extends LabNode {
  private engine: DockerEngine | undefined;

  static async boot(seat: NodeSeat, pinPath: string, options: HostOptions): Promise<TestHost> {
    const netns = await LabNode.join(seat);
    const host = new TestHost(seat, netns, await tool(), pinPath);
    const { ip4, ip6 } = host.addresses;
    await seat.router.ip([
      // Behind Docker's own NAT nobody routes to containers.
      ...(options.dockerNat ? [] : [`route add ${host.containerNet.ip4} via ${ip4}`]),
      `route add ${host.containerNet.ip6} via ${ip6}`,
    ]);
    if (options.masquerade) await host.masquerade();
    if (options.docker) host.engine = await DockerEngine.start(host, options);
    return host;
  }

  private constructor(
    seat: NodeSeat,
    netns: LabNode['netns'],
    toolPath: string,
    /** For the agent's config: its maps and links are pinned below. */
    readonly pinPath: string,
  ) {
    super(seat, netns, toolPath);
  }

  private async masquerade(): Promise<void> {
    await this.netns.exec('nft', ['-f', '-'], {
      input:
        'table inet uplink { chain out { type nat hook postrouting priority 100; oifname "eth0" masquerade; }; }\n',
    });
  }

  /** For the agent's config: what it takes for the root of all cgroups. */
  get cgroupRoot(): string {
    return this.seat.cgroup;
  }

  /** The same as Docker wants it: below the mount. */
  get cgroupPath(): string {
    return `/${relative(cgroupMount(), this.seat.cgroup)}`;
  }

  get containerNet(): { ip4: string; ip6: string; bip: string } {
    const { index } = this.seat;
    return { ip4: `10.201.${index}.0/24`, ip6: `fd77:201:${index}::/64`, bip: `10.201.${index}.1/24` };
  }

  get hasDocker(): boolean {
    return this.engine !== undefined;
  }

  get docker(): DockerEngine {
    if (!this.engine)
      throw new Error(`Cannot use Docker on ${this.name}: not started, wanted addHost(…, { docker: true })`);
    return this.engine;
  }

  /** A running container with its own address. */
  container(name: string, options: ContainerOptions = {}): Promise<Place> {
    return this.docker.run(name, options);
  }

  /** A plain service: processes in the cgroup `services/<name>`. */
  service(name: string): Promise<Place> {
    return this.place(name, join('services', name));
  }

  /** Processes of the host that belong to no service. */
  self(): Promise<Place> {
    return this.place(this.name, 'system');
  }

  /** What a reboot does to the kernel's share: everything pinned is gone, links detach with it. */
  async dropPins(): Promise<void> {
    await rm(this.pinPath, { recursive: true, force: true });
  }
}
