import { randomBytes } from 'node:crypto';
import { run } from './exec.js';
import type { Protocol } from './place.js';

/** Packets to look for. Unset fields match anything. */
export interface PacketFilter {
  protocol?: Exclude<Protocol, 'ping'> | 'icmp' | 'icmpv6';
  /** Numeric address. */
  source?: string;
  destination?: string;
  /** Destination port. */
  port?: number;
  /** Interface the packet comes in through. */
  ingress?: string;
}

function match(filter: PacketFilter): string {
  const family = (address: string) => (address.includes(':') ? 'ip6' : 'ip');
  const parts: string[] = [];
  if (filter.ingress) parts.push(`iifname "${filter.ingress}"`);
  if (filter.source) parts.push(`${family(filter.source)} saddr ${filter.source}`);
  if (filter.destination) parts.push(`${family(filter.destination)} daddr ${filter.destination}`);
  if (filter.protocol === 'icmp' || filter.protocol === 'icmpv6') parts.push(`meta l4proto ${filter.protocol}`);
  else if (filter.protocol && filter.port) parts.push(`${filter.protocol} dport ${filter.port}`);
  else if (filter.protocol) parts.push(`meta l4proto ${filter.protocol}`);
  return parts.join(' ');
}

/**
 * Counts packets that reach a network namespace, in the kernel, by nftables at prerouting before anything else there: a witness
 * that shares no code with Ringfence.
 */
export class Witness {
  private constructor(
    private readonly netns: string,
    private readonly table: string,
    private readonly count: number,
  ) {}

  /** Starts to count; each filter has its own counter, in order. */
  static async place(netns: string, ...filters: PacketFilter[]): Promise<Witness> {
    const table = `rflab_${randomBytes(4).toString('hex')}`;
    const counters = filters.map((_, i) => `counter c${i} {}`).join('\n');
    const rules = filters.map((filter, i) => `${match(filter)} counter name c${i}`).join('\n');
    const script = `table inet ${table} {
      ${counters}
      chain seen { type filter hook prerouting priority -400; policy accept;
        ${rules}
      }
    }\n`;
    await run('nsenter', [`--net=${netns}`, 'nft', '-f', '-'], { input: script });
    return new Witness(netns, table, filters.length);
  }

  /** Packets so far, one number per filter. */
  async packets(): Promise<number[]> {
    const out = await run('nsenter', [
      `--net=${this.netns}`,
      'nft',
      '-j',
      'list',
      'counters',
      'table',
      'inet',
      this.table,
    ]);
    const parsed = JSON.parse(out) as { nftables: { counter?: { name: string; packets: number } }[] };
    const packets = new Map(parsed.nftables.flatMap((n) => (n.counter ? [[n.counter.name, n.counter.packets]] : [])));
    return Array.from({ length: this.count }, (_, i) => {
      const seen = packets.get(`c${i}`);
      if (seen === undefined)
        throw new Error(`Cannot read counter c${i} of ${this.table}: it is gone, wanted a number`);
      return seen;
    });
  }
}
