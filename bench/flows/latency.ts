// From a connection's first packet to the subscriber of a live tail: a real agent on a host of namespaces, a real controller, gRPC follow.
// What is measured begins with the wall clock of the client just before connect() and ends with the wall clock here when the row is read.
import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from '@ringfence/lab/fleet.js';
import type { Place } from '@ringfence/lab/place.js';
import { answer, Traffic } from '@ringfence/lab/traffic.js';
import { until } from '@ringfence/lab/until.js';
import { FollowFlowsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { cpuSeconds, residentMib } from './process-cost.js';

export interface LatencyOptions {
  /** Connections measured in each situation. */
  readonly connections: number;
}

export interface LatencyRow {
  readonly situation: string;
  readonly connections: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly most: number;
  /** Connections a second on the host, beside the measured ones. */
  readonly load: number;
  /** Of one processor. */
  readonly agentCpu: number;
  readonly agentMib: number;
}

/** Measured connections come this far apart: a tail is looked at by people. In no simple proportion to the pace of prompt flushes (125 ms). */
const INTERVAL_US = 237_000;
const MEASURED_PORT = 20_000;

/** Follows all flows and notes when the first record of each measured connection was read. */
class Watch {
  readonly readAtMs = new Map<number, number>();
  readonly #cancel: () => void;

  private constructor(cancel: () => void) {
    this.#cancel = cancel;
  }

  static async start(fleet: Fleet): Promise<Watch> {
    const stream = fleet.api.follow(FollowFlowsRequest.fromPartial({ buffer: 65_536 }));
    const watch = new Watch(() => stream.cancel());
    let synced = false;
    stream.on('error', () => {});
    stream.on('data', ({ body }) => {
      const now = performance.timeOrigin + performance.now();
      if (body?.$case === 'synced') synced = true;
      if (body?.$case === 'rows') for (const flow of body.value.flows) watch.#see(flow, now);
    });
    await until('the tail to be live', () => synced);
    return watch;
  }

  #see({ source, destination }: Flow, now: number): void {
    const port = source?.port ?? 0;
    if (destination?.port !== 80 || port < MEASURED_PORT || this.readAtMs.has(port)) return;
    this.readAtMs.set(port, now);
  }

  close(): void {
    this.#cancel();
  }
}

/** Runs the situations one after the other on one fleet. */
export async function latency({ connections }: LatencyOptions): Promise<LatencyRow[]> {
  // Flow settings as a host has them without a configuration.
  const fleet = await Fleet.start([{ name: 'alpha', containers: ['client', 'server', 'noise'], agent: { flows: {} } }]);
  try {
    const server = fleet.place('server');
    await answer(server, 'tcp:80', 'tcp:81');
    const watch = await Watch.start(fleet);
    const rows: LatencyRow[] = [];
    let port = MEASURED_PORT;
    for (const [situation, rate] of [
      ['idle', 0],
      ['100 new connections/s', 100],
      ['2,000 new connections/s', 2000],
    ] as const) {
      const beside = await noise(fleet.place('noise'), server, rate);
      try {
        await sleep(3000);
        rows.push(await measure(fleet, watch, situation, port, connections, beside.made));
      } finally {
        await beside.stop();
      }
      port += connections;
    }
    watch.close();
    return rows;
  } finally {
    await fleet.close();
  }
}

async function measure(
  fleet: Fleet,
  watch: Watch,
  situation: string,
  firstPort: number,
  count: number,
  made: () => number,
): Promise<LatencyRow> {
  const { pid } = fleet.member('alpha').agent;
  const before = { cpu: cpuSeconds(pid), made: made(), at: performance.now() };
  const server = fleet.place('server').addresses.ip4;
  const options = { ip4: server, count, seed: firstPort, firstPort, intervalUs: INTERVAL_US, targets: ['tcp:80'] };
  const traffic = await Traffic.start(fleet.place('client'), options);
  const done = await traffic.done((count * INTERVAL_US) / 1000 + 60_000);
  const seconds = (performance.now() - before.at) / 1000;
  const cpu = cpuSeconds(pid) - before.cpu;
  const load = (made() - before.made) / seconds;
  await until(
    'every measured connection to be shown',
    () => done.every(({ localPort }) => watch.readAtMs.has(localPort)),
    {
      timeoutMs: 60_000,
    },
  );
  const took = done
    .map(({ localPort, atUs }) => (watch.readAtMs.get(localPort) ?? Number.NaN) - atUs / 1000)
    .sort((a, b) => a - b);
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(share * took.length))] ?? Number.NaN;
  return {
    situation,
    connections: took.length,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    most: at(1),
    load,
    agentCpu: cpu / seconds,
    agentMib: residentMib(pid),
  };
}

/** New connections beside the measured ones. */
async function noise(
  from: Place,
  to: Place,
  perSecond: number,
): Promise<{ made: () => number; stop: () => Promise<void> }> {
  if (perSecond === 0) return { made: () => 0, stop: async () => {} };
  const options = { ip4: to.addresses.ip4, count: 55_000, seed: perSecond, intervalUs: 1e6 / perSecond };
  const rounds: Traffic[] = [];
  let over = false;
  const running = (async () => {
    while (!over) {
      const round = await Traffic.start(from, { ...options, targets: ['tcp:81'] });
      rounds.push(round);
      await round.process.exited;
    }
  })();
  return {
    made: () => rounds.reduce((sum, { process }) => sum + process.events.length, 0),
    stop: async () => {
      over = true;
      await rounds.at(-1)?.process.stop();
      await running;
    },
  };
}
