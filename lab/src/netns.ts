import { existsSync, readdirSync } from 'node:fs';
import { run } from './exec.js';
import { until } from './until.js';

const directory = '/run/netns';

/** A named network namespace. Names are machine-wide; the lab gives them its prefix and id. */
export class NetNamespace {
  private constructor(readonly name: string) {}

  /** Makes it, with loopback up, both families forwarding, and IPv6 addresses usable at once. */
  static async create(name: string): Promise<NetNamespace> {
    await run('ip', ['netns', 'add', name]);
    const ns = new NetNamespace(name);
    await ns.sysctl({
      'net.ipv4.ip_forward': 1,
      'net.ipv6.conf.default.accept_dad': 0,
      'net.ipv6.conf.all.accept_dad': 0,
      'net.ipv6.conf.default.accept_ra': 0,
      'net.ipv6.conf.all.forwarding': 1,
      'net.ipv6.conf.default.forwarding': 1,
    });
    await ns.ip(['link set lo up']);
    return ns;
  }

  /** For nsenter --net= and setns. */
  get path(): string {
    return `${directory}/${this.name}`;
  }

  /** Runs `ip` commands, each a line without the leading "ip". */
  async ip(lines: readonly string[]): Promise<string> {
    return run('ip', ['-n', this.name, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  }

  /** Runs a command inside, and returns its output. */
  exec(
    command: string,
    args: readonly string[],
    options: { input?: string; timeoutMs?: number } = {},
  ): Promise<string> {
    return run('nsenter', [`--net=${this.path}`, command, ...args], options);
  }

  async sysctl(values: Record<string, number>): Promise<void> {
    await this.exec('sysctl', ['-q', '-w', ...Object.entries(values).map(([name, value]) => `${name}=${value}`)]);
  }

  async remove(): Promise<void> {
    await removeNamespace(this.name);
  }
}

/** Waits until no IPv6 address in the namespace is tentative any more: before that it answers nobody. */
export async function addressesSettled(netns: string): Promise<void> {
  await until(`IPv6 addresses in ${netns} to be usable`, async () => {
    const out = await run('nsenter', [`--net=${netns}`, 'ip', '-6', 'address', 'show', 'tentative']);
    return out.trim() === '';
  });
}

/** Names of all named network namespaces. */
export function namespaceNames(): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

export async function removeNamespace(name: string): Promise<void> {
  if (existsSync(`${directory}/${name}`)) await run('ip', ['netns', 'del', name]);
}
