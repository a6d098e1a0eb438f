import { Driven } from './driven.js';
import type { Answer, Request } from './enforcer.js';
import type { PacketCosts } from './packets.js';
import { echoPort, type Rig, sinkPort } from './rig.js';
import type { Variant } from './variant.js';

/** Ringfence's own datapath in a process inside the host's namespace. */
export class Ringfence implements Variant {
  readonly name = 'Ringfence';

  private constructor(
    private readonly rig: Rig,
    private readonly enforcer: Driven<Request, Answer>,
  ) {}

  static async start(rig: Rig): Promise<Ringfence> {
    const args = [rig.host.pinPath, rig.host.cgroupRoot, rig.interface];
    return new Ringfence(rig, await Driven.start<Request, Answer>(rig, 'datapath/enforcer.js', args));
  }

  async load(members: readonly string[]): Promise<void> {
    await this.enforcer.ask({ do: 'load', members: [...members], ports: [echoPort, sinkPort] });
  }

  async on(): Promise<void> {
    await this.enforcer.ask({ do: 'on' });
  }

  async off(): Promise<void> {
    await this.enforcer.ask({ do: 'off' });
  }

  /** Cost per packet; enforcement must be on. */
  async packets(member: string, stranger: string): Promise<PacketCosts> {
    const workload = this.rig.workload.addresses.ip4;
    const { costs } = await this.enforcer.ask({ do: 'packets', workload, member, stranger, port: echoPort });
    if (!costs) throw new Error('Cannot read costs: the answer has none');
    return costs;
  }

  close(): Promise<void> {
    return this.enforcer.close();
  }
}
