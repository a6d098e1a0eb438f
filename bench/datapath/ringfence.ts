import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { repository } from '@ringfence/lab/paths.js';
import { tool } from '@ringfence/lab/tool.js';
import type { Request, Response } from './enforcer.js';
import type { PacketCosts } from './packets.js';
import { echoPort, type Rig, sinkPort } from './rig.js';
import type { Variant } from './variant.js';

/** Ringfence's own datapath in a process inside the host's namespace. */
export class Ringfence implements Variant {
  readonly name = 'Ringfence';

  private constructor(
    private readonly rig: Rig,
    private readonly child: ChildProcess,
  ) {}

  static async start(rig: Rig): Promise<Ringfence> {
    const program = join(repository, 'bench', 'dist', 'datapath', 'enforcer.js');
    const args = [rig.host.pinPath, rig.host.cgroupRoot, rig.interface];
    // Started in the lab's cgroup, so that it ends with the lab whatever happens to this process.
    const launcher = ['run', '--cgroup', `${rig.host.cgroupRoot}/system`, '--netns', rig.host.netns.path, '--'];
    const child = spawn(await tool(), [...launcher, process.execPath, program, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const enforcer = new Ringfence(rig, child);
    await enforcer.answer();
    return enforcer;
  }

  private answer(): Promise<Extract<Response, { ok: true }>> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.child.off('message', onMessage);
        this.child.off('exit', onExit);
      };
      const onMessage = (response: Response) => {
        settle();
        if (response.ok) resolve(response);
        else reject(new Error(`Cannot measure Ringfence: ${response.error}`));
      };
      const onExit = () => {
        settle();
        reject(new Error('Cannot measure Ringfence: its process ended, wanted an answer'));
      };
      this.child.on('message', onMessage);
      this.child.on('exit', onExit);
    });
  }

  private ask(request: Request): Promise<Extract<Response, { ok: true }>> {
    const answer = this.answer();
    this.child.send(request);
    return answer;
  }

  async load(members: readonly string[]): Promise<void> {
    await this.ask({ do: 'load', members: [...members], ports: [echoPort, sinkPort] });
  }

  async on(): Promise<void> {
    await this.ask({ do: 'on' });
  }

  async off(): Promise<void> {
    await this.ask({ do: 'off' });
  }

  /** Cost per packet; enforcement must be on. */
  async packets(member: string, stranger: string): Promise<PacketCosts> {
    const workload = this.rig.workload.addresses.ip4;
    const { costs } = await this.ask({ do: 'packets', workload, member, stranger, port: echoPort });
    if (!costs) throw new Error('Cannot read costs: the answer has none');
    return costs;
  }

  async close(): Promise<void> {
    await this.ask({ do: 'close' });
    if (this.child.exitCode === null) await once(this.child, 'exit');
  }
}
