// A controller as it runs: the built process, its own state directory, free ports, the flow store on disk.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AdminClient, call } from '@ringfence/controller/testing/admin-client.js';

const MAIN = join(repository(), 'controller', 'dist', 'main.js');
const START_MS = 60_000;

interface Ready {
  readonly sync: string;
  readonly enroll: string;
  readonly web: string;
}

export class RunningController {
  readonly admin: AdminClient;
  readonly addresses: Ready;
  readonly stateDir: string;
  readonly #process: ChildProcess;
  readonly #log: () => string;

  private constructor(child: ChildProcess, stateDir: string, addresses: Ready, log: () => string) {
    this.#process = child;
    this.stateDir = stateDir;
    this.addresses = addresses;
    this.#log = log;
    this.admin = new AdminClient(join(stateDir, 'operator', 'context.json'));
  }

  /** Rejects with what the process wrote when it does not serve in time. */
  static async start(more: readonly string[] = []): Promise<RunningController> {
    const stateDir = mkdtempSync(join(tmpdir(), 'rf-web-'));
    const ready = join(stateDir, 'ready.json');
    const listen = ['sync', 'admin', 'enroll'].flatMap((name) => [`--listen-${name}`, '127.0.0.1:0']);
    const web = more.includes('--listen-web') ? [] : ['--listen-web', '127.0.0.1:0'];
    const args = [MAIN, '--state-dir', stateDir, '--ready-file', ready, ...listen, ...web, ...more];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (bytes: Buffer) => (text += bytes.toString()));
    const deadline = Date.now() + START_MS;
    while (!existsSync(ready)) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`the controller does not serve:\n${text}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    const addresses = JSON.parse(readFileSync(ready, 'utf8')) as Ready;
    return new RunningController(child, stateDir, addresses, () => text);
  }

  /** A fresh link of the operator, as `ringfence web` prints it. */
  async link(): Promise<string> {
    const { web } = this.admin;
    return (await call(web, web.createLink, { ttlSeconds: 0 })).url;
  }

  /** What the process wrote so far. */
  get log(): string {
    return this.#log();
  }

  async stop(): Promise<void> {
    this.admin.close();
    if (this.#process.exitCode === null) {
      const closed = once(this.#process, 'close');
      this.#process.kill('SIGTERM');
      await closed;
    }
    rmSync(this.stateDir, { recursive: true, force: true });
  }
}

/** The folder that holds everything, from sources as from what was built. */
export function repository(from = fileURLToPath(import.meta.url)): string {
  const folder = dirname(from);
  return existsSync(join(folder, 'package-lock.json')) ? folder : repository(folder);
}
