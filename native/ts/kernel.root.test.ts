import { execFileSync, spawn } from 'node:child_process';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, rmdirSync, statSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  cgroupId,
  destroySocket,
  destroySockets,
  effectiveCapabilities,
  ensureBpffs,
  interfaceIndex,
  netnsCookie,
  possibleCpus,
  readClocks,
  type SocketTuple,
} from './kernel.js';
import { makeNetns, thrownBy } from './test-support.js';

let netns: ReturnType<typeof makeNetns>;
beforeAll(() => {
  netns = makeNetns('kernel');
});
afterAll(() => netns.remove());

const CGROUP_MOUNT = execFileSync('awk', ['$3 == "cgroup2" { print $2; exit }', '/proc/mounts'], {
  encoding: 'utf8',
}).trim();

/** 127.0.0.1 or ::1, 16 bytes. */
const LOOPBACK4 = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]);
const LOOPBACK6 = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

describe('small questions', () => {
  test('possibleCpus counts what the kernel lists', () => {
    const listed = execFileSync('cat', ['/sys/devices/system/cpu/possible'], { encoding: 'utf8' }).trim();
    const count = listed
      .split(',')
      .map((range) => range.split('-').map(Number))
      .reduce((sum, [first = 0, last = first]) => sum + last - first + 1, 0);
    expect(possibleCpus()).toBe(count);
  });

  test('cgroupId is the inode of the directory (the same number on 64-bit kernels)', () => {
    const path = `${CGROUP_MOUNT}/rfnat-kernel`;
    mkdirSync(path, { recursive: true });
    try {
      expect(cgroupId(path)).toBe(statSync(path, { bigint: true }).ino);
    } finally {
      rmdirSync(path);
    }
    thrownBy(() => cgroupId(path), 'RF_NOT_FOUND');
    thrownBy(() => cgroupId('/tmp'), 'RF_ARGUMENT');
  });

  test('netnsCookie differs per namespace and stays the same', () => {
    const own = netnsCookie();
    const other = netnsCookie(netns.path);
    expect(own).toBeGreaterThan(0n);
    expect(other).not.toBe(own);
    expect(netnsCookie(netns.path)).toBe(other);
    expect(netnsCookie()).toBe(own);
    thrownBy(() => netnsCookie('/run/netns/rfnat-nobody'), 'RF_NETNS');
  });

  test('interfaceIndex', () => {
    expect(interfaceIndex('lo')).toBe(1);
    expect(interfaceIndex('lo', netns.path)).toBe(1);
    expect(interfaceIndex('rfnat-none')).toBeUndefined();
  });

  test('readClocks reads three clocks that fit together', () => {
    const before = process.hrtime.bigint();
    const clocks = readClocks();
    const after = process.hrtime.bigint();
    expect(clocks.monotonicNs).toBeGreaterThanOrEqual(before);
    expect(clocks.monotonicNs).toBeLessThanOrEqual(after);
    expect(clocks.boottimeNs).toBeGreaterThanOrEqual(clocks.monotonicNs);
    expect(Number(clocks.realtimeNs / 1_000_000_000n)).toBeCloseTo(Date.now() / 1000, -1);
  });

  test('effectiveCapabilities names root’s and shows their loss', () => {
    const all = effectiveCapabilities();
    for (const name of ['CAP_CHOWN', 'CAP_NET_ADMIN', 'CAP_SYS_ADMIN', 'CAP_PERFMON', 'CAP_BPF']) {
      expect(all.has(name)).toBe(true);
    }
    const mask = execFileSync('sed', ['-n', 's/^CapEff:\\t*//p', '/proc/self/status'], { encoding: 'utf8' }).trim();
    expect(all.size).toBe([...BigInt(`0x${mask}`).toString(2)].filter((bit) => bit === '1').length);
  });

  test('ensureBpffs mounts once', () => {
    const path = '/run/rfnat-bpf-ensure';
    try {
      execFileSync('umount', [path], { stdio: 'ignore' });
    } catch {
      // No leftover of an earlier run.
    }
    expect(ensureBpffs(path)).toBe(true);
    expect(ensureBpffs(path)).toBe(false);
    execFileSync('umount', [path]);
    execFileSync('rmdir', [path]);
    thrownBy(() => ensureBpffs('/run/rfnat-no/such'), 'RF_KERNEL');
  });
});

interface Connection {
  server: Server;
  client: Socket;
  accepted: Socket;
  clientPort: number;
  serverPort: number;
}

