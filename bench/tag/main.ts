// bench/tag: what an in-band tag costs each connection, at both ends. Prints the tables and writes them to bench/RESULTS.md.
//   node bench/dist/tag/main.js [--rounds 15] [--seconds 0.5] [--no-write]
import { parseArgs } from 'node:util';
import { Driven } from '../datapath/driven.js';
import { measure, median } from '../datapath/measure.js';
import { buildRig, echoPort, type Rig } from '../datapath/rig.js';
import { conditions, number, table } from '../flows/table.js';
import { writeSection } from '../results.js';
import type { Answer, Request } from './enforcer.js';
import type { TagPacketCosts } from './packets.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '0.5' },
    'no-write': { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
/** Not the client's: addresses that only test runs know. */
const EXACT = '172.31.1.1';
const SHARED = ['172.31.2.1', '172.31.2.2', '172.31.2.3', '172.31.2.4'] as const;

type Enforcer = Driven<Request, Answer>;

/** New connections per second without and with tags; pairs are neighbours in time. */
async function compare(rig: Rig, enforcer: Enforcer): Promise<{ off: number; on: number; ratio: number; ns: number }> {
  const rates = { off: [] as number[], on: [] as number[] };
  const ratios: number[] = [];
  const extra: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const pair = { off: 0, on: 0 };
    for (const which of round % 2 === 0 ? (['off', 'on'] as const) : (['on', 'off'] as const)) {
      await enforcer.ask({ do: which });
      pair[which] = (await measure(rig.client, rig.workload.addresses.ip4, 'crr', seconds)).rate;
      rates[which].push(pair[which]);
    }
    ratios.push(pair.on / pair.off);
    extra.push(1e9 / pair.on - 1e9 / pair.off);
  }
  return { off: median(rates.off), on: median(rates.on), ratio: median(ratios), ns: median(extra) };
}

/** The numbers are of tags that were written and taken, or of nothing. */
async function assertTags(rig: Rig, enforcer: Enforcer): Promise<void> {
  const before = (await enforcer.ask({ do: 'tally' })).tally;
  await enforcer.ask({ do: 'on' });
  const { ok } = await rig.client.probe('tcp', rig.workload.addresses.ip4, echoPort, 2000);
  const after = (await enforcer.ask({ do: 'tally' })).tally;
  const [written, valid] = [(after?.written ?? 0) - (before?.written ?? 0), (after?.valid ?? 0) - (before?.valid ?? 0)];
  if (!ok || written !== 1 || valid !== 1)
    throw new Error(`Cannot measure tags: found ${written} written and ${valid} valid, wanted 1 and 1`);
}

function packetRows(costs: TagPacketCosts): string[][] {
  const row = (what: string, ns: number, than: number) => [what, number(ns), than === ns ? '' : number(ns - than)];
  const { exact, shared, established } = costs;
  return [
    row('open connection, tags off', established.off, established.off),
    row('open connection, tags on', established.on, established.off),
    row('first packet, exact address, tags off', exact.off, exact.off),
    row('first packet, exact address, tags on', exact.on, exact.off),
    row('first packet, shared address, tags off', shared, shared),
    row('first packet, shared address, tags on, no tag', costs.absent, shared),
    row('first packet, shared address, valid tag', costs.valid, shared),
    row('first packet, shared address, forged tag', costs.forged, shared),
  ];
}

const rig = await buildRig();
try {
  const args = [rig.host.pinPath, rig.lab.cgroup, rig.client.cgroup, rig.interface];
  const enforcer: Enforcer = await Driven.start<Request, Answer>(rig, 'tag/enforcer.js', args);
  const { ip4: workload } = rig.workload.addresses;
  const client = rig.client.addresses.ip4;
  await enforcer.ask({ do: 'load', workload, exact: [EXACT], shared: [client, ...SHARED], port: echoPort });
  await assertTags(rig, enforcer);
  const rates = await compare(rig, enforcer);
  const { costs } = await enforcer.ask({
    do: 'packets',
    plan: { workload, exact: EXACT, shared: SHARED, port: echoPort },
  });
  if (costs === undefined) throw new Error('Cannot measure tags: the answer has no costs');
  await enforcer.close();
  const section = `# tag

In-band tags: what they cost each connection. \`node bench/dist/tag/main.js --rounds ${rounds} --seconds ${seconds}\`. ${conditions()}

New connections from a client whose SYNs are tagged, to a workload that sees its address as shared; both ends on one processor ahead of
other work, so a rate is the processor time of the whole path. Medians over ${rounds} pairs of neighbouring runs.

${table(
  ['new connections/s, tags off', 'tags on', 'ratio', 'ns per connection, both ends'],
  [number(rates.off), number(rates.on), number(rates.ratio, 3), number(rates.ns)],
)}

The program at the workload's interface by BPF_PROG_TEST_RUN, nanoseconds per packet (the floor of ${number(costs.floor)} ns included).

${table(['packet', 'ns', 'more'], ...packetRows(costs))}
`;
  process.stdout.write(section);
  if (!values['no-write']) writeSection(section);
} finally {
  await rig.close();
}
