// A throw-away machine for the agent's process: its own network namespace joined to this one by a veth, a cgroup subtree, a pin
// path and a state directory, all named rfag-<n>. What a crashed run left is removed when the same name is made again.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { checkCredentials, writeCredentials } from '../control/credentials.js';
import { findCgroupMount } from '../workloads/cgroup-tree.js';
import type { TestAuthority } from './test-authority.js';

export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
const quietly = (command: string, ...args: string[]) => {
  try {
    run(command, ...args);
  } catch {}
};

export class AgentRig {
  readonly name: string;
  readonly netns: string;
  readonly cgroupRoot: string;
  readonly pinPath: string;
  readonly directory: string;
  readonly stateDir: string;
  /** This side of the veth: where a controller can listen. */
  readonly outside: string;
  /** The machine's address. */
  readonly inside: string;
  #agent: ChildProcess | undefined;
  #output = '';

  constructor(number: number) {
    this.name = `rfag-${number}`;
    this.netns = `/run/netns/${this.name}`;
    this.cgroupRoot = join(findCgroupMount().path, this.name);
    this.pinPath = `/sys/fs/bpf/${this.name}`;
    this.outside = `10.213.${number}.1`;
    this.inside = `10.213.${number}.2`;
    this.#sweep();
    this.directory = mkdtempSync(join(tmpdir(), `${this.name}-`));
    this.stateDir = join(this.directory, 'state');
    mkdirSync(join(this.cgroupRoot, 'services/web'), { recursive: true });
    mkdirSync(join(this.cgroupRoot, 'system'), { recursive: true });
    run('ip', 'netns', 'add', this.name);
    run('ip', 'link', 'add', this.name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.name);
    run('ip', 'address', 'add', `${this.outside}/24`, 'dev', this.name);
    run('ip', 'link', 'set', this.name, 'up');
    run('ip', '-n', this.name, 'address', 'add', `${this.inside}/24`, 'dev', 'eth0');
    run('ip', '-n', this.name, 'link', 'set', 'eth0', 'up');
    run('ip', '-n', this.name, 'link', 'set', 'lo', 'up');
  }

  get configFile(): string {
    return join(this.directory, 'agent.yaml');
  }

  /** Writes the configuration; the cgroup services/web is a workload named web. */
  configure(more: Record<string, unknown> = {}): void {
    const config = {
      stateDir: this.stateDir,
      pinPath: this.pinPath,
      cgroupRoot: this.cgroupRoot,
      cgroups: [{ name: 'web', path: 'services/web' }],
      host: { name: this.name },
      flows: { flushMs: 100 },
      log: { level: 'debug' },
      ...more,
    };
    writeFileSync(this.configFile, stringify(config));
  }

  /** Gives the host a certificate of the authority. */
  async enrol(authority: TestAuthority, syncAddress: string): Promise<void> {
    const { keyPem, certificatePem } = await authority.host('h1');
    writeCredentials(this.stateDir, checkCredentials('h1', syncAddress, keyPem, certificatePem, authority.pem));
  }

  /** Starts the agent in the machine; wrapper goes before node, for example setpriv and its arguments. */
  start(wrapper: readonly string[] = []): void {
    const inside = [...wrapper, process.execPath, MAIN, '--config', this.configFile];
    // It joins the machine's cgroup itself: the agent belongs to what it guards.
    const script = 'echo $$ > "$0/system/cgroup.procs"; exec "$@"';
    this.#output = '';
    this.#agent = spawn('nsenter', [`--net=${this.netns}`, 'sh', '-c', script, this.cgroupRoot, ...inside], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#agent.stdout, this.#agent.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString();
      });
    }
  }

  /** What the agent has printed since it was started. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#agent?.pid ?? 0;
  }

  get running(): boolean {
    return this.#agent !== undefined && this.#agent.exitCode === null && this.#agent.signalCode === null;
  }

  /** Sends the signal and waits for the end; the exit code, null after a signal. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const agent = this.#agent;
    if (!agent || !this.running) return agent?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => agent.once('exit', resolve));
    agent.kill(signal);
    return ended;
  }

  /** Runs another command of the agent's main to its end. */
  main(...args: string[]): { code: number; output: string } {
    try {
      const output = run(
        'nsenter',
        `--net=${this.netns}`,
        process.execPath,
        MAIN,
        ...args,
        '--config',
        this.configFile,
      );
      return { code: 0, output };
    } catch (error) {
      const failed = error as { status: number; stdout: Buffer; stderr: Buffer };
      return { code: failed.status, output: `${failed.stdout}${failed.stderr}` };
    }
  }

  /** Runs a command in the machine, in a cgroup below its root. */
  inCgroup(cgroup: string, ...command: string[]): { code: number; output: string; ms: number } {
    const script = 'echo $$ > "$0/cgroup.procs"; exec "$@"';
    const begun = performance.now();
    try {
      const output = run(
        'nsenter',
        `--net=${this.netns}`,
        'sh',
        '-c',
        script,
        join(this.cgroupRoot, cgroup),
        ...command,
      );
      return { code: 0, output, ms: performance.now() - begun };
    } catch (error) {
      const failed = error as { status: number; stderr: Buffer };
      return { code: failed.status, output: String(failed.stderr), ms: performance.now() - begun };
    }
  }

  /** One TCP connect from a cgroup: 'ok' or the errno's name. */
  connect(cgroup: string, address: string, port: number): string {
    const script = `const s = require('net').connect({ host: '${address}', port: ${port}, timeout: 5000 });
      s.on('connect', () => { console.log('ok'); s.destroy(); });
      s.on('timeout', () => { console.log('timeout'); s.destroy(); });
      s.on('error', (e) => console.log(e.code));`;
    const { output, code } = this.inCgroup(cgroup, process.execPath, '-e', script);
    return code === 0 ? output.trim() : `exit ${code}: ${output}`;
  }

  get pinned(): boolean {
    return existsSync(this.pinPath) && readdirSync(this.pinPath).length > 0;
  }

  /** Resident bytes of the agent. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+([0-9]+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  }

  /** Everything of the machine goes. */
  async close(): Promise<void> {
    await this.stop('SIGKILL');
    this.#sweep();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #sweep(): void {
    rmSync(this.pinPath, { recursive: true, force: true });
    quietly('ip', 'link', 'delete', this.name);
    quietly('ip', 'netns', 'delete', this.name);
    if (existsSync(this.cgroupRoot)) writeFileSync(join(this.cgroupRoot, 'cgroup.kill'), '1');
    // Container runtimes leave directories in the version 1 hierarchies too.
    for (const mount of cgroupMounts()) removeCgroup(join(mount, this.name));
  }
}

function cgroupMounts(): string[] {
  const rows = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  return rows.flatMap(([, path, type]) => (path && type?.startsWith('cgroup') ? [path] : []));
}

function removeCgroup(path: string): void {
  for (let tries = 0; existsSync(path); tries++) {
    try {
      removeTree(path);
    } catch (error) {
      if (tries > 100) throw error;
      execFileSync('sleep', ['0.05']); // killed processes leave a cgroup when they are reaped
    }
  }
}

function removeTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(path, entry.name));
  }
  rmdirSync(path);
}
