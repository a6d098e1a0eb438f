import type { NetNamespace } from '@ringfence/lab/netns.js';
import { echoPort, sinkPort } from './rig.js';
import type { Variant } from './variant.js';

/**
 * nftables as its documentation advises: conntrack first, then one named set. Between its runs only the set stays: a rule that
 * names conntrack keeps it running in the namespace even in a dormant table, and would slow the unprotected neighbour down.
 */
export function nftables(netns: NetNamespace): Variant {
  const nft = (input: string) => netns.exec('nft', ['-f', '-'], { input: `${input}\n` });
  let loaded = false;
  return {
    name: 'nftables, set',
    load: async (members) => {
      const remove = loaded ? 'delete table ip bench\n' : '';
      loaded = true;
      await nft(`${remove}table ip bench {
        set members {
          type ipv4_addr
          elements = { ${members.join(', ')} }
        }
      }`);
    },
    on: async () => {
      await nft(`table ip bench {
        chain forward {
          type filter hook forward priority 0; policy drop;
          ct state established,related accept
          ip saddr @members tcp dport { ${echoPort}, ${sinkPort} } ct state new accept
        }
      }`);
    },
    off: async () => {
      await nft('delete chain ip bench forward');
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
    },
    close: async () => {
      await netns.exec('ipset', ['destroy']);
    },
  };
}
