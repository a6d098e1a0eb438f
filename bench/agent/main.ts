// bench/agent: what kernel events cost a real agent, from its rings to records at the controller. Each load gets a fresh fleet.
//   node bench/dist/agent/main.js [--rate 1000000] [--seconds 10] [--connections 40000] [--lives 200,50] [--no-write]
import { parseArgs } from 'node:util';
import { conditions, number, table } from '../flows/table.js';
import { writeSection } from '../results.js';
import { type AgentCost, measureAgent } from './measure.js';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '10' },
    connections: { type: 'string', default: '40000' },
    lives: { type: 'string', default: '200,50' },
    'no-write': { type: 'boolean', default: false },
  },
});

function share(cost: AgentCost, pick: (name: string) => boolean): number {
  let sum = 0;
  for (const [name, seconds] of cost.threads) if (pick(name)) sum += seconds;
  return sum / cost.seconds;
}

const costs: AgentCost[] = [];
for (const life of values.lives.split(',').map(Number)) {
  process.stderr.write(`${life} events a connection …\n`);
  costs.push(
    await measureAgent({
      connections: Number(values.connections),
      life,
      eventsPerSecond: Number(values.rate),
      seconds: Number(values.seconds),
    }),
  );
}

const heading = [
  'events of a connection',
  'events/s',
  'events',
  'lost in rings',
  'in the agent',
  'in the spool',
  'rows given up',
  'packets in stored rows',
  'records/s',
  'agent, of a processor',
  'ring thread',
  'JavaScript thread',
  'others (compiler, collector, pool)',
  'processor s for 1 M events',
  "agent's MiB",
  'most',
  'controller beside it',
];
const isMain = (name: string) => name === 'node' || name === 'MainThread';
const section = `# Kernel events through the agent

A real agent process (default settings) with a real controller. A BPF program writes events of ${number(Number(values.connections))} open connections into the agent's
own rings from another process, whose time is not in these figures; "of a processor" is the agent's time by /proc while they came. Agent and
source run ahead of other processes (SCHED_RR). Rows given up: connections whose row others needed; what they count until their next event is in no record.
${conditions()} \`make bench BENCH=agent\`, or \`node bench/dist/agent/main.js --rate ${values.rate} --seconds ${values.seconds} --connections ${values.connections} --lives ${values.lives}\`, as root.

${table(
  heading,
  ...costs.map((cost) => [
    number(cost.load.life),
    number(cost.events / cost.seconds),
    number(cost.events),
    number(cost.lostInRings),
    number(cost.lostInAgent),
    number(cost.lostRecords),
    number(cost.baselineUnknown),
    number(cost.packetsStored),
    number(cost.records / cost.seconds),
    number(cost.cpu / cost.seconds, 2),
    number(
      share(cost, (name) => name === 'rf-rings'),
      2,
    ),
    number(share(cost, isMain), 2),
    number(
      share(cost, (name) => name !== 'rf-rings' && !isMain(name)),
      2,
    ),
    number((cost.cpu / cost.events) * 1e6, 2),
    number(cost.residentMib),
    number(cost.peakMib),
    number(cost.controllerCpu / cost.seconds, 2),
  ]),
)}
`;
process.stdout.write(`${section}\n`);
if (!values['no-write']) writeSection(section);