async function connection(listenHost: string, connectHost: string): Promise<Connection> {
  const server = createServer().listen(0, listenHost);
  await once(server, 'listening');
  const serverPort = (server.address() as AddressInfo).port;
  const client = connect(serverPort, connectHost);
  const [[accepted]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [
    [Socket],
    unknown,
  ];
  return { server, client, accepted, clientPort: client.localPort ?? 0, serverPort };
}

function closeAll({ server, client, accepted }: Connection): void {
  client.destroy();
  accepted.destroy();
  server.close();
}

const swapped = (tuple: SocketTuple): SocketTuple => ({
  ...tuple,
  localPort: tuple.remotePort,
  remotePort: tuple.localPort,
});

describe('destroySocket', () => {
  test.each<[string, string, string, Uint8Array]>([
    ['IPv4', '127.0.0.1', '127.0.0.1', LOOPBACK4],
    ['IPv6', '::1', '::1', LOOPBACK6],
    ['IPv4 accepted by an IPv6 socket', '::', '127.0.0.1', LOOPBACK4],
  ])(
    'TCP over %s: the owner gets ECONNABORTED, the peer a reset, the listener lives',
    async (_name, listen, host, address) => {
      const open = await connection(listen, host);
      const tuple: SocketTuple = {
        protocol: 'tcp',
        localAddress: address,
        localPort: open.serverPort,
        remoteAddress: address,
        remotePort: open.clientPort,
      };
      const errors = Promise.all([once(open.accepted, 'error'), once(open.client, 'error')]) as Promise<
        [[NodeJS.ErrnoException], [NodeJS.ErrnoException]]
      >;
      expect(destroySocket(tuple)).toBe('destroyed');
      const [[owner], [peer]] = await errors;
      expect([owner.code, peer.code]).toEqual(['ECONNABORTED', 'ECONNRESET']);
      // The connection is gone; its listener has the same local end and must not be taken for it.
      expect(destroySocket(tuple)).toBe('not-found');
      expect(destroySocket(swapped(tuple))).toBe('not-found');
      const again = connect(open.serverPort, host);
      await once(again, 'connect');
      again.destroy();
      closeAll(open);
    },
  );

  test('UDP: only the connected socket of exactly that tuple', async () => {
    const bound = async (): Promise<UdpSocket> => {
      const socket = createSocket('udp4');
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      return socket;
    };
    const unconnected = await bound();
    const connected = await bound();
    connected.connect(unconnected.address().port, '127.0.0.1');
    await once(connected, 'connect');
    const tuple: SocketTuple = {
      protocol: 'udp',
      localAddress: LOOPBACK4,
      localPort: connected.address().port,
      remoteAddress: LOOPBACK4,
      remotePort: unconnected.address().port,
    };
    // The receiver is bound to that port but connected to nobody.
    expect(destroySocket(swapped(tuple))).toBe('not-found');
    const error = once(connected, 'error') as Promise<[NodeJS.ErrnoException]>;
    expect(destroySocket(tuple)).toBe('destroyed');
    const [{ code }] = await error;
    expect(code).toBe('ECONNABORTED');
    expect(destroySocket(tuple)).toBe('not-found');
    unconnected.close();
    connected.close();
  });

  test('in another namespace, and only there', async () => {
    const script = `
      const net = require('node:net');
      const server = net.createServer((socket) => socket.on('error', (e) => { console.log('accepted ' + e.code); process.exit(); }));
      server.listen(0, '127.0.0.1', () => {
        const client = net.connect(server.address().port, '127.0.0.1', () => console.log(server.address().port + ' ' + client.localPort));
        client.on('error', () => {});
      });`;
    const child = spawn('ip', ['netns', 'exec', netns.name, process.execPath, '-e', script]);
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    const [serverPort = 0, clientPort = 0] = line.split(' ').map(Number);
    const tuple: SocketTuple = {
      protocol: 'tcp',
      localAddress: LOOPBACK4,
      localPort: serverPort,
      remoteAddress: LOOPBACK4,
      remotePort: clientPort,
    };
    expect(destroySocket(tuple)).toBe('not-found');
    const last = once(child.stdout, 'data') as Promise<[string]>;
    expect(destroySocket({ ...tuple, netns: netns.path })).toBe('destroyed');
    expect((await last)[0].trim()).toBe('accepted ECONNABORTED');
    if (child.exitCode === null) await once(child, 'exit');
  });

  test('many at once: what is there is closed, what is not, or is no whole tuple, keeps none of them open', async () => {
    const server = createServer((socket) => socket.on('error', () => {}));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const clients = Array.from({ length: 3 }, () => connect(port, '127.0.0.1').on('error', () => {}));
    await Promise.all(clients.map((client) => once(client, 'connect')));
    const tupleOf = (localPort: number) => ({
      ...{ protocol: 'tcp' as const, localAddress: LOOPBACK4, localPort, remoteAddress: LOOPBACK4, remotePort: port },
    });
    const [first, second, third] = clients.map((client) => tupleOf(client.localPort ?? 0));
    if (!first || !second || !third) throw new Error('no clients');
    const many = [
      first,
      { ...first, localPort: 0 },
      { ...first, localPort: 1 },
      { ...second, protocol: 'udp' as const },
    ];
    expect(destroySockets([...many, second], netns.path)).toEqual({ destroyed: 0, problem: '' });
    const closed = clients.slice(0, 2).map((client) => new Promise((resolve) => client.once('close', resolve)));
    expect(destroySockets([...many, second])).toEqual({ destroyed: 2, problem: '' });
    await Promise.all(closed);
    expect(destroySocket(third)).toBe('destroyed');
    expect(destroySockets([])).toEqual({ destroyed: 0, problem: '' });
    thrownBy(() => destroySockets([first], '/proc/self/none'), 'RF_NETNS');
    server.close();
  });

  test('half a tuple is refused', () => {
    const tuple: SocketTuple = {
      protocol: 'tcp',
      localAddress: LOOPBACK4,
      localPort: 1,
      remoteAddress: LOOPBACK4,
      remotePort: 2,
    };
    thrownBy(() => destroySocket({ ...tuple, localPort: 0 }), 'RF_ARGUMENT');
    thrownBy(() => destroySocket({ ...tuple, remotePort: 65536 }), 'RF_ARGUMENT');
    thrownBy(() => destroySocket({ ...tuple, localAddress: Uint8Array.from([127, 0, 0, 1]) }), 'RF_ARGUMENT');
  });
});
