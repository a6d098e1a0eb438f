import { LabProcess, type Placement } from './process.js';

/** Addresses of one place, text form. */
export interface Addresses {
  ip4: string;
  ip6: string;
}

/** How one exchange ended, as the application saw it. */
export interface ProbeResult {
  ok: boolean;
  /** connect, send, answer or done. */
  stage: string;
  /** errno name, "none" when ok. */
  error: string;
  /** What connect() (TCP) or the first send (UDP, ping) took, in microseconds. */
  firstUs: number;
  totalUs: number;
}

export type Protocol = 'tcp' | 'udp' | 'ping';

/** One port of `serve`: echo over TCP or UDP, or a sink that reads and answers nothing. */
export type ServerPort = `tcp:${number}` | `udp:${number}` | `sink:${number}`;

/** What a server counted on one port: a witness of what really arrived. */
export interface PortCount {
  kind: 'tcp' | 'udp';
  port: number;
  accepted: number;
  datagrams: number;
  bytes: number;
}

/** Counters of a long connection. */
export interface StreamCount {
  sent: number;
  received: number;
  missing: number;
  repeated: number;
  longestSilenceUs: number;
  slowestUs: number;
  openUs: number;
  /** errno name or EOF when the connection ended by itself, "none" otherwise. */
  closed: string;
}

/** How new connections ended. */
export interface AttemptCount {
  started: number;
  ok: number;
  refused: number;
  eperm: number;
  timeout: number;
  reset: number;
  other: number;
}

/** A running echo server. */
export class Server {
  constructor(readonly process: LabProcess) {}

  async counts(): Promise<PortCount[]> {
    return (await this.process.snapshot()).ports as PortCount[];
  }

  async stop(): Promise<PortCount[]> {
    return (await this.process.finish()).ports as PortCount[];
  }
}

/** A running long connection. */
export class Stream {
  constructor(readonly process: LabProcess) {}

  async counts(): Promise<StreamCount> {
    return streamCount(await this.process.snapshot());
  }

  /** Waits until the connection ended by itself. */
  async closed(timeoutMs?: number): Promise<StreamCount> {
    return streamCount(await this.process.event('closed', { timeoutMs }));
  }

  async stop(): Promise<StreamCount> {
    return streamCount(await this.process.finish());
  }
}

/** Running new connections. */
export class Attempts {
  constructor(readonly process: LabProcess) {}

  async counts(): Promise<AttemptCount> {
    return attemptCount(await this.process.snapshot());
  }

  async stop(): Promise<AttemptCount> {
    return attemptCount(await this.process.finish());
  }
}

function number(value: unknown): number {
  if (typeof value !== 'number') throw new Error(`Cannot read a counter: ${String(value)}, wanted a number`);
  return value;
}

function streamCount(e: Record<string, unknown>): StreamCount {
  return {
    sent: number(e.sent),
    received: number(e.received),
    missing: number(e.missing),
    repeated: number(e.repeated),
    longestSilenceUs: number(e.longest_silence_us),
    slowestUs: number(e.slowest_us),
    openUs: number(e.open_us),
    closed: String(e.closed),
  };
}

function attemptCount(e: Record<string, unknown>): AttemptCount {
  return {
    started: number(e.started),
    ok: number(e.ok),
    refused: number(e.refused),
    eperm: number(e.eperm),
    timeout: number(e.timeout),
    reset: number(e.reset),
    other: number(e.other),
  };
}

/** Somewhere traffic starts or ends: a host's own processes, one of its services, a container, a machine without an agent. */
export class Place {
  private readonly running = new Set<LabProcess>();

  constructor(
    readonly name: string,
    readonly addresses: Addresses,
    /** The network namespace's path, for witnesses. */
    readonly netns: string,
    private readonly placement: Placement,
    private readonly toolPath: string,
    private readonly logFile: string,
  ) {}

  /** The same place, its processes bound to one processor and ahead of everything ordinary there. */
  onCpu(cpu: number): Place {
    const placement = { ...this.placement, cpu, realtime: true };
    return new Place(this.name, this.addresses, this.netns, placement, this.toolPath, this.logFile);
  }

  /** The cgroup v2 directory its processes are in. */
  get cgroup(): string {
    return this.placement.cgroup;
  }

  /** Starts the rflab tool here. */
  async start(args: readonly string[]): Promise<LabProcess> {
    const started = await LabProcess.start({
      ...this.placement,
      command: this.toolPath,
      args,
      json: true,
      logFile: this.logFile,
    });
    this.running.add(started);
    void started.exited.then(() => this.running.delete(started));
    return started;
  }

  /** Starts echo servers on both families; returns when they listen. */
  async serve(...ports: ServerPort[]): Promise<Server> {
    const started = await this.start(['serve', ...ports]);
    await started.event('ready');
    return new Server(started);
  }

  /** One exchange. `to` is a numeric address. */
  async probe(protocol: Protocol, to: string, port = 0, timeoutMs = 1000): Promise<ProbeResult> {
    const limit = ['--timeout-ms', String(timeoutMs)];
    const started = await this.start(
      protocol === 'ping'
        ? ['ping', to, ...limit]
        : ['probe', to, String(port), ...limit, ...(protocol === 'udp' ? ['--udp'] : [])],
    );
    const e = await started.event('probe', { timeoutMs: timeoutMs + 10_000 });
    await started.exited;
    return {
      ok: e.ok === true,
      stage: String(e.stage),
      error: String(e.error),
      firstUs: number(e.first_us),
      totalUs: number(e.total_us),
    };
  }

  /** Opens a long connection with numbered records; returns when it is open. Throws when it cannot be opened. */
  async stream(protocol: 'tcp' | 'udp', to: string, port: number, intervalMs = 10): Promise<Stream> {
    const started = await this.start([
      'stream',
      to,
      String(port),
      '--interval-ms',
      String(intervalMs),
      ...(protocol === 'udp' ? ['--udp'] : []),
    ]);
    await started.event('open');
    return new Stream(started);
  }

  /** Opens new connections at an interval until stopped. */
  async attempts(
    protocol: 'tcp' | 'udp',
    to: string,
    port: number,
    options: { intervalMs?: number; timeoutMs?: number } = {},
  ): Promise<Attempts> {
    const started = await this.start([
      'attempts',
      to,
      String(port),
      '--interval-ms',
      String(options.intervalMs ?? 10),
      '--timeout-ms',
      String(options.timeoutMs ?? 1000),
      ...(protocol === 'udp' ? ['--udp'] : []),
    ]);
    await started.event('open');
    return new Attempts(started);
  }

  /** Kills whatever the lab still runs here. */
  async clear(): Promise<void> {
    await Promise.all([...this.running].map((p) => p.stop('SIGKILL')));
  }
}
