// Policies small enough to check by hand, and what each must do to a connection. One line per row:
//
//   subject  in|out  remote  service  verdict  reason  rule
//
// remote: a workload's id (its first address) or an address; @port after it: the port of the end that opens. rule: the id of the
// deciding rule, - for none. The rows run through evaluate.ts and through the programs.
import type { FailsafeState, NatState } from '@ringfence/agent/desired/update.js';
import type { CompilerWorkload } from '@ringfence/controller/compile/types.js';
import { EMPTY_DOCUMENT, type PolicyDocument } from '@ringfence/controller/policy/model.js';
import { parseAddress, parsePrefix } from '@ringfence/proto/address.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { HOST } from './world.js';

export interface Scenario {
  readonly name: string;
  readonly document: PolicyDocument;
  readonly workloads: readonly CompilerWorkload[];
  /** workload: who is behind the mapping. */
  readonly nats?: readonly (Omit<NatState, 'identity'> & { readonly workload: string })[];
  readonly failsafes?: readonly FailsafeState[];
  readonly rows: string;
}

function address(text: string): Uint8Array {
  const parsed = parseAddress(text);
  if (!parsed) throw new RangeError(`${text} is no address`);
  return parsed;
}

/** `role=web env=prod`, addresses, on the host under test unless said otherwise. */
function workload(
  id: string,
  labels: string,
  addresses: string,
  more: Partial<CompilerWorkload> = {},
): CompilerWorkload {
  const hostId = more.hostId ?? HOST;
  return {
    id,
    labels: Object.fromEntries(labels.split(' ').map((label) => label.split('=') as [string, string])),
    hostId,
    localId: hostId === '' ? '' : `container:${id}`,
    addresses: addresses.split(' ').map((text) => ({ space: '', address: address(text) })),
    isolated: false,
    reject: false,
    ...more,
  };
}

const prefix = (text: string) => {
  const parsed = parsePrefix(text);
  if ('problem' in parsed) throw new RangeError(parsed.problem);
  return parsed;
};

