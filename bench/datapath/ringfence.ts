import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { repository } from '@ringfence/lab/paths.js';
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
    const child = spawn('nsenter', [`--net=${rig.host.netns.path}`, process.execPath, program, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const enforcer = new Ringfence(rig, child);
    await enforcer.answer();
    return enforcer;
  }

  private async answer(): Promise<Extract<Response, { ok: true }>> {
    const ended = once(this.child, 'exit').then(() => {
      throw new Error('Cannot measure Ringfence: its process ended, wanted an answer');
    });
    const [response] = (await Promise.race([once(this.child, 'message'), ended])) as [Response];
    if (!response.ok) throw new Error(`Cannot measure Ringfence: ${response.error}`);
    return response;
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
