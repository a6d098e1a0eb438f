// A controller in this process, on free ports, with a fast way to make agents. For tests.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RolloutOptions } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { pino } from 'pino';
import { type ControllerConfig, readConfig } from '../config.js';
import { type Controller, startController } from '../controller.js';
import { AdminClient, call } from './admin-client.js';
import { type AgentCredentials, enrollAgent, SimulatedAgent, type SimulatedAgentOptions } from './simulated-agent.js';

export class Harness {
  readonly stateDir: string;
  readonly config: ControllerConfig;
  /** Added to the controller's clock. */
  clockAheadMs = 0;
  /** Everything that was logged, one JSON object per line. */
  readonly logged: string[] = [];
  #controller: Controller | undefined;
  #admin: AdminClient | undefined;
  readonly #agents: SimulatedAgent[] = [];

  private constructor(args: readonly string[]) {
    this.stateDir = mkdtempSync(join(tmpdir(), 'rf-controller-'));
    const free = ['sync', 'admin', 'enroll'].flatMap((name) => [`--listen-${name}`, '127.0.0.1:0']);
    // On disk only where a test asks for it: most start many controllers.
    const store = args.some((arg) => arg.startsWith('--flow-store')) ? [] : ['--flow-store', 'off'];
    const web = args.includes('--listen-web') ? [] : ['--listen-web', 'off'];
    this.config = readConfig(['--state-dir', this.stateDir, ...free, ...store, ...web, ...args], {});
  }

  static async start(args: readonly string[] = []): Promise<Harness> {
    const harness = new Harness(args);
    await harness.restart();
    return harness;
  }

  get controller(): Controller {
    if (this.#controller === undefined) throw new Error('the controller is not running');
    return this.#controller;
  }

  get admin(): AdminClient {
    if (this.#admin === undefined) throw new Error('the controller is not running');
    return this.#admin;
  }

  /** Stops the controller, keeps its state. */
  async stop(): Promise<void> {
    this.#admin?.close();
    await this.#controller?.stop();
    this.#controller = undefined;
  }

  /** Stops if running, starts on the same state and, after the first time, on the same sync port. */
  async restart(): Promise<void> {
    const port = this.#controller?.addresses.sync.split(':').at(-1);
    await this.stop();
    const log = pino({ level: 'debug' }, { write: (line: string) => this.logged.push(line) });
    const listenSync = { host: '127.0.0.1', port: Number(port ?? 0) };
    this.#controller = await startController(
      { ...this.config, listenSync },
      log,
      () => Date.now() + this.clockAheadMs,
      50,
    );
    this.#admin = new AdminClient(this.#controller.contextFile);
  }

  async enroll(hostname: string): Promise<AgentCredentials> {
    const { hosts, caPem } = this.admin;
    const { token } = await call(hosts, hosts.createToken, { ttlSeconds: 60, hostId: '', note: '' });
    return enrollAgent(this.controller.addresses.enroll, token, caPem, { hostname });
  }

  /** A connected agent; enrols it first when given a name. */
  async agent(who: string | AgentCredentials, options: SimulatedAgentOptions = {}): Promise<SimulatedAgent> {
    const agent = new SimulatedAgent(typeof who === 'string' ? await this.enroll(who) : who, options);
    this.#agents.push(agent);
    await agent.until(() => agent.welcomes.length > 0, 'welcome');
    return agent;
  }

  /** Applies policy text as the whole policy; the response may be a refusal. */
  applyPolicy(
    content: string,
    more: { note?: string; draftOnly?: boolean; expectedVersion?: number; rollout?: RolloutOptions } = {},
  ) {
    const { policy } = this.admin;
    return call(policy, policy.apply, {
      files: [{ name: 'policy.yaml', content }],
      prune: true,
      remove: [],
      draftOnly: more.draftOnly ?? false,
      note: more.note ?? '',
      expectedVersion: more.expectedVersion ?? 0,
      rollout: more.rollout,
    });
  }

  setLabels(workload: string, labels: Readonly<Record<string, string>>, sticky = false) {
    const { workloads } = this.admin;
    const set = Object.entries(labels).map(([dimension, value]) => ({ dimension, value }));
    return call(workloads, workloads.setLabels, {
      workload,
      set,
      remove: [],
      replace: false,
      expectedVersion: 0n,
      sticky,
    });
  }

  async dispose(): Promise<void> {
    for (const agent of this.#agents) agent.close();
    await this.stop();
    rmSync(this.stateDir, { recursive: true, force: true });
  }
}
