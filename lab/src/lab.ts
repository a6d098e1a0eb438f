import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupMount, makeCgroup } from './cgroup.js';
import { run } from './exec.js';
import { type HostOptions, TestHost } from './host.js';
import { destroyLab, processBirth, sweepLeftovers } from './leftovers.js';
import { NetNamespace } from './netns.js';
import { LabNode, type NodeSeat, type Standing } from './node.js';
import { bpffs, labsRoot, prefix } from './paths.js';

/**
 * A throw-away network: a router namespace and any number of machines around it. Whatever it makes in the kernel carries
 * `rflab-<id>`, and every process it starts lives in one cgroup subtree, so that close() can end and remove all of it; what a
 * crashed run left behind is swept by the next create().
 */
export class Lab {
  private readonly nodes: LabNode[] = [];
  private closed = false;

  private constructor(
    /** `rflab-<id>`. */
    readonly name: string,
    /** Files of this lab. */
    readonly dir: string,
    /** cgroup v2 directory above every node. */
    readonly cgroup: string,
    readonly router: NetNamespace,
  ) {}

  static async create(): Promise<Lab> {
    if (process.getuid?.() !== 0) throw new Error(`Cannot make a lab: user id ${process.getuid?.()}, wanted root`);
    await mountBpffs();
    await sweepLeftovers();
    const name = `${prefix}${randomBytes(3).toString('hex')}`;
    const dir = join(labsRoot, name);
    // The owner's mark appears together with the directory: another lab's sweep must never see one without the other.
    await mkdir(`${dir}.new`, { mode: 0o700 });
    await writeFile(join(`${dir}.new`, 'owner'), `${process.pid} ${processBirth(process.pid)}`);
    await rename(`${dir}.new`, dir);
    const cgroup = join(cgroupMount(), name);
    await makeCgroup(cgroup);
    await mkdir(join(bpffs, name));
    const router = await NetNamespace.create(`${name}-router`);
    return new Lab(name, dir, cgroup, router);
  }

  /** Where agents of this lab pin; below bpffs. */
  pinPath(node: string): string {
    return join(bpffs, this.name, node);
  }

  /** A machine without container runtime or agent. */
  async addNode(name: string, standing: Standing = {}): Promise<LabNode> {
    const node = await LabNode.create(await this.seat(name, standing));
    this.nodes.push(node);
    return node;
  }

  /** A machine with its own container network and, if asked for, its own dockerd. */
  async addHost(name: string, options: HostOptions = {}): Promise<TestHost> {
    const seat = await this.seat(name, options);
    const host = await TestHost.boot(seat, this.pinPath(name), options);
    this.nodes.push(host);
    return host;
  }

  private reserved = 0;

  private async seat(name: string, { behind, net }: Standing = {}): Promise<NodeSeat> {
    this.reserved += 1;
    const seat = {
      name,
      index: this.reserved,
      labName: this.name,
      cgroup: join(this.cgroup, name),
      dir: join(this.dir, name),
      router: behind?.netns ?? this.router,
      ...(net && { net }),
    };
    await mkdir(seat.dir, { recursive: true });
    await makeCgroup(seat.cgroup);
    return seat;
  }

  /** Ends every process and removes everything. Idempotent. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await destroyLab(this.name);
  }
}

/** bpffs must be there before an agent pins; mounting twice would hide what is pinned below the first. */
async function mountBpffs(): Promise<void> {
  const mounted = () => readFileSync('/proc/mounts', 'utf8').includes(` ${bpffs} bpf `);
  if (mounted()) return;
  if (!existsSync(bpffs)) throw new Error(`Cannot mount bpffs: no ${bpffs}, wanted a kernel with BPF`);
  await run('flock', [
    '/run/lock/ringfence-bpffs',
    'sh',
    '-c',
    `grep -q ' ${bpffs} bpf ' /proc/mounts || mount -t bpf bpf ${bpffs}`,
  ]);
  if (!mounted()) throw new Error(`Cannot mount bpffs at ${bpffs}: not in /proc/mounts afterwards`);
}