const doc = (parts: Partial<PolicyDocument>): PolicyDocument => ({ ...EMPTY_DOCUMENT, ...parts });
const ENFORCED = [{ id: 'all', match: 'workloads', mode: 'enforce' as const }];

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'three tiers, enforced',
    workloads: [
      workload('web1', 'role=web', '10.0.0.1'),
      workload('db1', 'role=db', '10.0.0.2'),
      workload('batch1', 'role=batch', '10.0.0.3'),
      workload('web9', 'role=web', '10.0.0.9', { hostId: 'h2' }),
      workload('nas', 'role=storage', '10.0.0.50', { hostId: '' }),
    ],
    document: doc({
      modes: ENFORCED,
      rules: [
        { id: 'http', service: ['tcp/80', 'tcp/443'], providedBy: 'role=web', usedBy: 'anyone' },
        { id: 'sql', service: ['tcp/5432'], providedBy: 'role=db', usedBy: 'role=web' },
        { id: 'no-batch', action: 'deny', service: ['tcp/443'], providedBy: 'role=web', usedBy: 'role=batch' },
        { id: 'ping', service: ['icmp/8'], providedBy: 'workloads', usedBy: 'workloads' },
        { id: 'nfs', service: ['tcp/2049', 'udp/2049'], providedBy: 'role=storage', usedBy: 'role=db' },
        { id: 'up-only', service: ['tcp/9000'], providedBy: 'role=web', usedBy: 'role=db', direction: 'outbound' },
      ],
    }),
    rows: `
      web1   in   203.0.113.7  tcp/80     allowed  RULE_ALLOW     http
      web1   in   203.0.113.7  tcp/443    allowed  RULE_ALLOW     http
      web1   in   203.0.113.7  tcp/81     blocked  IMPLICIT_DENY  -
      web1   in   203.0.113.7  tcp/79     blocked  IMPLICIT_DENY  -
      web1   in   203.0.113.7  udp/80     blocked  IMPLICIT_DENY  -
      web1   in   db1          tcp/80     allowed  RULE_ALLOW     http
      web1   in   batch1       tcp/80     allowed  RULE_ALLOW     http
      web1   in   batch1       tcp/443    blocked  RULE_DENY      no-batch
      web1   in   web9         tcp/443    allowed  RULE_ALLOW     http
      web1   in   nas          tcp/443    allowed  RULE_ALLOW     http
      web1   in   db1          tcp/9000   blocked  IMPLICIT_DENY  -
      db1    out  web9         tcp/9000   allowed  RULE_ALLOW     up-only
      web1   in   db1          icmp/8     allowed  RULE_ALLOW     ping
      web1   in   203.0.113.7  icmp/8     blocked  IMPLICIT_DENY  -
      web1   in   db1          icmp/13    blocked  IMPLICIT_DENY  -
      web1   out  db1          tcp/5432   allowed  RULE_ALLOW     sql
      web1   out  db1          tcp/5433   blocked  IMPLICIT_DENY  -
      web1   out  db1          tcp/5431   blocked  IMPLICIT_DENY  -
      web1   out  db1          udp/5432   blocked  IMPLICIT_DENY  -
      web1   out  web9         tcp/443    allowed  RULE_ALLOW     http
      web1   out  203.0.113.7  tcp/443    blocked  IMPLICIT_DENY  -
      web1   out  nas          tcp/2049   blocked  IMPLICIT_DENY  -
      web1   out  web9         icmp/8     allowed  RULE_ALLOW     ping
      web1   out  203.0.113.7  icmp/8     blocked  IMPLICIT_DENY  -
      db1    in   web1         tcp/5432   allowed  RULE_ALLOW     sql
      db1    in   web9         tcp/5432   allowed  RULE_ALLOW     sql
      db1    in   batch1       tcp/5432   blocked  IMPLICIT_DENY  -
      db1    in   203.0.113.7  tcp/5432   blocked  IMPLICIT_DENY  -
      db1    in   web1         tcp/80     blocked  IMPLICIT_DENY  -
      db1    out  nas          tcp/2049   allowed  RULE_ALLOW     nfs
      db1    out  nas          udp/2049   allowed  RULE_ALLOW     nfs
      db1    out  nas          udp/2050   blocked  IMPLICIT_DENY  -
      db1    out  web1         tcp/80     allowed  RULE_ALLOW     http
      db1    out  batch1       tcp/80     blocked  IMPLICIT_DENY  -
      batch1 out  web9         tcp/80     allowed  RULE_ALLOW     http
      batch1 out  web9         tcp/443    blocked  RULE_DENY      no-batch
      batch1 out  nas          tcp/2049   blocked  IMPLICIT_DENY  -
      batch1 in   web1         tcp/80     blocked  IMPLICIT_DENY  -
      batch1 in   web1         icmp/8     allowed  RULE_ALLOW     ping
      batch1 out  10.0.0.77    icmp/8     blocked  IMPLICIT_DENY  -`,
  },
  {
    name: 'modes by selector and direction',
    workloads: [
      workload('seen', 'role=seen', '10.0.0.1'),
      workload('tested', 'role=tested', '10.0.0.2'),
      workload('mixed', 'role=mixed', '10.0.0.3'),
      workload('strict', 'role=strict', '10.0.0.4'),
      workload('plain', 'role=plain', '10.0.0.5'),
    ],
    document: doc({
      modes: [
        { id: 'seen', match: 'role=seen', mode: 'visibility' },
        { id: 'tested', match: 'role=tested', mode: 'test' },
        { id: 'mixed-in', match: 'role=mixed', mode: 'enforce', direction: 'inbound' },
        { id: 'mixed-out', match: 'role=mixed', mode: 'test', direction: 'outbound' },
        { id: 'loose', match: 'role=strict', mode: 'visibility' },
        { id: 'strict', match: 'role=strict', mode: 'enforce', priority: 1 },
      ],
      rules: [
        { id: 'ssh', service: ['tcp/22'], providedBy: 'workloads', usedBy: 'anyone' },
        { id: 'no-telnet', action: 'deny', service: ['tcp/23'], providedBy: 'workloads', usedBy: 'anyone' },
        { id: 'no-smtp', action: 'deny', service: ['tcp/25'], providedBy: 'anyone', usedBy: 'workloads' },
        { id: 'dns', service: ['udp/53'], providedBy: 'anyone', usedBy: 'workloads' },
      ],
    }),
    rows: `
      seen    in   192.0.2.1  tcp/22  allowed      RULE_ALLOW     ssh
      seen    in   192.0.2.1  tcp/23  allowed      RULE_DENY      no-telnet
      seen    in   192.0.2.1  tcp/24  allowed      IMPLICIT_DENY  -
      seen    out  192.0.2.1  tcp/25  allowed      RULE_DENY      no-smtp
      seen    out  192.0.2.1  udp/53  allowed      RULE_ALLOW     dns
      seen    out  192.0.2.1  udp/54  allowed      IMPLICIT_DENY  -
      tested  in   192.0.2.1  tcp/22  allowed      RULE_ALLOW     ssh
      tested  in   192.0.2.1  tcp/23  would-block  RULE_DENY      no-telnet
      tested  in   192.0.2.1  tcp/24  would-block  IMPLICIT_DENY  -
      tested  out  192.0.2.1  tcp/25  would-block  RULE_DENY      no-smtp
      tested  out  192.0.2.1  udp/53  allowed      RULE_ALLOW     dns
      tested  out  192.0.2.1  udp/54  would-block  IMPLICIT_DENY  -
      tested  out  192.0.2.1  icmp/8  would-block  IMPLICIT_DENY  -
      tested  in   192.0.2.1  protocol/47  would-block  IMPLICIT_DENY  -
      mixed   in   192.0.2.1  tcp/22  allowed      RULE_ALLOW     ssh
      mixed   in   192.0.2.1  tcp/23  blocked      RULE_DENY      no-telnet
      mixed   in   192.0.2.1  tcp/24  blocked      IMPLICIT_DENY  -
      mixed   out  192.0.2.1  tcp/25  would-block  RULE_DENY      no-smtp
      mixed   out  192.0.2.1  udp/53  allowed      RULE_ALLOW     dns
      mixed   out  192.0.2.1  udp/54  would-block  IMPLICIT_DENY  -
      strict  in   192.0.2.1  tcp/22  allowed      RULE_ALLOW     ssh
      strict  in   192.0.2.1  tcp/23  blocked      RULE_DENY      no-telnet
      strict  in   192.0.2.1  tcp/24  blocked      IMPLICIT_DENY  -
      strict  out  192.0.2.1  tcp/25  blocked      RULE_DENY      no-smtp
      strict  out  192.0.2.1  udp/53  allowed      RULE_ALLOW     dns
      strict  out  192.0.2.1  udp/54  blocked      IMPLICIT_DENY  -
      plain   in   192.0.2.1  tcp/23  allowed      RULE_DENY      no-telnet
      plain   in   192.0.2.1  tcp/24  allowed      IMPLICIT_DENY  -
      plain   out  192.0.2.1  tcp/25  allowed      RULE_DENY      no-smtp
      plain   in   strict     tcp/22  allowed      RULE_ALLOW     ssh`,
  },
  {
    name: 'IP lists with exclusions and overlaps',
    workloads: [
      workload('web', 'role=web', '10.9.0.1'),
      workload('inside', 'role=app', '10.1.2.200', { hostId: 'h2' }),
      workload('partner', 'role=partner', '198.51.100.7', { hostId: '' }),
    ],
    document: doc({
      modes: ENFORCED,
      ipLists: [
        { name: 'office', include: ['10.0.0.0/8', '2001:db8::/32'], exclude: ['10.1.0.0/16'] },
        { name: 'lab', include: ['10.1.2.0/24', '10.20.0.0/16'] },
        { name: 'world', include: ['0.0.0.0/0'], exclude: ['10.0.0.0/8', '203.0.113.0/24'] },
        { name: 'bad', include: ['198.51.100.0/24', '2001:db8:bad::/48'] },
        { name: 'one', include: ['192.0.2.55'] },
      ],
      rules: [
        { id: 'office-ssh', service: ['tcp/22'], providedBy: 'role=web', usedBy: { ipList: 'office' } },
        { id: 'lab-8080', service: ['tcp/8080'], providedBy: 'role=web', usedBy: { ipList: 'lab' } },
        { id: 'world-https', service: ['tcp/443'], providedBy: 'role=web', usedBy: { ipList: 'world' } },
        { id: 'no-bad', action: 'deny', service: ['any'], providedBy: 'role=web', usedBy: { ipList: 'bad' } },
        { id: 'partner-api', service: ['tcp/443', 'tcp/9443'], providedBy: 'role=web', usedBy: 'role=partner' },
        { id: 'one-udp', service: ['udp'], providedBy: 'role=web', usedBy: { ipList: 'one' } },
        {
          id: 'app-or-lab',
          service: ['tcp/7000'],
          providedBy: 'role=web',
          usedBy: { any: ['role=app', { ipList: 'lab' }] },
        },
        { id: 'out-world', service: ['tcp/443'], providedBy: { ipList: 'world' }, usedBy: 'role=web' },
      ],
    }),
    rows: `
      web  in   10.2.0.1        tcp/22    allowed  RULE_ALLOW     office-ssh
      web  in   10.0.0.0        tcp/22    allowed  RULE_ALLOW     office-ssh
      web  in   10.255.255.255  tcp/22    allowed  RULE_ALLOW     office-ssh
      web  in   11.0.0.0        tcp/22    blocked  IMPLICIT_DENY  -
      web  in   9.255.255.255   tcp/22    blocked  IMPLICIT_DENY  -
      web  in   10.1.0.0        tcp/22    blocked  IMPLICIT_DENY  -
      web  in   10.1.255.255    tcp/22    blocked  IMPLICIT_DENY  -
      web  in   10.1.2.5        tcp/22    blocked  IMPLICIT_DENY  -
      web  in   10.1.2.5        tcp/8080  allowed  RULE_ALLOW     lab-8080
      web  in   10.1.3.0        tcp/8080  blocked  IMPLICIT_DENY  -
      web  in   10.20.5.5       tcp/8080  allowed  RULE_ALLOW     lab-8080
      web  in   10.20.5.5       tcp/22    allowed  RULE_ALLOW     office-ssh
      web  in   10.21.0.0       tcp/8080  blocked  IMPLICIT_DENY  -
      web  in   8.8.8.8         tcp/443   allowed  RULE_ALLOW     world-https
      web  in   8.8.8.8         tcp/22    blocked  IMPLICIT_DENY  -
      web  in   10.2.0.1        tcp/443   blocked  IMPLICIT_DENY  -
      web  in   203.0.113.9     tcp/443   blocked  IMPLICIT_DENY  -
      web  in   203.0.112.255   tcp/443   allowed  RULE_ALLOW     world-https
      web  in   198.51.100.9    tcp/443   blocked  RULE_DENY      no-bad
      web  in   198.51.100.9    udp/1     blocked  RULE_DENY      no-bad
      web  in   198.51.100.9    icmp/8    blocked  RULE_DENY      no-bad
      web  in   partner         tcp/443   blocked  RULE_DENY      no-bad
      web  in   partner         tcp/9443  blocked  RULE_DENY      no-bad
      web  out  partner         tcp/443   allowed  RULE_ALLOW     out-world
      web  in   192.0.2.55      udp/7     allowed  RULE_ALLOW     one-udp
      web  in   192.0.2.55      tcp/443   allowed  RULE_ALLOW     world-https
      web  in   192.0.2.54      udp/7     blocked  IMPLICIT_DENY  -
      web  in   192.0.2.56      udp/7     blocked  IMPLICIT_DENY  -
      web  in   inside          tcp/7000  allowed  RULE_ALLOW     app-or-lab
      web  in   inside          tcp/8080  allowed  RULE_ALLOW     lab-8080
      web  in   10.1.2.201      tcp/7000  allowed  RULE_ALLOW     app-or-lab
      web  in   10.1.3.201      tcp/7000  blocked  IMPLICIT_DENY  -
      web  out  8.8.8.8         tcp/443   allowed  RULE_ALLOW     out-world
      web  out  8.8.8.8         tcp/80    blocked  IMPLICIT_DENY  -
      web  out  10.5.5.5        tcp/443   blocked  IMPLICIT_DENY  -
      web  in   2001:db8::7     tcp/22    allowed  RULE_ALLOW     office-ssh
      web  in   2001:db8:bad::7 tcp/22    blocked  RULE_DENY      no-bad
      web  in   2001:db9::7     tcp/22    blocked  IMPLICIT_DENY  -
      web  out  2001:db8::7     tcp/443   blocked  IMPLICIT_DENY  -`,
  },
  {
    name: 'shared addresses',
    workloads: [
      workload('srv', 'role=srv', '10.0.0.1'),
      workload('good', 'role=good', '10.7.7.7', { hostId: 'h2' }),
      workload('bad', 'role=bad', '10.7.7.7', { hostId: 'h2' }),
      workload('other', 'role=other', '10.7.7.7', { hostId: 'h2' }),
      workload('bad2', 'role=bad', '10.8.8.8', { hostId: 'h2' }),
      workload('other2', 'role=other', '10.8.8.8', { hostId: 'h2' }),
    ],
    document: doc({
      modes: ENFORCED,
      ipLists: [{ name: 'seven', include: ['10.7.0.0/16'] }],
      rules: [
        { id: 'good-1', service: ['tcp/1000-1999'], providedBy: 'role=srv', usedBy: 'role=good' },
        { id: 'no-bad', action: 'deny', service: ['tcp'], providedBy: 'role=srv', usedBy: 'role=bad' },
        { id: 'other-2', service: ['tcp/2000'], providedBy: 'role=srv', usedBy: 'role=other' },
        { id: 'no-other', action: 'deny', service: ['tcp/3000'], providedBy: 'role=srv', usedBy: 'role=other' },
        { id: 'no-seven', action: 'deny', service: ['tcp/1500'], providedBy: 'role=srv', usedBy: { ipList: 'seven' } },
        { id: 'known', service: ['udp/1'], providedBy: 'role=srv', usedBy: 'workloads' },
        { id: 'call', service: ['tcp/6000'], providedBy: 'role=other', usedBy: 'role=srv' },
      ],
    }),
    rows: `
      srv  in   10.7.7.7  tcp/1000  allowed  RULE_ALLOW     good-1
      srv  in   10.7.7.7  tcp/1999  allowed  RULE_ALLOW     good-1
      srv  in   10.7.7.7  tcp/1500  blocked  RULE_DENY      no-bad
      srv  in   10.7.7.7  tcp/2000  allowed  RULE_ALLOW     other-2
      srv  in   10.7.7.7  tcp/2001  blocked  RULE_DENY      no-bad
      srv  in   10.7.7.7  tcp/3000  blocked  RULE_DENY      no-bad
      srv  in   10.7.7.7  tcp/999   blocked  RULE_DENY      no-bad
      srv  in   10.7.7.7  udp/1     allowed  RULE_ALLOW     known
      srv  in   10.7.7.7  udp/2     blocked  IMPLICIT_DENY  -
      srv  in   10.7.7.7  icmp/8    blocked  IMPLICIT_DENY  -
      srv  in   10.8.8.8  tcp/1000  blocked  RULE_DENY      no-bad
      srv  in   10.8.8.8  tcp/2000  allowed  RULE_ALLOW     other-2
      srv  in   10.8.8.8  tcp/3000  blocked  RULE_DENY      no-bad
      srv  in   10.8.8.8  udp/1     allowed  RULE_ALLOW     known
      srv  out  10.7.7.7  tcp/6000  allowed  RULE_ALLOW     call
      srv  out  10.8.8.8  tcp/6000  allowed  RULE_ALLOW     call
      srv  out  10.8.8.8  tcp/6001  blocked  IMPLICIT_DENY  -
      srv  in   10.7.7.8  tcp/1500  blocked  RULE_DENY      no-seven
      srv  in   10.7.7.8  udp/1     blocked  IMPLICIT_DENY  -
      srv  in   10.6.6.6  tcp/1500  blocked  IMPLICIT_DENY  -`,
  },
  {
    name: 'IPv6',
    workloads: [
      workload('web', 'role=web', 'fd00::1 10.0.0.1'),
      workload('db', 'role=db', 'fd00::2', { hostId: 'h2' }),
    ],
    document: doc({
      modes: ENFORCED,
      ipLists: [{ name: 'net', include: ['2001:db8:1::/48'], exclude: ['2001:db8:1:ff::/64'] }],
      rules: [
        { id: 'sql', service: ['tcp/5432'], providedBy: 'role=db', usedBy: 'role=web' },
        { id: 'net-http', service: ['tcp/80'], providedBy: 'role=web', usedBy: { ipList: 'net' } },
        { id: 'ping6', service: ['icmpv6/128'], providedBy: 'role=web', usedBy: 'anyone' },
        { id: 'no-ping4', action: 'deny', service: ['icmp/8'], providedBy: 'role=web', usedBy: 'anyone' },
        { id: 'dns', service: ['udp/53'], providedBy: 'anyone', usedBy: 'role=web' },
      ],
    }),
    rows: `
      web  out  fd00::2            tcp/5432    allowed  RULE_ALLOW     sql
      web  out  fd00::3            tcp/5432    blocked  IMPLICIT_DENY  -
      web  out  fd00::2            tcp/5433    blocked  IMPLICIT_DENY  -
      web  in   2001:db8:1::5      tcp/80      allowed  RULE_ALLOW     net-http
      web  in   2001:db8:1:fe::5   tcp/80      allowed  RULE_ALLOW     net-http
      web  in   2001:db8:1:ff::5   tcp/80      blocked  IMPLICIT_DENY  -
      web  in   2001:db8:1:ff:ffff:ffff:ffff:ffff  tcp/80  blocked  IMPLICIT_DENY  -
      web  in   2001:db8:1:100::   tcp/80      allowed  RULE_ALLOW     net-http
      web  in   2001:db8:2::5      tcp/80      blocked  IMPLICIT_DENY  -
      web  in   fd00::2            icmpv6/128  allowed  RULE_ALLOW     ping6
      web  in   2001:db8:2::5      icmpv6/128  allowed  RULE_ALLOW     ping6
      web  in   2001:db8:2::5      icmpv6/129  blocked  IMPLICIT_DENY  -
      web  out  2001:db8:2::5      icmpv6/128  blocked  IMPLICIT_DENY  -
      web  in   10.0.0.9           icmp/8      blocked  RULE_DENY      no-ping4
      web  out  2001:db8::53       udp/53      allowed  RULE_ALLOW     dns
      web  out  192.0.2.53         udp/53      allowed  RULE_ALLOW     dns
      web  out  2001:db8::53       udp/54      blocked  IMPLICIT_DENY  -
      web  in   2001:db8::53       udp/53      blocked  IMPLICIT_DENY  -`,
  },
  {
    name: 'protocols, ranges and their edges',
    workloads: [workload('a', 'role=a', '10.0.0.1'), workload('b', 'role=b', '10.0.0.2', { hostId: 'h2' })],
    document: doc({
      modes: ENFORCED,
      rules: [
        { id: 'range', service: ['tcp/1000-2047'], providedBy: 'role=a', usedBy: 'role=b' },
        { id: 'odd', service: ['tcp/3001-3006'], providedBy: 'role=a', usedBy: 'role=b' },
        { id: 'first', service: ['udp/0-7'], providedBy: 'role=a', usedBy: 'role=b' },
        { id: 'last', service: ['udp/65528-65535'], providedBy: 'role=a', usedBy: 'role=b' },
        { id: 'hole', action: 'deny', service: ['tcp/1500-1503'], providedBy: 'role=a', usedBy: 'role=b' },
        { id: 'gre', service: ['protocol/47'], providedBy: 'role=a', usedBy: 'role=b' },
        { id: 'sctp', service: ['sctp/36412'], providedBy: 'role=a', usedBy: 'role=b' },
        { id: 'mtu', service: ['icmp/3:4'], providedBy: 'role=a', usedBy: 'role=b' },
        { id: 'time', service: ['icmp/13'], providedBy: 'role=a', usedBy: 'role=b' },
        { id: 'all-tcp', service: ['tcp'], providedBy: 'role=b', usedBy: 'role=a' },
        { id: 'all', service: ['any'], providedBy: 'anyone', usedBy: 'role=nobody' },
        { id: 'ports-out', service: ['udp'], providedBy: 'role=b', usedBy: 'role=a' },
        { id: 'not-dns', action: 'deny', service: ['udp/53'], providedBy: 'role=b', usedBy: 'role=a' },
      ],
    }),
    rows: `
      a  in   b  tcp/999      blocked  IMPLICIT_DENY  -
      a  in   b  tcp/1000     allowed  RULE_ALLOW     range
      a  in   b  tcp/1499     allowed  RULE_ALLOW     range
      a  in   b  tcp/1500     blocked  RULE_DENY      hole
      a  in   b  tcp/1503     blocked  RULE_DENY      hole
      a  in   b  tcp/1504     allowed  RULE_ALLOW     range
      a  in   b  tcp/2047     allowed  RULE_ALLOW     range
      a  in   b  tcp/2048     blocked  IMPLICIT_DENY  -
      a  in   b  tcp/3000     blocked  IMPLICIT_DENY  -
      a  in   b  tcp/3001     allowed  RULE_ALLOW     odd
      a  in   b  tcp/3006     allowed  RULE_ALLOW     odd
      a  in   b  tcp/3007     blocked  IMPLICIT_DENY  -
      a  in   b  udp/0        allowed  RULE_ALLOW     first
      a  in   b  udp/7        allowed  RULE_ALLOW     first
      a  in   b  udp/8        blocked  IMPLICIT_DENY  -
      a  in   b  udp/65527    blocked  IMPLICIT_DENY  -
      a  in   b  udp/65528    allowed  RULE_ALLOW     last
      a  in   b  udp/65535    allowed  RULE_ALLOW     last
      a  in   b  tcp/65535    blocked  IMPLICIT_DENY  -
      a  in   b  tcp/0        blocked  IMPLICIT_DENY  -
      a  in   b  protocol/47  allowed  RULE_ALLOW     gre
      a  in   b  protocol/50  blocked  IMPLICIT_DENY  -
      a  in   10.0.0.3  protocol/47  blocked  IMPLICIT_DENY  -
      a  in   b  sctp/36412   allowed  RULE_ALLOW     sctp
      a  in   b  sctp/36413   blocked  IMPLICIT_DENY  -
      a  in   b  icmp/3:4     allowed  RULE_ALLOW     mtu
      a  in   b  icmp/3:3     blocked  ICMP_UNRELATED -
      a  in   b  icmp/11:0    blocked  ICMP_UNRELATED -
      a  in   b  icmp/13      allowed  RULE_ALLOW     time
      a  in   b  icmp/8       blocked  IMPLICIT_DENY  -
      a  out  b  tcp/0        allowed  RULE_ALLOW     all-tcp
      a  out  b  tcp/65535    allowed  RULE_ALLOW     all-tcp
      a  out  b  udp/52       allowed  RULE_ALLOW     ports-out
      a  out  b  udp/53       blocked  RULE_DENY      not-dns
      a  out  b  udp/54       allowed  RULE_ALLOW     ports-out
      a  out  b  icmp/8       blocked  IMPLICIT_DENY  -
      a  out  b  protocol/4   blocked  IMPLICIT_DENY  -
      a  out  10.0.0.3  tcp/80  blocked  IMPLICIT_DENY  -`,
  },
  {
    name: 'relations between both ends',
    workloads: [
      workload('shop-web', 'app=shop env=prod', '10.0.0.1'),
      workload('shop-db', 'app=shop env=prod', '10.0.0.2', { hostId: 'h2' }),
      workload('shop-test', 'app=shop env=test', '10.0.0.3', { hostId: 'h2' }),
      workload('mail', 'app=mail env=prod', '10.0.0.4', { hostId: 'h2' }),
      workload('bare', 'env=prod', '10.0.0.5'),
    ],
    document: doc({
      modes: ENFORCED,
      rules: [
        { id: 'same-app', service: ['tcp/1-1023'], providedBy: 'workloads', usedBy: 'workloads', same: ['app'] },
        {
          id: 'apart',
          action: 'deny',
          service: ['tcp/22'],
          providedBy: 'workloads',
          usedBy: 'workloads',
          differs: ['env'],
        },
        { id: 'same-env', service: ['udp'], providedBy: 'workloads', usedBy: 'workloads', same: ['env'] },
        { id: 'both', service: ['tcp/2000'], providedBy: 'workloads', usedBy: 'workloads', same: ['app', 'env'] },
      ],
    }),
    rows: `
      shop-web  out  shop-db    tcp/80    allowed  RULE_ALLOW     same-app
      shop-web  out  shop-db    tcp/22    allowed  RULE_ALLOW     same-app
      shop-web  out  shop-test  tcp/80    allowed  RULE_ALLOW     same-app
      shop-web  out  shop-test  tcp/22    blocked  RULE_DENY      apart
      shop-web  out  mail       tcp/80    blocked  IMPLICIT_DENY  -
      shop-web  out  mail       tcp/22    blocked  IMPLICIT_DENY  -
      shop-web  out  mail       udp/53    allowed  RULE_ALLOW     same-env
      shop-web  out  shop-test  udp/53    blocked  IMPLICIT_DENY  -
      shop-web  in   shop-db    tcp/2000  allowed  RULE_ALLOW     both
      shop-web  in   shop-test  tcp/2000  blocked  IMPLICIT_DENY  -
      shop-web  in   bare       tcp/80    blocked  IMPLICIT_DENY  -
      shop-web  in   bare       udp/53    allowed  RULE_ALLOW     same-env
      bare      out  shop-web   tcp/80    blocked  IMPLICIT_DENY  -
      bare      out  shop-web   udp/53    allowed  RULE_ALLOW     same-env
      bare      out  shop-test  tcp/22    blocked  RULE_DENY      apart
      bare      out  10.0.0.99  tcp/80    blocked  IMPLICIT_DENY  -`,
  },
  {
    name: 'isolation, and the failsafe table before it',
    workloads: [
      workload('cell', 'role=cell', '10.0.0.1', { isolated: true }),
      workload('free', 'role=free', '10.0.0.2'),
      workload('admin', 'role=admin', '10.0.9.9', { hostId: 'h2' }),
    ],
    failsafes: [
      { direction: Direction.DIRECTION_INBOUND, protocol: 6, port: 22, remote: prefix('10.0.9.0/24') },
      { direction: Direction.DIRECTION_OUTBOUND, protocol: 6, port: 7443, remote: prefix('192.0.2.1/32') },
      { direction: Direction.DIRECTION_OUTBOUND, protocol: 17, port: 0, remote: prefix('2001:db8:5::/48') },
    ],
    document: doc({
      modes: [{ id: 'free', match: 'role=free', mode: 'enforce' }],
      rules: [
        { id: 'any', service: ['any'], providedBy: 'workloads', usedBy: 'anyone' },
        { id: 'no-ssh', action: 'deny', service: ['tcp/22'], providedBy: 'workloads', usedBy: 'anyone' },
      ],
    }),
    rows: `
      cell  in   203.0.113.1    tcp/80    blocked  ISOLATED       -
      cell  in   free           tcp/80    blocked  ISOLATED       -
      cell  out  free           tcp/80    blocked  ISOLATED       -
      cell  out  203.0.113.1    udp/53    blocked  ISOLATED       -
      cell  out  203.0.113.1    icmp/8    blocked  ISOLATED       -
      cell  in   203.0.113.1    protocol/47  blocked  ISOLATED    -
      cell  in   admin          tcp/22    allowed  FAILSAFE       -
      cell  in   10.0.9.255     tcp/22    allowed  FAILSAFE       -
      cell  in   10.0.10.0      tcp/22    blocked  ISOLATED       -
      cell  in   admin          tcp/23    blocked  ISOLATED       -
      cell  in   admin          udp/22    blocked  ISOLATED       -
      cell  out  admin          tcp/22    blocked  ISOLATED       -
      cell  out  192.0.2.1      tcp/7443  allowed  FAILSAFE       -
      cell  out  192.0.2.2      tcp/7443  blocked  ISOLATED       -
      cell  in   192.0.2.1      tcp/7443  blocked  ISOLATED       -
      cell  out  2001:db8:5::1  udp/1     allowed  FAILSAFE       -
      cell  out  2001:db8:5::1  udp/65535 allowed  FAILSAFE       -
      cell  out  2001:db8:6::1  udp/1     blocked  ISOLATED       -
      free  in   admin          tcp/22    allowed  FAILSAFE       -
      free  in   203.0.113.1    tcp/22    blocked  RULE_DENY      no-ssh
      free  in   203.0.113.1    tcp/80    allowed  RULE_ALLOW     any
      free  out  192.0.2.1      tcp/7443  allowed  FAILSAFE       -
      free  out  cell           tcp/80    allowed  RULE_ALLOW     any`,
  },
  {
    name: 'destination mappings',
    workloads: [
      workload('web', 'role=web', '10.0.0.1'),
      workload('api', 'role=api', '172.16.0.5', { hostId: 'h2' }),
      workload('host2', 'role=host', '192.0.2.2', { hostId: 'h2' }),
    ],
    nats: [
      { space: '', protocol: 6, address: address('192.0.2.2'), port: 8080, workload: 'api', targetPort: 80 },
      { space: '', protocol: 17, address: address('192.0.2.2'), port: 8080, workload: 'api', targetPort: 5000 },
    ],
    document: doc({
      modes: ENFORCED,
      rules: [
        { id: 'api', service: ['tcp/80'], providedBy: 'role=api', usedBy: 'role=web' },
        { id: 'agent', service: ['tcp/9100', 'tcp/8081'], providedBy: 'role=host', usedBy: 'role=web' },
        { id: 'no-8080', action: 'deny', service: ['tcp/8080'], providedBy: 'role=host', usedBy: 'role=web' },
        { id: 'scrape', service: ['tcp/9200', 'udp/9200'], providedBy: 'role=web', usedBy: 'role=host' },
        { id: 'no-api', action: 'deny', service: ['any'], providedBy: 'role=web', usedBy: 'role=api' },
      ],
    }),
    rows: `
      web  out  192.0.2.2   tcp/8080  allowed  RULE_ALLOW     api
      web  out  192.0.2.2   tcp/80    blocked  IMPLICIT_DENY  -
      web  out  192.0.2.2   tcp/8081  allowed  RULE_ALLOW     agent
      web  out  192.0.2.2   tcp/9100  allowed  RULE_ALLOW     agent
      web  out  192.0.2.2   udp/8080  blocked  IMPLICIT_DENY  -
      web  out  api         tcp/80    allowed  RULE_ALLOW     api
      web  out  api         tcp/8080  blocked  IMPLICIT_DENY  -
      web  in   192.0.2.2       tcp/9200  allowed  RULE_ALLOW     scrape
      web  in   192.0.2.2@8080  tcp/9200  allowed  RULE_ALLOW     scrape
      web  in   192.0.2.2@8080  udp/9200  allowed  RULE_ALLOW     scrape
      web  in   192.0.2.2@8080  tcp/80    blocked  IMPLICIT_DENY  -
      web  in   api@8080        tcp/9200  blocked  RULE_DENY      no-api
      web  in   203.0.113.9@8080  tcp/9200  blocked  IMPLICIT_DENY  -`,
  },
];
