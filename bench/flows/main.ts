// bench/flows: the way of flow records, from events in the agent to a graph over what is stored. Prints the tables and writes them to
// bench/RESULTS.md.
//   node bench/dist/flows/main.js [--events 20000000] [--agents 100] [--seconds 15] [--stored 20000000] [--no-write]
import { parseArgs } from 'node:util';
import { writeSection } from '../results.js';
import { aggregation } from './aggregation.js';
import { ingest } from './ingest.js';
import { stored } from './stored.js';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '20000000' },
    agents: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '15' },
    stored: { type: 'string', default: '20000000' },
    'no-write': { type: 'boolean', default: false },
  },
});

const say = (what: string) => process.stderr.write(`${what} …\n`);
say('events to records');
const a = aggregation(Number(values.events));
say(`upload by ${values.agents} agents`);
const i = await ingest(Number(values.agents), Number(values.seconds));
say(`${values.stored} stored records`);
const s = await stored(Number(values.stored));

const number = (value: number, digits = 0) =>
  value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
const text = `# Flow records

\`node bench/dist/flows/main.js --events ${values.events} --agents ${values.agents} --seconds ${values.seconds} --stored ${values.stored}\`
on 2 cores that other work shared: ratios tell more than the figures.

## Agent: events to records

Packed events through the aggregator, without kernel and rings; ${number(a.connections)} connections, ${number(a.perRecord)} events a record.

| events | records | events/s | processor time for 1 M events |
|---:|---:|---:|---:|
| ${number(a.events)} | ${number(a.records)} | ${number(a.perSecond)} | ${number(a.cpuSecondsPerMillion, 2)} s |

## Controller: upload to stored

${values.agents} agents in one process, batches of ${number(i.batch)} records, mutual TLS, each batch acknowledged after its commit.
Agents and controller share the processors.

| records | records/s acknowledged | lost | controller's processor time for 1 M records | controller's memory |
|---:|---:|---:|---:|---:|
| ${number(i.records)} | ${number(i.perSecond)} | ${number(i.lost)} | ${number(i.cpuSecondsPerMillion, 2)} s | ${number(i.residentMib)} MiB |

## Store: graph over stored records

${number(s.workloads)} workloads, ${number(s.hours)} hours; grouped by role and app.

| records | written/s | bytes a record on disk | graph from rollups | graph from records | newest 1,000 of one workload | memory |
|---:|---:|---:|---:|---:|---:|---:|
| ${number(s.records)} | ${number(s.writtenPerSecond)} | ${number(s.bytesPerRecord, 1)} | ${number(s.rollupMs)} ms | ${number(s.recordsMs)} ms | ${number(s.newestMs)} ms | ${number(s.residentMib)} MiB |
`;
process.stdout.write(text);
if (!values['no-write']) writeSection(text);
