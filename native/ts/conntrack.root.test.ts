// A client, a router that masquerades, a server; packets are real, what is read is the router's conntrack.
import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { CONNTRACK, ConntrackKind, ConntrackReader } from './conntrack.js';
import { eventually, makeNetns, thrownBy } from './test-support.js';

const client = makeNetns('ctclient');
const router = makeNetns('ctrouter');
const server = makeNetns('ctserver');

function inside(netns: { path: string }, command: string, input?: string): string {
  return execFileSync('nsenter', [`--net=${netns.path}`, 'sh', '-c', command], { input, encoding: 'utf8' });
}

beforeAll(() => {
  execFileSync('ip', ['-batch', '-'], {
    input: `link add c netns ${router.name} type veth peer name eth0 netns ${client.name}
link add s netns ${router.name} type veth peer name eth0 netns ${server.name}
`,
  });
  inside(
    router,
    `sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip addr add 10.9.1.1/24 dev c; ip addr add fd09:1::1/64 dev c nodad; ip link set c up
ip addr add 10.9.2.1/24 dev s; ip addr add fd09:2::1/64 dev s nodad; ip link set s up
nft -f -`,
    `table inet nat {
  chain in { type nat hook prerouting priority -100; iifname "c" ip daddr 10.9.9.9 udp dport 1000 dnat ip to 10.9.2.2:2000; }
  chain out { type nat hook postrouting priority 100; oifname "s" masquerade; }
}`,
  );
  inside(
    client,
    'ip addr add 10.9.1.2/24 dev eth0; ip addr add fd09:1::2/64 dev eth0 nodad; ip link set eth0 up; ip route add default via 10.9.1.1; ip -6 route add default via fd09:1::1',
  );
  inside(
    server,
    'ip addr add 10.9.2.2/24 dev eth0; ip addr add fd09:2::2/64 dev eth0 nodad; ip link set eth0 up; ip route add default via 10.9.2.1; ip -6 route add default via fd09:2::1',
  );
});
const open: ConntrackReader[] = [];
afterEach(async () => {
  for (const reader of open.splice(0)) await reader.close();
  inside(router, 'conntrack -F 2>/dev/null');
});
afterAll(() => {
  for (const netns of [client, router, server]) netns.remove();
});

interface Seen {
  kind: number;
  protocol: number;
  id: number;
  from: string;
  to: string;
  translatedFrom: string;
  translatedTo: string;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function records(bytes: Uint8Array, count: number): Seen[] {
  return Array.from({ length: count }, (_, i) => {
    const at = i * CONNTRACK.bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, CONNTRACK.bytes);
    const end = (address: number, port: number) =>
      `${hex(bytes.subarray(at + address, at + address + 16))}:${view.getUint16(port, true)}`;
    return {
      kind: view.getUint8(CONNTRACK.kind),
      protocol: view.getUint8(CONNTRACK.protocol),
      id: view.getUint32(CONNTRACK.id, true),
      from: end(CONNTRACK.source, CONNTRACK.sourcePort),
      to: end(CONNTRACK.destination, CONNTRACK.destinationPort),
      translatedFrom: end(CONNTRACK.translatedSource, CONNTRACK.translatedSourcePort),
      translatedTo: end(CONNTRACK.translatedDestination, CONNTRACK.translatedDestinationPort),
    };
  });
}

function read(options: Partial<ConstructorParameters<typeof ConntrackReader>[0]> = {}) {
  const seen: Seen[] = [];
  const state = { lost: 0 };
  const reader = new ConntrackReader(
    { netns: router.path, delayMs: 0, ...options },
    {
      onRecords: (bytes, count) => seen.push(...records(bytes, count)),
      onLost: () => {
        state.lost += 1;
      },
    },
  );
  open.push(reader);
  return { reader, seen, state };
}

const v4 = (last: string) => `00000000000000000000ffff${last}`;
const CLIENT = v4('0a090102');
const ROUTER = v4('0a090201');
const SERVER = v4('0a090202');

