import { randomBytes } from 'node:crypto';
import { run } from './exec.js';
import type { TestHost } from './host.js';
import type { Place } from './place.js';

/**
 * Counts packets at both ends of one container's interface, in the kernel, by nftables at netdev ingress: outbound ones where they enter
 * the host, after its TC programs; inbound ones where they enter the container, after them too. What passes is what was exchanged. ARP,
 * neighbour discovery and the kernel's multicast listener reports (which a bridge floods to every port) are not counted: they pass everywhere,
 * isolated or not.
 */
export class PacketCount {
  private constructor(private readonly ends: readonly { readonly netns: string; readonly table: string }[]) {}

  static async place(host: TestHost, container: Place): Promise<PacketCount> {
    const own = JSON.parse(await run('nsenter', [`--net=${container.netns}`, 'ip', '-j', 'link', 'show', 'eth0'])) as {
      link_index: number;
    }[];
    const links = JSON.parse(await run('nsenter', [`--net=${host.netns.path}`, 'ip', '-j', 'link'])) as {
      ifindex: number;
      ifname: string;
    }[];
    const outer = links.find(({ ifindex }) => ifindex === own[0]?.link_index)?.ifname;
    if (outer === undefined)
      throw new Error(`Cannot count packets of ${container.name}: found no host end of its eth0, wanted one`);
    const table = `rfcount_${randomBytes(4).toString('hex')}`;
    const ends = [
      { netns: host.netns.path, table, device: outer },
      { netns: container.netns, table, device: 'eth0' },
    ];
    for (const end of ends) {
      const script = `table netdev ${table} {
        counter seen {}
        chain count { type filter hook ingress device "${end.device}" priority 0; policy accept;
          ether type arp accept
          icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } accept
          ip6 hoplimit 1 icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept
          ether type { ip, ip6 } counter name seen
        }
      }\n`;
      await run('nsenter', [`--net=${end.netns}`, 'nft', '-f', '-'], { input: script });
    }
    return new PacketCount(ends);
  }

  /** Packets so far. */
  async packets(): Promise<{ from: number; to: number }> {
    const [from = Number.NaN, to = Number.NaN] = await Promise.all(
      this.ends.map(async ({ netns, table }) => {
        const out = await run('nsenter', [`--net=${netns}`, 'nft', '-j', 'list', 'counters', 'table', 'netdev', table]);
        const parsed = JSON.parse(out) as { nftables: { counter?: { packets: number } }[] };
        const counter = parsed.nftables.flatMap((entry) => entry.counter ?? [])[0];
        if (counter === undefined) throw new Error(`Cannot read the counter of ${table}: it is gone, wanted a number`);
        return counter.packets;
      }),
    );
    return { from, to };
  }
}
