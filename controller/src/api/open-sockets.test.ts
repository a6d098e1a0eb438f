import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { Authority } from '../ca/authority.js';
import { OpenSockets } from './open-sockets.js';
import { bind, ENROLL_BOUNDS, newServer, shutDown } from './ports.js';
import { ServingCertificate, serverCredentials } from './tls.js';

vi.setConfig({ testTimeout: 60_000 });

/** A peer that resets each of its connections just when HTTP/2 begins on it. It must be a process of its own for that. */
const RESETTING_PEER = `
const { connect } = await import('node:http2');
const tls = await import('node:tls');
for (let i = 0; i < 40; i += 1) await new Promise((done) => {
  const socket = tls.connect({ host: '127.0.0.1', port: Number(process.argv[1]), rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  const session = connect('https://127.0.0.1', { createConnection: () => socket });
  session.on('error', () => {});
  socket.on('error', () => {});
  socket.on('close', done);
  session.on('connect', () => setImmediate(() => socket.destroy()));
});`;

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

/** A gRPC port, and its connections after a peer has reset some; those that Node forgot are among them. */
async function resetPort() {
  const dir = mkdtempSync(join(tmpdir(), 'rf-sockets-'));
  undo.push(() => rmSync(dir, { recursive: true }));
  const authority = await Authority.open(dir, Date.now);
  const serving = new ServingCertificate(authority.caPem, authority.server);
  const sockets = new OpenSockets();
  undo.push(() => sockets.stop());
  const server = newServer(ENROLL_BOUNDS, []);
  const { port } = await bind(server, { host: '127.0.0.1', port: 0 }, serverCredentials(serving, false));
  sockets.watch(port);
  const peer = spawn(process.execPath, ['--input-type=module', '-e', RESETTING_PEER, String(port)]);
  expect(await once(peer, 'exit')).toEqual([0, null]);
  return { server, sockets };
}

test('a server stops although Node forgot to end connections that were reset at their start', async () => {
  const { server, sockets } = await resetPort();
  await shutDown(server, 10, () => sockets.cut());
  expect(sockets.count).toBe(0);
});

test('connections that were reset at their start are closed at the second sweep', async () => {
  const { server, sockets } = await resetPort();
  undo.push(() => shutDown(server, 0, () => sockets.cut()));
  sockets.sweep();
  await expect
    .poll(
      () => {
        sockets.sweep();
        return sockets.count;
      },
      { timeout: 30_000 },
    )
    .toBe(0);
});

/** A TCP server that only reads; `read` says how many bytes. */
async function listening(): Promise<{ read: () => number; port: number }> {
  let bytes = 0;
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        bytes += chunk.length;
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => server.close());
  const address = server.address();
  return { read: () => bytes, port: typeof address === 'object' && address !== null ? address.port : 0 };
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  undo.push(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

test('a sweep closes who said nothing since the last one, and nobody else; other ports are not touched', async () => {
  const sockets = new OpenSockets();
  undo.push(() => sockets.stop());
  const [watched, other] = [await listening(), await listening()];
  sockets.watch(watched.port);
  const [silent, talking, elsewhere] = [
    await connected(watched.port),
    await connected(watched.port),
    await connected(other.port),
  ];
  await expect.poll(() => sockets.count, { timeout: 30_000 }).toBe(2);
  expect(sockets.sweep()).toBe(0);
  talking.write('x');
  await expect.poll(watched.read, { timeout: 30_000 }).toBe(1);
  const gone = once(silent.resume(), 'close');
  expect(sockets.sweep()).toBe(1);
  await gone;
  expect(sockets.count).toBe(1);
  expect(elsewhere.destroyed).toBe(false);
  sockets.cut();
  await expect.poll(() => sockets.count, { timeout: 30_000 }).toBe(0);
  expect(elsewhere.destroyed).toBe(false);
});
