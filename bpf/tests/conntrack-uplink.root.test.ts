// What an uplink's TC program could know of translations that netlink does not tell: the same, earlier by what it takes to wake a reader.
// Three namespaces, a router that masquerades to random ports between them; its conntrack is read both ways at once. This holds the fact on
// which bpf/DESIGN.md, "Translations", decides; the times are printed and not asserted.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { BpfLink, BpfObject, CONNTRACK, ConntrackKind, ConntrackReader } from '@ringfence/native';
import { afterAll, beforeAll, expect, it } from 'vitest';

const CONNECTIONS = 500;
const NAMES = ['rfctu-client', 'rfctu-router', 'rfctu-server'] as const;
const [CLIENT, ROUTER, SERVER] = NAMES;
const pathOf = (name: string) => `/run/netns/${name}`;
const inside = (name: string, command: string, input?: string) =>
  execFileSync('nsenter', [`--net=${pathOf(name)}`, 'sh', '-ec', command], { input, encoding: 'utf8' });

function clear(): void {
  const there = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  for (const name of NAMES) if (there.includes(name)) execFileSync('ip', ['netns', 'del', name]);
}

beforeAll(() => {
  clear();
  for (const name of NAMES) execFileSync('ip', ['netns', 'add', name]);
  execFileSync('ip', ['link', 'add', 'c', 'netns', ROUTER, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', CLIENT]);
  execFileSync('ip', ['link', 'add', 's', 'netns', ROUTER, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', SERVER]);
  inside(
    ROUTER,
    `sysctl -qw net.ipv4.ip_forward=1; ip addr add 10.9.1.1/24 dev c; ip addr add 10.9.2.1/24 dev s; ip link set c up; ip link set s up
     nft -f -`,
    'table ip nat { chain out { type nat hook postrouting priority 100; oifname "s" masquerade random; }; }',
  );
  for (const [name, net] of [
    [CLIENT, '10.9.1'],
    [SERVER, '10.9.2'],
  ] as const)
    inside(
      name,
      `ip addr add ${net}.2/24 dev eth0; ip link set eth0 up; ip link set lo up; ip route add default via ${net}.1`,
    );
});
afterAll(clear);

/** Opens connections one after the other, and gives the client's ports in order. */
async function connect(): Promise<number[]> {
  const script = `const net = require('node:net');
    const open = (left, ports) => {
      if (left === 0) { process.stdout.write(JSON.stringify(ports)); process.exit(0); }
      const socket = net.connect(7000, '10.9.2.2', () => { ports.push(socket.localPort); socket.destroy(); setImmediate(open, left - 1, ports); });
    };
    open(${CONNECTIONS}, []);`;
  const child = spawn('nsenter', [`--net=${pathOf(CLIENT)}`, process.execPath, '-e', script]);
  let text = '';
  child.stdout.on('data', (data) => {
    text += data;
  });
  await once(child, 'close');
  return JSON.parse(text) as number[];
}

const middle = (values: number[], of = 0.5) =>
  values.sort((a, b) => a - b)[Math.floor(values.length * of)] ?? Number.NaN;

it('a program behind source NAT and netlink tell the same of every connection', async () => {
  const listening = spawn('nsenter', [
    `--net=${pathOf(SERVER)}`,
    process.execPath,
    '-e',
    `require('node:net').createServer((s) => s.on('error', () => {}).resume()).listen(7000, () => process.stdout.write('up'))`,
  ]);
  await once(listening.stdout, 'data');
  using object = BpfObject.open(fileURLToPath(new URL('../build/tests/ct_uplink.bpf.o', import.meta.url)));
  object.load();
  using program = object.program('rf_test_uplink');
  const ifindex = Number(inside(ROUTER, 'ip -o link show s').split(':')[0]);
  using link = BpfLink.attachTcx(program, { ifindex, direction: 'egress', netns: pathOf(ROUTER) });
  const told = new Map<number, { atNs: bigint; source: string; port: number }>();
  const reader = new ConntrackReader(
    { netns: pathOf(ROUTER), delayMs: 0 },
    {
      onRecords: (bytes, records) => {
        const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        for (let at = 0; at < records * CONNTRACK.bytes; at += CONNTRACK.bytes) {
          if (view[at + CONNTRACK.kind] !== ConntrackKind.created || view[at + CONNTRACK.protocol] !== 6) continue;
          told.set(view.readUInt16LE(at + CONNTRACK.translatedSourcePort), {
            atNs: view.readBigUInt64LE(at + CONNTRACK.atNs),
            source: view.subarray(at + CONNTRACK.source + 12, at + CONNTRACK.source + 16).join('.'),
            port: view.readUInt16LE(at + CONNTRACK.sourcePort),
          });
        }
      },
      onLost: () => {},
    },
  );
  const ports = await connect();
  await expect.poll(() => told.size, { timeout: 30_000 }).toBe(CONNECTIONS);
  expect(link.info().progId).toBeGreaterThan(0);
  using seen = object.map('rf_test_seen');
  const laterUs: number[] = [];
  const lookupNs: number[] = [];
  for (const [wirePort, { atNs, source, port }] of told) {
    const value = seen.lookup(Buffer.from(Uint32Array.of(wirePort).buffer));
    expect(value).toBeDefined();
    const view = new DataView(value?.buffer ?? new ArrayBuffer(0), value?.byteOffset ?? 0);
    const known = {
      found: view.getUint16(14, true),
      source: [...(value?.subarray(8, 12) ?? [])].join('.'),
      port: view.getUint16(12, true),
    };
    expect(known).toEqual({ found: 1, source, port });
    laterUs.push(Number(atNs - view.getBigUint64(0, true)) / 1000);
    lookupNs.push(Number(view.getBigUint64(16, true)));
  }
  expect([...told.values()].map(({ port }) => port).sort()).toEqual([...ports].sort());
  process.stdout.write(
    `translations of ${CONNECTIONS} connections: netlink read ${middle(laterUs).toFixed(0)} µs (p99 ${middle(laterUs, 0.99).toFixed(0)}) ` +
      `after the SYN left the uplink; a lookup there takes ${middle(lookupNs).toFixed(0)} ns, of the first packet alone\n`,
  );
  await reader.close();
  listening.kill();
}, 60_000);
