import type { Place } from './place.js';
import type { LabProcess, ToolEvent } from './process.js';

/** One connection of random traffic, as the application that made it saw it. */
export interface RandomConnection {
  readonly proto: 'tcp' | 'udp' | 'icmp';
  readonly family: 4 | 6;
  /** Its own; ICMP: the identifier. */
  readonly localPort: number;
  readonly port: number;
  /** Wall clock just before the first packet, Unix microseconds. */
  readonly atUs: number;
  /** Bytes of payload sent and received. */
  readonly up: number;
  readonly got: number;
  /** errno name, "none" when it was answered in full. */
  readonly error: string;
}

export interface TrafficOptions {
  readonly ip4?: string;
  readonly ip6?: string;
  readonly count: number;
  readonly seed: number;
  /** Local ports go up from here. Default 10000. */
  readonly firstPort?: number;
  /** Between the beginnings of two connections. Default: one after the other. */
  readonly intervalUs?: number;
  /** tcp:80, udp:53, icmp:0; with a minus sign before it nothing will answer. */
  readonly targets: readonly string[];
}

/** The other end of traffic: gives back as many bytes as it is asked for. */
export async function answer(place: Place, ...ports: string[]): Promise<LabProcess> {
  const started = await place.start(['answer', ...ports]);
  await started.event('ready');
  return started;
}

/** Running random connections. */
export class Traffic {
  private constructor(readonly process: LabProcess) {}

  static async start(from: Place, options: TrafficOptions): Promise<Traffic> {
    const { ip4, ip6, count, seed, firstPort = 10_000, intervalUs = 0, targets } = options;
    const hosts = [...(ip4 === undefined ? [] : ['--ip4', ip4]), ...(ip6 === undefined ? [] : ['--ip6', ip6])];
    const numbers = Object.entries({ count, seed, 'first-port': firstPort, 'interval-us': intervalUs });
    const args = numbers.flatMap(([name, value]) => [`--${name}`, String(value)]);
    return new Traffic(await from.start(['traffic', ...hosts, ...args, ...targets]));
  }

  /** Those that are over. */
  get connections(): RandomConnection[] {
    return this.process.events.filter(({ event }) => event === 'connection').map(connectionOf);
  }

  /** Waits for the last one. */
  async done(timeoutMs: number): Promise<RandomConnection[]> {
    await this.process.event('summary', { timeoutMs });
    return this.connections;
  }

  /** Ends it early. */
  async stop(): Promise<RandomConnection[]> {
    await this.process.finish();
    return this.connections;
  }
}

function connectionOf(event: ToolEvent): RandomConnection {
  return {
    proto: event.proto as RandomConnection['proto'],
    family: event.family as RandomConnection['family'],
    localPort: Number(event.local_port),
    port: Number(event.port),
    atUs: Number(event.at_us),
    up: Number(event.up),
    got: Number(event.got),
    error: String(event.error),
  };
}
