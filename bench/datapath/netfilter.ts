import type { NetNamespace } from '@ringfence/lab/netns.js';
import { echoPort, sinkPort } from './rig.js';
import type { Variant } from './variant.js';

/** nftables as its documentation advises: conntrack first, then one named set. */
export function nftables(netns: NetNamespace): Variant {
  const nft = (input: string) => netns.exec('nft', ['-f', '-'], { input: `${input}\n` });
  let loaded = false;
  return {
    name: 'nftables, set',
    load: async (members) => {
      const remove = loaded ? 'delete table ip bench\n' : '';
      loaded = true;
      // A dormant table keeps its set and has no hooks, so switching costs the next variant nothing.
      await nft(`${remove}table ip bench {
        flags dormant
        set members {
          type ipv4_addr
          elements = { ${members.join(', ')} }
        }
        chain forward {
          type filter hook forward priority 0; policy drop;
          ct state established,related accept
          ip saddr @members tcp dport { ${echoPort}, ${sinkPort} } ct state new accept
        }
      }`);
    },
    on: async () => {
      await nft('table ip bench {\n}');
    },
    off: async () => {
      await nft('table ip bench {\nflags dormant\n}');
    },
    close: async () => {
      if (loaded) await nft('delete table ip bench');
    },
  };
}

/** iptables (the legacy backend, a real xtables ruleset) with one ipset. */
export function iptables(netns: NetNamespace): Variant {
  const restore = (input: string) => netns.exec('iptables-legacy-restore', ['--noflush'], { input });
  return {
    name: 'iptables, ipset',
    load: async (members) => {
      const size = Math.max(1024, members.length * 2);
      const lines = [
        `create members hash:ip family inet hashsize ${1 << Math.ceil(Math.log2(size))} maxelem ${size} -exist`,
        'flush members',
        ...members.map((m) => `add members ${m}`),
      ];
      await netns.exec('ipset', ['destroy']);
      await netns.exec('ipset', ['restore'], { input: `${lines.join('\n')}\n` });
    },
    on: async () => {
      await restore(`*filter
:FORWARD DROP
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A FORWARD -p tcp -m set --match-set members src -m multiport --dports ${echoPort},${sinkPort} -m conntrack --ctstate NEW -j ACCEPT
COMMIT
`);
    },
    off: async () => {
      await netns.exec('iptables-legacy', ['-F', 'FORWARD']);
      await netns.exec('iptables-legacy', ['-P', 'FORWARD', 'ACCEPT']);
      // An empty table still has its hooks, and conntrack its own while a rule names it: the namespace must be as new.
      await netns.exec('iptables-legacy', ['-X']);
    },
    close: async () => {
      await netns.exec('ipset', ['destroy']);
    },
  };
}
