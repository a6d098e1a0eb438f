// bench/datapath: what enforcement costs on one path, for policies of growing size, beside nftables and ipset. Prints the table
// and writes it to bench/RESULTS.md.   node bench/dist/datapath/main.js [--rounds 7] [--seconds 0.5] [--sizes 10,1000,10000,100000]
import { parseArgs } from 'node:util';
import { RESULTS, writeSection } from '../results.js';
import { type Load, measure, median } from './measure.js';
import { memberAddresses } from './members.js';
import { iptables, nftables } from './netfilter.js';
import type { PacketCosts } from './packets.js';
import { report, type SizeResult } from './report.js';
import { buildRig, type Rig } from './rig.js';
import { Ringfence } from './ringfence.js';
import { noEnforcement, type Variant } from './variant.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '0.5' },
    sizes: { type: 'string', default: '10,1000,10000,100000' },
    out: { type: 'string', default: RESULTS },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const loads: readonly Load[] = ['rr', 'crr', 'bulk'];
/** Not a member. */
const stranger = '172.31.7.9';

/** Refused traffic must be refused, or the numbers are of nothing. */
async function assertEnforces(rig: Rig, variant: Variant): Promise<void> {
  const allowed = await rig.client.probe('tcp', rig.workload.addresses.ip4, 7001, 2000);
  const refused = await rig.client.probe('udp', rig.workload.addresses.ip4, 7001, 200);
  if (!allowed.ok || refused.ok) {
    throw new Error(`Cannot measure ${variant.name}: allowed ${allowed.error}, forbidden ${refused.error}`);
  }
}

/** Runs one variant beside an unprotected run, again and again; pairs are neighbours in time, so that drift cancels. */
async function compare(
  rig: Rig,
  variant: Variant,
): Promise<Record<Load, { rate: number; p50Us: number; ratio: number }>> {
  const samples: Record<Load, { rate: number[]; p50Us: number[]; ratio: number[] }> = {
    rr: { rate: [], p50Us: [], ratio: [] },
    crr: { rate: [], p50Us: [], ratio: [] },
    bulk: { rate: [], p50Us: [], ratio: [] },
  };
  const to = rig.workload.addresses.ip4;
  for (let round = 0; round < rounds; round++) {
    for (const load of loads) {
      // Every other pair starts with the variant: what comes second must not always be the same.
      const first = round % 2 === 0;
      const plain = first ? await measure(rig.client, to, load, seconds) : undefined;
      await variant.on();
      if (round === 0 && load === 'rr' && variant !== noEnforcement) await assertEnforces(rig, variant);
      const guarded = await measure(rig.client, to, load, seconds);
      await variant.off();
      const bare = plain ?? (await measure(rig.client, to, load, seconds));
      samples[load].rate.push(guarded.rate);
      samples[load].p50Us.push(guarded.p50Us);
      samples[load].ratio.push(guarded.rate / bare.rate);
    }
  }
  const summary = (load: Load) => ({
    rate: median(samples[load].rate),
    p50Us: median(samples[load].p50Us),
    ratio: median(samples[load].ratio),
  });
  return { rr: summary('rr'), crr: summary('crr'), bulk: summary('bulk') };
}

/** All variants for one size, in namespaces made for it: what iptables leaves registered must not slow the next size down. */
async function runSize(size: number): Promise<SizeResult> {
  const rig = await buildRig();
  try {
    const ringfence = await Ringfence.start(rig);
    const variants: Variant[] = [noEnforcement, ringfence, nftables(rig.host.netns), iptables(rig.host.netns)];
    const members = memberAddresses(size, rig.client.addresses.ip4);
    const rows: SizeResult['rows'] = [];
    for (const variant of variants) {
      await variant.load(members);
      process.stderr.write(`${size} members, ${variant.name} …\n`);
      rows.push({ variant: variant.name, ...(await compare(rig, variant)) });
    }
    await ringfence.on();
    const costs: PacketCosts = await ringfence.packets(members[members.length >> 2] ?? '', stranger);
    for (const variant of variants) await variant.close();
    return { size, rows, costs };
  } finally {
    await rig.close();
  }
}

const results: SizeResult[] = [];
for (const size of values.sizes.split(',').map(Number)) results.push(await runSize(size));
const text = report(results, { rounds, seconds });
process.stdout.write(text);
writeSection(text, values.out);