test('a masqueraded UDP exchange, a published port and an IPv6 one are read with both tuples', async () => {
  const { reader, seen } = read();
  inside(client, "echo x | timeout 1 bash -c 'cat > /dev/udp/10.9.2.2/53'");
  inside(client, "echo x | timeout 1 bash -c 'cat > /dev/udp/10.9.9.9/1000'");
  inside(client, "echo x | timeout 1 bash -c 'cat > /dev/udp/fd09:2::2/53'");
  await eventually('three records', () => seen.length >= 3);
  expect(seen.every(({ kind, protocol }) => kind === ConntrackKind.created && protocol === 17)).toBe(true);
  const [plain, published, six] = seen;
  expect(plain?.from.startsWith(CLIENT)).toBe(true);
  expect(plain?.translatedFrom.startsWith(ROUTER)).toBe(true);
  expect([plain?.to, plain?.translatedTo]).toEqual([`${SERVER}:53`, `${SERVER}:53`]);
  expect([published?.to, published?.translatedTo]).toEqual([`${v4('0a090909')}:1000`, `${SERVER}:2000`]);
  expect(six?.from.startsWith('fd090001000000000000000000000002:')).toBe(true);
  expect(six?.translatedFrom.startsWith('fd090002000000000000000000000001:')).toBe(true);
  // The same from the table.
  await reader.dump();
  const listed = seen.filter(({ kind }) => kind === ConntrackKind.listed).map(({ id }) => id);
  expect(new Set(listed)).toEqual(new Set(seen.slice(0, 3).map(({ id }) => id)));
  inside(router, 'conntrack -F 2>/dev/null');
  await eventually('their ends', () => seen.filter(({ kind }) => kind === ConntrackKind.gone).length === 3);
});

test('an ICMP echo has its id in place of a port, and its type as destination', async () => {
  const { seen } = read();
  inside(client, 'ping -c 1 -W 2 10.9.2.2 > /dev/null');
  await eventually('a record', () => seen.find(({ protocol }) => protocol === 1));
  const [echo] = seen;
  expect(echo?.to).toBe(`${SERVER}:${8 * 256}`);
  expect(echo?.translatedTo).toBe(`${SERVER}:${8 * 256}`);
  expect(echo?.translatedFrom).toMatch(new RegExp(`^${ROUTER}:\\d+$`));
});

test('connections that nobody translates are not told, and counted where the kernel did not filter them', async () => {
  const { reader, seen } = read();
  // From the router itself under its own address: masquerade changes nothing.
  inside(router, "echo x | timeout 1 bash -c 'cat > /dev/udp/10.9.2.2/99'");
  await reader.dump();
  expect(seen).toEqual([]);
  expect(reader.counters().passedOver).toBeGreaterThanOrEqual(1n);
});

test('a full queue is told as a loss, and a dump afterwards has every connection', async () => {
  const { reader, seen, state } = read({ receiveBytes: 4096, batchRecords: 16, batches: 1 });
  const connections = 4000;
  // From one socket to many ports: each is a connection of its own. The main thread is held meanwhile, so nothing is taken.
  inside(
    client,
    `python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(10000, ${10_000 + connections}): s.sendto(b'x', ('10.9.2.2', port))
"`,
  );
  await eventually('a loss', () => state.lost > 0);
  await reader.dump();
  const listed = seen.filter(({ kind }) => kind === ConntrackKind.listed);
  expect(listed.length).toBe(connections);
  expect(reader.counters().overruns).toBeGreaterThanOrEqual(1n);
  expect(reader.counters().records).toBe(BigInt(seen.length));
});

test('misuse is refused in words, and close is idempotent', async () => {
  const { reader } = read();
  const pending = reader.dump();
  await Promise.allSettled([pending]);
  await reader.close();
  await reader.close();
  thrownBy(() => void reader.dump(), 'RF_CLOSED');
  const none = { onRecords: () => {}, onLost: () => {} };
  thrownBy(() => new ConntrackReader({ receiveBytes: 1 }, none), 'RF_ARGUMENT');
  thrownBy(() => new ConntrackReader({ netns: '/nonexistent' }, none), 'RF_NETNS');
});
