import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { tool } from './tool.js';
import { HopelessError, until } from './until.js';

/** Where a process runs. */
export interface Placement {
  /** cgroup v2 directory it is put in. */
  cgroup: string;
  /** Path of the network namespace it enters. */
  netns?: string;
  /** Process whose network and mount namespaces it enters, for containers. */
  enter?: number;
  /** A mount namespace of its own: what it mounts goes away with it. */
  privateMounts?: boolean;
  /** The only processor it may run on. */
  cpu?: number;
  /** Before every ordinary process of that processor: for measurements beside other work. Needs `cpu`. */
  realtime?: boolean;
}

export interface ProcessSpec extends Placement {
  command: string;
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** Standard error goes here, and standard output as well unless `json`. */
  logFile: string;
  /** Standard output is JSON lines with an "event" each (the rflab tool). */
  json?: boolean;
}

/** One line of the rflab tool. */
export interface ToolEvent {
  event: string;
  [field: string]: unknown;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A process of the lab. It dies with the process that started it. */
export class LabProcess {
  readonly events: ToolEvent[] = [];
  readonly exited: Promise<Exit>;
  private exit: Exit | undefined;

  private constructor(
    private readonly child: ChildProcess,
    private readonly title: string,
    readonly logFile: string,
  ) {
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      });
      child.once('error', () => resolve({ code: -1, signal: null }));
    });
  }

  /** Starts it; returns as soon as it exists. */
  static async start(spec: ProcessSpec): Promise<LabProcess> {
    const launcher = ['run', '--cgroup', spec.cgroup];
    if (spec.netns) launcher.push('--netns', spec.netns);
    if (spec.enter !== undefined) launcher.push('--enter', String(spec.enter));
    if (spec.cpu !== undefined) launcher.push('--cpu', String(spec.cpu));
    if (spec.realtime) launcher.push('--realtime');
    if (spec.privateMounts) launcher.push('--private-mounts');
    mkdirSync(dirname(spec.logFile), { recursive: true });
    const log = createWriteStream(spec.logFile, { flags: 'a' });
    const child = spawn(await tool(), [...launcher, '--', spec.command, ...spec.args], {
      env: spec.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const started = new LabProcess(child, [spec.command, ...spec.args].join(' '), spec.logFile);
    child.stderr?.pipe(log, { end: false });
    if (spec.json && child.stdout) {
      const lines = createInterface({ input: child.stdout });
      lines.on('line', (line) => {
        if (line.startsWith('{')) started.events.push(JSON.parse(line) as ToolEvent);
      });
      // 'close' of the child follows the end of its output, but readline may still hold lines then.
      await Promise.resolve();
    } else {
      child.stdout?.pipe(log, { end: false });
    }
    void started.exited.then(() => log.end());
    return started;
  }

  get pid(): number {
    const pid = this.child.pid;
    if (pid === undefined) throw new Error(`Cannot start ${this.title}: no process, wanted one`);
    return pid;
  }

  get running(): boolean {
    return this.exit === undefined;
  }

  /** The first event of that name from index `from` on, waited for. Throws when the process ends without it. */
  event(name: string, options: { from?: number; timeoutMs?: number } = {}): Promise<ToolEvent> {
    let ended = false;
    return until(
      `event ${name} of ${this.title}`,
      () => {
        const found = this.events.slice(options.from ?? 0).find((e) => e.event === name);
        // One more look after the end: the last lines arrive together with it.
        if (!found && ended)
          throw new HopelessError(`Cannot wait for ${name} of ${this.title}: it ended (${this.describeExit()})`);
        if (!this.running) ended = true;
        return found;
      },
      { intervalMs: 5, timeoutMs: options.timeoutMs },
    );
  }

  /** Asks the rflab tool for its counters. */
  async snapshot(): Promise<ToolEvent> {
    const from = this.events.length;
    this.signal('SIGUSR1');
    return this.event('snapshot', { from });
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Sends a signal and waits for the end; SIGKILL follows after `timeoutMs`. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', timeoutMs = 10_000): Promise<Exit> {
    if (this.exit) return this.exit;
    const timer = setTimeout(() => this.signal('SIGKILL'), timeoutMs);
    this.signal(signal);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  /** Stops the rflab tool and returns its summary line. */
  async finish(): Promise<ToolEvent> {
    await this.stop();
    return this.event('summary');
  }

  /** The end of its log, for error messages. */
  logTail(bytes = 2000): string {
    return readFileSync(this.logFile, 'utf8').slice(-bytes);
  }

  private describeExit(): string {
    return `code ${this.exit?.code}, signal ${this.exit?.signal}; log: ${this.logTail(600)}`;
  }
}
