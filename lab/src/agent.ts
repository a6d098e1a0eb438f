import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ControllerProcess } from './controller.js';
import { run } from './exec.js';
import type { TestHost } from './host.js';
import { repository } from './paths.js';
import type { Exit, LabProcess } from './process.js';

/** What a test changes of the agent's configuration; keys as in agent/src/config.ts. */
export type AgentOverrides = Record<string, unknown>;

/** The agent of a host: configuration, enrolment and process. State directory and pins outlive the process. */
export class AgentProcess {
  private process: LabProcess | undefined;
  readonly stateDir: string;
  readonly configFile: string;

  private constructor(
    readonly host: TestHost,
    private readonly controllerAddress: string,
    private readonly services: readonly string[],
  ) {
    this.stateDir = host.file('agent');
    this.configFile = host.file('agent.yaml');
  }

  /** Writes its configuration. `services` are the names given to TestHost.service(). */
  static async configure(
    host: TestHost,
    controller: ControllerProcess,
    services: readonly string[],
    overrides: AgentOverrides = {},
  ): Promise<AgentProcess> {
    const agent = new AgentProcess(host, controller.syncAddress, services);
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
    // The token goes through the environment: an argument would stand in the process list.
    await run(
      'nsenter',
      [
        `--net=${this.host.netns.path}`,
        process.execPath,
        ...[join(repository, 'cli', 'dist', 'main.js'), 'enroll'],
        ...['--controller', controller.enrollAddress, '--state-dir', this.stateDir],
      ],
      { env: { ...process.env, RINGFENCE_TOKEN: token } },
    );
  }

  /** Starts it; returns as soon as the process exists. Readiness is a matter of the API or of packets. */
  async start(): Promise<void> {
    this.process = await this.host.daemon('agent', process.execPath, [this.main, '--config', this.configFile]);
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

  /** SIGTERM: keeps the kernel state, as configured by keepOnExit. */
  async stop(): Promise<Exit | undefined> {
    return this.process?.stop('SIGTERM', 20_000);
  }

  /** kill -9: whatever it was doing, the kernel state is all that is left. */
  async kill(): Promise<void> {
    await this.process?.stop('SIGKILL');
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
