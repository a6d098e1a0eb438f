import { join } from 'node:path';
import { makeCgroup } from './cgroup.js';
import { NetNamespace } from './netns.js';
import { type Addresses, Place } from './place.js';
import { LabProcess, type ProcessSpec } from './process.js';
import { tool } from './tool.js';

/** What a node is told when it is made. */
export interface NodeSeat {
  /** Name inside the lab. */
  name: string;
  /** 1 to 250: part of its addresses. */
  index: number;
  /** The lab's prefix and id. */
  labName: string;
  /** cgroup v2 directory that becomes the node's own "root". */
  cgroup: string;
  /** Directory for its files. */
  dir: string;
  /** The namespace that it is joined to: the lab's router, or the machine that it stands behind. */
  router: NetNamespace;
  /** First three bytes of its IPv4 network, and the IPv6 one up to its last part. Default 10.200.<index>, fd77:200:<index>:. */
  net?: { v4: string; v6: string };
}

/** Where a machine stands in the network. */
export interface Standing {
  /** A machine that forwards for it. Default: the router. */
  behind?: LabNode;
  /** As NodeSeat.net: several machines behind different ones may have the same. */
  net?: { v4: string; v6: string };
}

function netOf({ net, index }: NodeSeat): { v4: string; v6: string } {
  return net ?? { v4: `10.200.${index}`, v6: `fd77:200:${index}:` };
}

/**
 * A machine of the lab: a network namespace joined to the router by a veth, with its own cgroup v2 subtree. `eth0` has
 * 10.200.<index>.2 and fd77:200:<index>::2; the router is .1 and ::1.
 */
export class LabNode {
  protected constructor(
    readonly seat: NodeSeat,
    readonly netns: NetNamespace,
    private readonly toolPath: string,
  ) {}

  static async create(seat: NodeSeat): Promise<LabNode> {
    return new LabNode(seat, await LabNode.join(seat), await tool());
  }

  /** Makes the namespace and its link. */
  protected static async join(seat: NodeSeat): Promise<NetNamespace> {
    const { index, router } = seat;
    const { v4, v6 } = netOf(seat);
    const netns = await NetNamespace.create(`${seat.labName}-${seat.name}`);
    await router.ip([
      `link add to${index} type veth peer name eth0 netns ${netns.name}`,
      `address add ${v4}.1/24 dev to${index}`,
      `address add ${v6}:1/64 dev to${index} nodad`,
      `link set to${index} up`,
    ]);
    await netns.ip([
      `address add ${v4}.2/24 dev eth0`,
      `address add ${v6}:2/64 dev eth0 nodad`,
      'link set eth0 up',
      `route add default via ${v4}.1`,
      `route add ::/0 via ${v6}:1`,
    ]);
    await makeCgroup(join(seat.cgroup, 'system'));
    return netns;
  }

  get name(): string {
    return this.seat.name;
  }

  get addresses(): Addresses {
    const { v4, v6 } = netOf(this.seat);
    return { ip4: `${v4}.2`, ip6: `${v6}:2` };
  }

  /** The router's address on this node's link: how others' traffic enters. */
  get gateway(): Addresses {
    const { v4, v6 } = netOf(this.seat);
    return { ip4: `${v4}.1`, ip6: `${v6}:1` };
  }

  /** The interface in the router that leads here. */
  get routerInterface(): string {
    return `to${this.seat.index}`;
  }

  file(...parts: string[]): string {
    return join(this.seat.dir, ...parts);
  }

  /** Traffic of processes in a cgroup of this node: `services/web` and so on. */
  async place(name: string, cgroup: string): Promise<Place> {
    const path = join(this.seat.cgroup, cgroup);
    await makeCgroup(path);
    const placement = { cgroup: path, netns: this.netns.path };
    return new Place(name, this.addresses, this.netns.path, placement, this.toolPath, this.file('log', `${name}.log`));
  }

  /** Starts a process of the system itself (daemon, agent, controller) in the node's namespace. */
  daemon(
    name: string,
    command: string,
    args: readonly string[],
    more: Partial<Pick<ProcessSpec, 'env' | 'privateMounts' | 'json'>> = {},
  ): Promise<LabProcess> {
    return LabProcess.start({
      cgroup: join(this.seat.cgroup, 'system'),
      netns: this.netns.path,
      command,
      args,
      logFile: this.file('log', `${name}.log`),
      ...more,
    });
  }

  /**
   * Cuts the machine off the network, or joins it again. Packets are dropped in the router, both ways: a link set down would
   * take its routes with it.
   */
  async link(state: 'up' | 'down'): Promise<void> {
    const table = `cut_${this.routerInterface}`;
    await this.seat.router.exec('nft', ['-f', '-'], {
      input:
        state === 'up'
          ? `delete table inet ${table}\n`
          : `table inet ${table} {
              chain from { type filter hook prerouting priority -500; iifname "${this.routerInterface}" drop; }
              chain to { type filter hook postrouting priority -500; oifname "${this.routerInterface}" drop; }
            }\n`,
    });
  }
}
