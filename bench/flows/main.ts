// bench/flows: the way of flow records, from events in the agent to a graph over what is stored. Prints the tables and writes them to
// bench/RESULTS.md, each part under its own heading. The part outage takes longer than `away` seconds and runs only when it is named.
//   node bench/dist/flows/main.js [--only agent,ingest,latency,store] [--events 20000000] [--agents 100] [--seconds 15] [--batch 1000]
//                                 [--stored 20000000] [--connections 200] [--away 600] [--rate 50] [--profile DIR] [--beside] [--no-write]
import { setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { writeSection } from '../results.js';
import { aggregation } from './aggregation.js';
import { away } from './away.js';
import { ingest } from './ingest.js';
import { latency } from './latency.js';
import { stored } from './stored.js';
import { conditions, number, table } from './table.js';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'agent,ingest,latency,store' },
    events: { type: 'string', default: '20000000' },
    agents: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '15' },
    batch: { type: 'string', default: '1000' },
    stored: { type: 'string', default: '20000000' },
    connections: { type: 'string', default: '200' },
    away: { type: 'string', default: '600' },
    rate: { type: 'string', default: '50' },
    profile: { type: 'string' },
    beside: { type: 'boolean', default: false },
    'no-write': { type: 'boolean', default: false },
  },
});

// Ahead of other work on the machine, where that is allowed: it inherits to what is started.
try {
  if (!values.beside) setPriority(-20);
} catch {
  process.stderr.write('runs beside other work: this user may not raise its priority\n');
}

const parts: Record<string, () => Promise<string>> = {
  agent: async () => {
    const a = aggregation(Number(values.events));
    const rows = [a.events, a.records, a.perSecond].map((value) => number(value));
    return `# Flow records: agent

Packed events through the aggregator, without kernel and rings; ${number(a.connections)} connections, ${number(a.perRecord)} events a record.
${conditions()} \`make bench BENCH=flows\`, or \`node bench/dist/flows/main.js --only agent --events ${values.events}\`.

${table(['events', 'records', 'events/s', 'processor s for 1 M events'], [...rows, number(a.cpuSecondsPerMillion, 2)])}
`;
  },
  ingest: async () => {
    const { agents, seconds, batch, profile } = values;
    const i = await ingest({ agents: Number(agents), seconds: Number(seconds), batch: Number(batch), profile });
    const threads = i.threads.slice(0, 4).map(([name, used]) => `${name} ${number((used / i.records) * 1e6, 2)}`);
    return `# Flow records: controller ingest

${agents} agents in one process, 20 workloads each, batches of about ${number(i.batch)} records, mutual TLS. Each connection is reported by both of its hosts, four in
five when it has ended, one when it begins and 15 batches later when it has ended. Named, stitched, stored on disk, each batch
acknowledged when it is safe. Agents and controller share the processors; agents send what was encoded before.
${conditions()} \`node bench/dist/flows/main.js --only ingest --agents ${agents} --seconds ${seconds} --batch ${batch}\`.

${table(
  [
    'records',
    'records/s acknowledged',
    'pairs stitched',
    'rows kept',
    'lost',
    'controller s for 1 M',
    'agents s for 1 M',
    "controller's MiB at most",
  ],
  [
    number(i.records),
    number(i.perSecond),
    number(i.stitched),
    number(i.kept),
    number(i.lost),
    number(i.cpuSecondsPerMillion, 2),
    number(i.agentsCpuSecondsPerMillion, 2),
    number(i.peakMib),
  ],
)}

Controller's processor seconds for 1 M records by threads of one name: ${threads.join(', ')} (MainThread: gRPC, names, stitching;\nWorkerThread and libuv-worker: journal and database; V8Worker: garbage and compiling).
`;
  },
  latency: async () => {
    const rows = await latency({ connections: Number(values.connections) });
    return `# Flow records: packet to subscriber

From just before connect() until the row is read from the gRPC stream of a live tail, milliseconds; real agent (flow settings as they are without
a configuration), kernel, controller with its store on disk. Connections four a second, beside others as named.
${conditions()} \`make bench BENCH=latency\`, or \`node bench/dist/flows/main.js --only latency --connections ${values.connections}\`, as root.

${table(
  ['host', 'connections', 'p50', 'p90', 'p99', 'most', 'others/s', "agent's processors", "agent's MiB"],
  ...rows.map((row) => [
    row.situation,
    number(row.connections),
    ...[row.p50, row.p90, row.p99, row.most].map((ms) => number(ms)),
    number(row.load),
    number(row.agentCpu, 3),
    number(row.agentMib),
  ]),
)}
`;
  },
  outage: async () => {
    const o = await away(Number(values.away), Number(values.rate));
    return `# Flow records: controller away

The controller killed (SIGKILL) under traffic, away, started, killed again while it caught up, started; random connections between containers of
two hosts. Each connection's records, of both ends, were compared with what connection tracking had counted in their namespaces.
${conditions()} \`make bench BENCH=outage\`, or \`node bench/dist/flows/main.js --only outage --away ${values.away} --rate ${values.rate}\`, as root.

${table(
  ['away s', 'connections', 'rows', 'most bytes on disk', 'caught up after s', 'connections that differ'],
  [
    values.away,
    ...[o.connections, o.records, o.spooledBytes, o.catchUpSeconds, o.problems.length].map((value) => number(value)),
  ],
)}
${o.problems.slice(0, 5).join('\n')}
`;
  },
  store: async () => {
    const s = await stored(Number(values.stored));
    return `# Flow records: store

${number(s.workloads)} workloads, each calling 20 others: ${number(s.groups)} groups of ends, service, verdict and rule in each of ${number(s.hours)} hours of ${number(s.perHour)} records.
The last hour is open. Graphs are grouped by role and app at both ends; medians of five.
${conditions()} \`node bench/dist/flows/main.js --only store --stored ${values.stored}\`.

${table(
  [
    'records',
    'written/s',
    'bytes each',
    'graph of all, ms',
    'its processor ms',
    'of one role, ms',
    'of the last 5.5 h, one hour cut, ms',
    'newest 1,000 of one workload, ms',
    'MiB',
  ],
  [
    number(s.records),
    number(s.writtenPerSecond),
    number(s.bytesPerRecord, 1),
    number(s.allMs),
    number(s.allCpuMs),
    number(s.filteredMs),
    number(s.cutMs),
    number(s.newestMs),
    number(s.residentMib),
  ],
)}
`;
  },
};

for (const name of values.only.split(',')) {
  const part = parts[name];
  if (part === undefined) {
    process.stderr.write(`Cannot run part ${name}: wanted some of ${Object.keys(parts).join(',')}\n`);
    process.exit(2);
  }
  process.stderr.write(`${name} …\n`);
  const section = await part();
  process.stdout.write(`${section}\n`);
  if (!values['no-write']) writeSection(section);
}
