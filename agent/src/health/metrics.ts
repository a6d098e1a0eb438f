// Prometheus metrics on a loopback address, read from the live parts at each scrape. prom-client is loaded only when configured.
import { createServer, type Server } from 'node:http';
import { Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { LossCounters } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { splitHostPort } from '../control/host-port.js';
import type { TagTally } from '../datapath/tag-maps.js';
import type { ReasonCount, TableFill } from '../datapath/types.js';
import { AgentError, messageOf } from '../errors.js';
import type { ConditionBoard } from './conditions.js';

export interface MetricsPorts {
  readonly counters: () => readonly ReasonCount[];
  readonly tables: () => readonly TableFill[];
  readonly helperErrors: () => Readonly<Record<string, bigint>>;
  readonly tags: () => TagTally;
  readonly loss: () => LossCounters;
  readonly connections: () => number;
  /** Connections taken up in the middle: what they counted before is in no record. */
  readonly baselineUnknown: () => number;
  readonly spoolBytes: () => number;
  /** Translated connections, by what became of them; undefined: conntrack is not read. */
  readonly translations: () => Readonly<Record<string, number>> | undefined;
  readonly workloads: () => number;
  readonly revision: () => number;
  readonly connected: () => boolean;
  /** Has it told how long each revision took from its arrival until the kernel had it, in seconds. */
  readonly onApplied: (listener: (seconds: number) => void) => void;
  readonly board: ConditionBoard;
}

const DIRECTIONS: Readonly<Record<number, string>> = { 1: 'in', 2: 'out' };

/** Serves GET /metrics. Resolves when it listens; throws RF_METRICS when it cannot. Closed by the server's close(). */
export async function serveMetrics(listen: string, ports: MetricsPorts): Promise<Server> {
  const render = await metricsText(ports);
  const server = createServer((request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end('wanted GET /metrics\n');
      return;
    }
    render().then(
      ({ type, text }) => response.writeHead(200, { 'content-type': type }).end(text),
      (error: unknown) => response.writeHead(500).end(`${messageOf(error)}\n`),
    );
  });
  const { host, port } = splitHostPort(listen);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new AgentError('RF_METRICS', `Cannot serve metrics on ${listen}: ${error.message}`, { cause: error })),
    );
    server.listen(port, host, resolve);
  });
  server.unref();
  return server;
}

async function metricsText(ports: MetricsPorts): Promise<() => Promise<{ type: string; text: string }>> {
  const prom = await import('prom-client');
  const registry = new prom.Registry();
  const gauge = (
    name: string,
    help: string,
    labelNames: string[],
    collect: (g: InstanceType<typeof prom.Gauge>) => void,
  ) =>
    new prom.Gauge({
      name: `ringfence_agent_${name}`,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        collect(this);
      },
    });
  gauge(
    'packets_total',
    'Packets by verdict, reason and direction, since the maps were made',
    ['verdict', 'reason', 'direction'],
    (g) => {
      for (const c of ports.counters()) g.set(reasonLabels(c), Number(c.packets));
    },
  );
  gauge(
    'bytes_total',
    'Bytes by verdict, reason and direction, since the maps were made',
    ['verdict', 'reason', 'direction'],
    (g) => {
      for (const c of ports.counters()) g.set(reasonLabels(c), Number(c.bytes));
    },
  );
  gauge('table_entries', 'Entries in a kernel table', ['table'], (g) => {
    for (const t of ports.tables()) g.set({ table: t.table }, t.entries);
  });
  gauge('table_entries_max', 'Room in a kernel table', ['table'], (g) => {
    for (const t of ports.tables()) g.set({ table: t.table }, t.entriesMax);
  });
  gauge('helper_errors_total', 'Unexpected failures in the programs, by place', ['place'], (g) => {
    for (const [place, count] of Object.entries(ports.helperErrors())) g.set({ place }, Number(count));
  });
  gauge('tags_total', 'In-band tags by what became of them, since the maps were made', ['result'], (g) => {
    for (const [result, count] of Object.entries(ports.tags())) g.set({ result: snake(result) }, Number(count));
  });
  gauge('flow_hop_total', 'Flow events and records of this run, by hop', ['hop'], (g) => {
    for (const [hop, count] of Object.entries(ports.loss()))
      if (typeof count === 'bigint') g.set({ hop: snake(hop) }, Number(count));
  });
  gauge('connections', 'Connections in the aggregation table', [], (g) => g.set(ports.connections()));
  gauge('baseline_unknown_total', 'Connections of which traffic before is in no record', [], (g) =>
    g.set(ports.baselineUnknown()),
  );
  gauge('spool_bytes', 'Flow records waiting on disk', [], (g) => g.set(ports.spoolBytes()));
  gauge(
    'translations',
    'Translated connections: open, waiting to be told, dropped for want of room, kernel overruns',
    ['what'],
    (g) => {
      for (const [what, count] of Object.entries(ports.translations() ?? {})) g.set({ what }, count);
    },
  );
  gauge('workloads', 'Workloads on this host', [], (g) => g.set(ports.workloads()));
  gauge('revision', 'Revision in force', [], (g) => g.set(ports.revision()));
  const applied = new prom.Histogram({
    name: 'ringfence_agent_apply_seconds',
    help: 'From the arrival of a revision until the kernel had it',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  ports.onApplied((seconds) => applied.observe(seconds));
  gauge('controller_connected', '1 when the controller is connected', [], (g) => g.set(ports.connected() ? 1 : 0));
  gauge('condition', 'Conditions that hold', ['code', 'severity'], (g) => {
    for (const { code, severity } of ports.board.list()) g.set({ code, severity }, 1);
  });
  gauge('resident_bytes', 'Memory of the agent', [], (g) => g.set(process.memoryUsage.rss()));
  gauge('cpu_seconds_total', 'CPU time of the agent', [], (g) => {
    const { user, system } = process.cpuUsage();
    g.set((user + system) / 1e6);
  });
  return async () => ({ type: registry.contentType, text: await registry.metrics() });
}

function reasonLabels(count: ReasonCount): { verdict: string; reason: string; direction: string } {
  return {
    verdict: (Verdict[count.verdict] ?? String(count.verdict)).replace('VERDICT_', '').toLowerCase(),
    reason: (Reason[count.reason] ?? String(count.reason)).replace('REASON_', '').toLowerCase(),
    direction: DIRECTIONS[count.direction] ?? String(count.direction),
  };
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
