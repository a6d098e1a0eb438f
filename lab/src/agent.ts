import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { ControllerProcess } from './controller.js';
import { run } from './exec.js';
import type { TestHost } from './host.js';
import { repository } from './paths.js';
import type { Exit, LabProcess } from './process.js';
import { HopelessError, until } from './until.js';

/** What a test changes of the agent's configuration; keys as in agent/src/config.ts. */
export type AgentOverrides = Record<string, unknown>;

/** What the agent says when it enforces. */
export interface AgentReady {
  /** Where what it enforces came from: the state on disk, or nowhere. */
  source: string;
  policyVersion: number;
}

/** The agent of a host: configuration, enrolment and process. State directory and pins outlive the process. */
export class AgentProcess {
  private process: LabProcess | undefined;
  /** Beside the test's own, from the next start on. */
  environment: Readonly<Record<string, string>> = {};
  readonly stateDir: string;
  readonly configFile: string;

  private constructor(
    readonly host: TestHost,
    private readonly controllerAddress: string,
    private readonly services: readonly string[],
    name: string,
  ) {
    this.stateDir = host.file(name);
    this.configFile = host.file(`${name}.yaml`);
  }

  /** Writes its configuration. `services` are the names given to TestHost.service(); `name` tells several on one host apart. */
  static async configure(
    host: TestHost,
    controller: ControllerProcess,
    services: readonly string[],
    overrides: AgentOverrides = {},
    name = 'agent',
  ): Promise<AgentProcess> {
    const agent = new AgentProcess(host, controller.syncAddress, services, name);
    await mkdir(agent.stateDir, { recursive: true, mode: 0o700 });
    await agent.writeConfig(overrides);
    return agent;
  }

  /** Replaces the configuration; it counts from the next start. */
  async writeConfig(overrides: AgentOverrides): Promise<void> {
    const { host } = this;
    const config = {
      controller: this.controllerAddress,
      stateDir: this.stateDir,
      pinPath: host.pinPath,
      cgroupRoot: host.cgroupRoot,
      dockerSockets: host.hasDocker ? [host.docker.socket] : [],
      cgroups: this.services.map((name) => ({ name, path: `services/${name}` })),
      host: { enabled: true, name: host.name },
      rejectMode: 'reject',
      flows: { flushMs: 200 },
      ...overrides,
    };
    await writeFile(this.configFile, stringify(config));
  }

  /** Gets its certificate by a one-time token made for the host's name. */
  async enrol(controller: ControllerProcess): Promise<void> {
    const { token } = await controller.api.createToken(this.host.name);
    // The token goes through standard input: an argument would stand in the process list.
    await run(
      'nsenter',
      [
        `--net=${this.host.netns.path}`,
        process.execPath,
        ...[join(repository, 'cli', 'dist', 'main.js'), 'enroll'],
        ...['--controller', controller.enrollAddress, '--state-dir', this.stateDir],
      ],
      { input: `${token}\n` },
    );
  }

  /** Starts it; returns as soon as the process exists. */
  async start(): Promise<void> {
    await rm(this.readyFile, { force: true });
    this.process = await this.host.daemon(
      'agent',
      process.execPath,
      [this.main, ...['--config', this.configFile, '--ready-file', this.readyFile]],
      { env: { ...process.env, ...this.environment } },
    );
  }

  /** Waits until it says that its last good state (or, without one, its default) is in the kernel. Needs no controller. */
  async ready(): Promise<AgentReady> {
    return until(
      `the agent of ${this.host.name} to be ready`,
      () => {
        if (existsSync(this.readyFile)) return JSON.parse(readFileSync(this.readyFile, 'utf8')) as AgentReady;
        if (!this.running) throw new HopelessError(`Cannot start the agent: it ended: ${this.log.slice(-3000)}`);
        return undefined;
      },
      // Loading programs takes the verifier seconds, and many more on a machine with other work.
      { timeoutMs: 100_000 },
    );
  }

  private get readyFile(): string {
    return this.host.file('agent-ready.json');
  }

  private get main(): string {
    return join(repository, 'agent', 'dist', 'main.js');
  }

  get running(): boolean {
    return this.process?.running ?? false;
  }

  get pid(): number {
    if (!this.process)
      throw new Error(`Cannot name the agent of ${this.host.name}: not started, wanted start() before`);
    return this.process.pid;
  }

  get exited(): Promise<Exit> {
    if (!this.process) throw new Error(`Cannot wait for the agent of ${this.host.name}: not started`);
    return this.process.exited;
  }

  /** Lets it run for that long; less when it ends by itself. For moving a kill through the agent's start. */
  async runFor(ms: number): Promise<void> {
    await Promise.race([this.exited, delay(ms)]);
  }

  /** SIGTERM: keeps the kernel state, as configured by keepOnExit. */
  async stop(): Promise<Exit | undefined> {
    return this.process?.stop('SIGTERM', 20_000);
  }

  /** kill -9: whatever it was doing, the kernel state is all that is left. */
  async kill(): Promise<void> {
    await this.process?.stop('SIGKILL');
  }

  /** Runs another command of the agent's to its end. */
  command(...args: string[]): Promise<string> {
    const { environment, host } = this;
    const env = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const program = [...env, process.execPath, this.main, ...args, '--config', this.configFile];
    return run('nsenter', [`--net=${host.netns.path}`, 'env', ...program]);
  }

  /** Removes all kernel state, as an operator would before taking the agent off the machine. */
  async detach(): Promise<string> {
    return run('nsenter', [
      `--net=${this.host.netns.path}`,
      process.execPath,
      this.main,
      'detach',
      '--config',
      this.configFile,
    ]);
  }

  get log(): string {
    return this.process?.logTail(200_000) ?? '';
  }
}
