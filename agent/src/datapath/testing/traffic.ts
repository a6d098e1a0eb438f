// Sockets inside a network namespace, for tests: servers that echo, connections that stay open, datagrams.
import { createSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import type { Answer } from './driver.js';

/** What can be asked. id names a connection that stays open. */
export type TrafficRequest =
  | { readonly do: 'serve'; readonly port: number }
  | {
      readonly do: 'open';
      readonly id: string;
      readonly host: string;
      readonly port: number;
      readonly timeoutMs: number;
    }
  | { readonly do: 'echo'; readonly id: string; readonly timeoutMs: number }
  | { readonly do: 'ended'; readonly id: string; readonly timeoutMs: number }
  | { readonly do: 'datagram'; readonly host: string; readonly port: number; readonly timeoutMs: number }
  | { readonly do: 'pump'; readonly id: string }
  | { readonly do: 'pumped'; readonly id: string };

interface Open {
  readonly socket: Socket;
  end: string | undefined;
  sent: number;
  received: number;
}

const open = new Map<string, Open>();

/** TCP and UDP echo on one port, both families. */
async function serve(port: number): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '::', resolve));
  const udp = createSocket({ type: 'udp6' });
  udp.on('message', (data, from) => udp.send(data, from.port, from.address));
  await new Promise<void>((resolve) => udp.bind(port, '::', resolve));
}

/** 'open', or the error's code, or 'timeout'. */
function openSocket(id: string, host: string, port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const entry: Open = { socket, end: undefined, sent: 0, received: 0 };
    const timer = setTimeout(() => {
      socket.destroy();
      resolve('timeout');
    }, timeoutMs);
    socket.on('connect', () => {
      clearTimeout(timer);
      open.set(id, entry);
      resolve('open');
    });
    socket.on('data', (data) => {
      entry.received += data.length;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      entry.end ??= error.code ?? 'error';
      resolve(entry.end);
    });
    socket.on('close', () => {
      entry.end ??= 'closed';
    });
  });
}

async function until(test: () => boolean, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!test()) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return true;
}

/** Whether bytes sent now come back. */
async function echo(id: string, timeoutMs: number): Promise<boolean> {
  const entry = open.get(id);
  if (entry === undefined || entry.end !== undefined) return false;
  const before = entry.received;
  entry.socket.write('ping');
  return until(() => entry.received >= before + 4, timeoutMs);
}

/** How and after how many milliseconds it ended; undefined when it did not. */
async function ended(id: string, timeoutMs: number): Promise<{ how: string; afterMs: number } | undefined> {
  const started = performance.now();
  const entry = open.get(id);
  if (entry === undefined || !(await until(() => entry.end !== undefined, timeoutMs))) return undefined;
  return { how: entry.end ?? '', afterMs: performance.now() - started };
}

/** Whether a datagram comes back: 'answer', 'timeout' or the error's code. */
function datagram(host: string, port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    const done = (how: string) => {
      clearTimeout(timer);
      socket.close();
      resolve(how);
    };
    const timer = setTimeout(() => done('timeout'), timeoutMs);
    socket.on('message', () => done('answer'));
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? 'error'));
    // The callback takes a refusal of connect() although its type does not say so.
    socket.connect(port, host, (error?: NodeJS.ErrnoException) => {
      if (error) done(error.code ?? 'error');
      else socket.send('ping');
    });
  });
}

/** Keeps one message in flight for as long as the connection lives. */
function pump(id: string): void {
  const entry = open.get(id);
  if (entry === undefined) return;
  const next = () => {
    if (entry.end !== undefined) return;
    entry.sent += 4;
    entry.socket.write('ping');
  };
  entry.socket.on('data', () => setTimeout(next, 1));
  next();
}

async function answer(request: TrafficRequest): Promise<unknown> {
  switch (request.do) {
    case 'serve':
      return serve(request.port);
    case 'open':
      return openSocket(request.id, request.host, request.port, request.timeoutMs);
    case 'echo':
      return echo(request.id, request.timeoutMs);
    case 'ended':
      return ended(request.id, request.timeoutMs);
    case 'datagram':
      return datagram(request.host, request.port, request.timeoutMs);
    case 'pump':
      return pump(request.id);
    case 'pumped': {
      const entry = open.get(request.id);
      return entry === undefined ? undefined : { received: entry.received, end: entry.end };
    }
  }
}

process.on('message', (request: TrafficRequest) => {
  answer(request).then(
    (value) => process.send?.({ value } satisfies Answer),
    (error: unknown) => process.send?.({ error: { code: '', message: String(error) } } satisfies Answer),
  );
});
process.send?.({ value: 'ready' } satisfies Answer);
