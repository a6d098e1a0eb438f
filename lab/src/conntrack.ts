import { readFileSync } from 'node:fs';
import { run } from './exec.js';
import type { Place } from './place.js';
import { LabProcess } from './process.js';
import { until } from './until.js';

/** One connection as the kernel's own connection tracking counted it in one network namespace. */
export interface TrackedConnection {
  readonly proto: 'tcp' | 'udp' | 'icmp';
  readonly source: string;
  readonly destination: string;
  /** ICMP: the identifier. */
  readonly sourcePort: number;
  /** ICMP: type * 256 + code. */
  readonly destinationPort: number;
  /** IP bytes (from the IP header on) and packets, by who sent them. */
  readonly forward: { readonly packets: number; readonly bytes: number };
  readonly back: { readonly packets: number; readonly bytes: number };
}

const TABLE = 'rflab_conntrack';
/** Nothing is forgotten before it is read. */
const KEPT_SECONDS = 1800;
const TIMEOUTS = [
  ...['syn_sent', 'syn_recv', 'fin_wait', 'close_wait', 'last_ack', 'time_wait', 'close'].map(
    (s) => `tcp_timeout_${s}`,
  ),
  'udp_timeout',
  'udp_timeout_stream',
  'icmp_timeout',
  'icmpv6_timeout',
];

/**
 * A second witness of connections: connection tracking with accounting inside a network namespace, which shares no code with Ringfence.
 * It sees what the namespace's own sockets send and receive: what is refused outside never comes to it.
 */
export class Conntrack {
  private constructor(
    private readonly netns: string,
    /** What connection tracking forgets on its own (a refused TCP connection, for one) is read as it goes. */
    private readonly forgotten: LabProcess,
  ) {}

  /** Begins to count in a place's namespace. `logFile` takes what is forgotten. */
  static async watch({ netns, cgroup }: Place, logFile: string): Promise<Conntrack> {
    const settings = TIMEOUTS.map((name) => `net.netfilter.nf_conntrack_${name}=${KEPT_SECONDS}`);
    await inside(netns, 'sysctl', ['-q', '-w', 'net.netfilter.nf_conntrack_acct=1', ...settings]);
    const args = ['-E', '-e', 'DESTROY', '-b', String(32 << 20)];
    const forgotten = await LabProcess.start({ cgroup, netns, command: 'conntrack', args, logFile });
    // Tracking begins with the first rule that asks for it.
    const rules = `table inet ${TABLE} {
      chain in { type filter hook input priority 0; ct state new counter; }
      chain out { type filter hook output priority 0; ct state new counter; }
    }\n`;
    await inside(netns, 'nft', ['-f', '-'], rules);
    // The listener hears what is forgotten once it is there: an entry of our own says when.
    const conntrack = new Conntrack(netns, forgotten);
    await until('conntrack to listen', async () => {
      const own = ['-s', '192.0.2.1', '-d', '192.0.2.2', '-p', 'udp', '--sport', '9', '--dport', '9'];
      await inside(netns, 'conntrack', ['-I', ...own, '-t', '60']);
      await inside(netns, 'conntrack', ['-D', ...own]);
      return conntrack.log.includes('src=192.0.2.1');
    });
    return conntrack;
  }

  /** Everything that was tracked so far. */
  async connections(): Promise<TrackedConnection[]> {
    const known = await Promise.all(
      ['ipv4', 'ipv6'].map((family) => inside(this.netns, 'conntrack', ['-L', '-f', family])),
    );
    return [...known, this.log]
      .join('\n')
      .split('\n')
      .flatMap((line) => parseTracked(line) ?? []);
  }

  private get log(): string {
    return readFileSync(this.forgotten.logFile, 'utf8');
  }
}

function inside(netns: string, command: string, args: readonly string[], input?: string): Promise<string> {
  return run('nsenter', [`--net=${netns}`, command, ...args], { input });
}

/** A line of `conntrack -L` or `-E`; undefined for protocols that are not compared and for lines that are none. */
export function parseTracked(line: string): TrackedConnection | undefined {
  const [, name] = /^\s*(?:\[DESTROY\]\s+)?(tcp|udp|icmp|icmpv6)\s/.exec(line) ?? [];
  if (name === undefined) return undefined;
  const values = (field: string) =>
    [...line.matchAll(new RegExp(`\\b${field}=(\\S+)`, 'g'))].map(([, text]) => text ?? '');
  const [source = '', back] = values('src');
  const [destination = ''] = values('dst');
  const packets = values('packets').map(Number);
  const bytes = values('bytes').map(Number);
  if (back === undefined || packets.length !== 2 || bytes.length !== 2)
    throw new Error(`Cannot read a tracked connection: found ${line}, wanted counters of both directions`);
  const icmp = name.startsWith('icmp');
  const first = (field: string) => Number(values(field)[0]);
  return {
    proto: icmp ? 'icmp' : (name as 'tcp' | 'udp'),
    source,
    destination,
    sourcePort: icmp ? first('id') : first('sport'),
    destinationPort: icmp ? first('type') * 256 + first('code') : first('dport'),
    forward: { packets: packets[0] ?? 0, bytes: bytes[0] ?? 0 },
    back: { packets: packets[1] ?? 0, bytes: bytes[1] ?? 0 },
  };
}
