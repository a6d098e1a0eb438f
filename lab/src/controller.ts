import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AdminApi } from './api.js';
import type { LabNode } from './node.js';
import { repository } from './paths.js';
import type { Exit, LabProcess } from './process.js';
import { tool } from './tool.js';
import { HopelessError, until } from './until.js';

interface ReadyFile {
  sync: string;
  admin: string;
  enroll: string;
}

/** A controller process on a node of the lab, with its own state directory. It can be stopped, killed and started again. */
export class ControllerProcess {
  private process: LabProcess | undefined;
  private relay: LabProcess | undefined;
  private client: AdminApi | undefined;
  /** Beside the test's own, from the next start on; the CLI gets it too. */
  environment: Readonly<Record<string, string>> = {};

  constructor(
    readonly node: LabNode,
    /** Kept over restarts. */
    readonly stateDir: string = node.file('controller'),
  ) {}

  /** The operator's context file: for the CLI. Its address is valid inside the node's namespace. */
  get contextFile(): string {
    return join(this.stateDir, 'operator', 'context.json');
  }

  /** host:port of the agents' stream, as other machines reach it. */
  get syncAddress(): string {
    return `${this.node.addresses.ip4}:7443`;
  }

  /** host:port of enrolment, as other machines reach it. */
  get enrollAddress(): string {
    return `${this.node.addresses.ip4}:7445`;
  }

  get api(): AdminApi {
    if (!this.client) throw new Error('Cannot call the controller: it is not started, wanted start() before');
    return this.client;
  }

  /** Starts it; returns when it serves. */
  async start(): Promise<void> {
    const readyFile = this.node.file('controller-ready.json');
    await rm(readyFile, { force: true });
    await mkdir(this.stateDir, { recursive: true, mode: 0o700 });
    const started = await this.node.daemon(
      'controller',
      process.execPath,
      [
        join(repository, 'controller', 'dist', 'main.js'),
        ...['--state-dir', this.stateDir, '--ready-file', readyFile],
        ...['--listen-sync', '0.0.0.0:7443', '--listen-admin', '127.0.0.1:7444', '--listen-enroll', '0.0.0.0:7445'],
        ...['--listen-metrics', this.metricsAddress],
      ],
      { env: { ...process.env, ...this.environment } },
    );
    this.process = started;
    const ready = await until(
      'the controller to serve',
      () => {
        if (existsSync(readyFile)) return JSON.parse(readFileSync(readyFile, 'utf8')) as ReadyFile;
        if (!started.running) throw new HopelessError(`Cannot start the controller: it ended: ${started.logTail()}`);
        return undefined;
      },
      { timeoutMs: 60_000 },
    );
    await this.openRelay(ready.admin);
  }

  /** The admin API listens inside the node's namespace only; a unix socket leads there. */
  private async openRelay(admin: string): Promise<void> {
    if (this.relay?.running) return;
    const socket = this.node.file('admin.sock');
    const colon = admin.lastIndexOf(':');
    const [host, port] = [admin.slice(0, colon), admin.slice(colon + 1)];
    this.relay = await this.node.daemon('relay', await tool(), ['relay', socket, host, port], { json: true });
    await this.relay.event('ready');
    this.client = new AdminApi(`unix:${socket}`, this.contextFile);
  }

  /** host:port of its metrics, inside the node's namespace only. */
  readonly metricsAddress = '127.0.0.1:7446';

  get pid(): number {
    if (!this.process) throw new Error('Cannot name the controller: not started, wanted start() before');
    return this.process.pid;
  }

  get log(): string {
    return this.process?.logTail(100_000) ?? '';
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit | undefined> {
    return this.process?.stop(signal, 20_000);
  }

  /** Runs the CLI as the operator, on the controller's node. */
  cli(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
    return this.node.netns.exec('env', [
      `RINGFENCE_CONTEXT=${this.contextFile}`,
      'NO_COLOR=1',
      ...Object.entries({ ...this.environment, ...env }).map(([name, value]) => `${name}=${value}`),
      process.execPath,
      join(repository, 'cli', 'dist', 'main.js'),
      ...args,
    ]);
  }

  close(): void {
    this.client?.close();
  }
}
