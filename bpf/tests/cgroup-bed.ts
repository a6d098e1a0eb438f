// Two namespaces joined by a veth, and a cgroup subtree of its own: rfbpf-a (the agent's) and rfbpf-b (somewhere else).
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const NEAR = 'rfbpf-a';
export const FAR = 'rfbpf-b';
export const ADDRESS = { near: '10.77.0.1', far: '10.77.0.2', near6: 'fd77::1', far6: 'fd77::2' } as const;
export const CGROUPS = ['', 'svc', 'svc/inner', 'skip', 'skip/inner'] as const;

const MOUNT = readFileSync('/proc/mounts', 'utf8')
  .split('\n')
  .map((line) => line.split(' '))
  .find((fields) => fields[2] === 'cgroup2')?.[1];
export const ROOT = join(MOUNT ?? '/sys/fs/cgroup', 'rfbpf');
export const netnsPath = (name: string): string => `/run/netns/${name}`;

const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });

export async function makeBed(): Promise<void> {
  await removeBed();
  for (const name of [NEAR, FAR]) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  ip('link', 'add', 'rfbpf0', 'netns', NEAR, 'type', 'veth', 'peer', 'name', 'rfbpf0', 'netns', FAR);
  for (const [name, v4, v6] of [
    [NEAR, ADDRESS.near, ADDRESS.near6],
    [FAR, ADDRESS.far, ADDRESS.far6],
  ] as const) {
    ip('-n', name, 'addr', 'add', `${v4}/24`, 'dev', 'rfbpf0');
    ip('-n', name, 'addr', 'add', `${v6}/64`, 'dev', 'rfbpf0', 'nodad');
    ip('-n', name, 'link', 'set', 'rfbpf0', 'up');
  }
  for (const name of CGROUPS) mkdirSync(join(ROOT, name), { recursive: true });
}

/** Also what a crashed run left. Processes in the cgroups are killed; a cgroup can go once they are reaped. */
export async function removeBed(): Promise<void> {
  for (const name of [...CGROUPS].reverse()) await removeCgroup(join(ROOT, name));
  for (const name of [NEAR, FAR]) if (existsSync(netnsPath(name))) ip('netns', 'del', name);
}

async function removeCgroup(path: string): Promise<void> {
  const deadline = Date.now() + 5000;
  while (existsSync(path)) {
    if (existsSync(join(path, 'cgroup.kill'))) writeFileSync(join(path, 'cgroup.kill'), '1');
    try {
      rmdirSync(path);
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** A process that runs JavaScript in a namespace and cgroup, and says things line by line. */
export class Actor {
  readonly child: ChildProcess;
  #text = '';
  #wake: (() => void)[] = [];

  constructor(script: string, cgroup: string | undefined, netns: string) {
    const enter = ['nsenter', `--net=${netnsPath(netns)}`, process.execPath, '-e', script];
    const argv =
      cgroup === undefined
        ? enter
        : ['sh', '-c', `echo $$ > ${join(ROOT, cgroup)}/cgroup.procs && exec "$@"`, 'sh', ...enter];
    const [command = '', ...args] = argv;
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
      for (const wake of this.#wake.splice(0)) wake();
    });
    this.child.on('exit', () => {
      this.#text += 'EXIT\n';
      for (const wake of this.#wake.splice(0)) wake();
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The next line. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf('\n');
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  tell(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

/** Connects and says "ok", or "CODE milliseconds" and ends. */
export const CONNECT = (host: string, port: number): string => `
const at = performance.now();
const s = require('node:net').connect({ host: '${host}', port: ${port} });
s.on('connect', () => { console.log('ok'); s.end(); });
s.on('error', (e) => console.log(e.code, Math.round(performance.now() - at)));`;

/** Listens, says "ready", then "from ADDRESS" for each connection; answers and closes. Waits for a line on stdin before listen if told to. */
export const LISTEN = (host: string, port: number): string => `
require('node:net').createServer((c) => { console.log('from', c.remoteAddress); c.on('error', () => {}); c.end('hello'); })
  .listen(${port}, '${host}', () => console.log('ready'));`;

/** Sends one datagram; says "sent" or the error's code. */
export const SEND = (host: string, port: number): string => `
const u = require('node:dgram').createSocket('${host.includes(':') ? 'udp6' : 'udp4'}');
u.send('x', ${port}, '${host}', (e) => { console.log(e ? e.code : 'sent'); u.close(); });`;

/** A UDP server that answers whoever asks; says "ready". */
export const ECHO = (host: string, port: number): string => `
const u = require('node:dgram').createSocket('udp4');
u.on('message', (m, from) => u.send(m, from.port, from.address, (e) => console.log(e ? e.code : 'answered')));
u.bind(${port}, '${host}', () => console.log('ready'));`;
