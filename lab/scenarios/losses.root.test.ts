// Issue 6, must show 1: in one real agent with rings, table, window and spool all small, under a flood of real connections: what the kernel
// produced is what the controller stored and what was counted as lost, exactly, hop by hop; and of the denies none is lost.
//
// A flood comes while the agent is stopped (SIGSTOP), so that what overflows does so on any machine. Each connection is one datagram, so one
// event and one record. Before the agent goes on conntrack is emptied: no sweep tells later what a ring lost, and nothing is counted twice.
import { ABI_VERSION, LANE_STATS, Lane } from '@ringfence/bpf';
import { BpfMap } from '@ringfence/native';
import type { HostLoss } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Fleet } from '../src/fleet.js';
import { Metrics } from '../src/metrics.js';
import { until } from '../src/until.js';

const METRICS = '127.0.0.1:9464';
const ALLOWED_PORT = 20_000;
const ALLOWED = 6000;
const DENIED_PORT = 50_000;
const DENIED = 300;
/** More floods than that make no hop lose anything: something is wrong. */
const FLOODS_MAX = 40;

let fleet: Fleet;
let floods = 0;
/** Denied connections beside those of floods. */
let singles = 0;
/** Grows with each burst that must not repeat connections of one before. */
let localPort = 1024;

beforeAll(async () => {
  const agent = {
    host: { enabled: false, name: 'alpha' },
    metrics: { listen: METRICS },
    rejectMode: 'drop',
    // 1,927 events a processor; 481 denies.
    ringBytes: 262_144,
    denyRingBytes: 65_536,
    flows: { flushMs: 100, tableEntries: 4096, batchRecords: 128, window: 1, spoolBytes: 1_048_576 },
  };
  fleet = await Fleet.start([{ name: 'alpha', services: ['api'], agent }]);
  await fleet.label('api', { role: 'api' });
  const target = fleet.controller.node.addresses.ip4;
  await fleet.provision([
    {
      name: 'policy.yaml',
      content: `
ipLists: [{ name: target, include: [${target}/32] }]
modes: [{ id: all, match: role=api, mode: enforce }]
rules: [{ id: some, service: udp/${ALLOWED_PORT}-${ALLOWED_PORT + ALLOWED}, providedBy: { ipList: target }, usedBy: role=api }]
`,
    },
  ]);
});
afterAll(() => fleet?.close());

const pinned = (name: string) => BpfMap.fromPin(`${fleet.member('alpha').host.pinPath}/v${ABI_VERSION}/maps/${name}`);
const scrape = () => Metrics.scrape(fleet.member('alpha').host.netns, METRICS);
const hop = (metrics: Metrics, name: string) => metrics.sum('ringfence_agent_flow_hop_total', { hop: name }) ?? -1;

/** Opens ALLOWED and DENIED connections while the agent stands still. */
async function flood(): Promise<void> {
  floods += 1;
  localPort += 1;
  const { agent } = fleet.member('alpha');
  process.kill(agent.pid, 'SIGSTOP');
  try {
    await burst(DENIED_PORT, DENIED, { sent: 0, refused: DENIED });
    await burst(ALLOWED_PORT, ALLOWED, { sent: ALLOWED, refused: 0 });
    using flows = pinned('rf_flows');
    const keys = flows.keys();
    if (keys.length > 0) flows.deleteBatch(keys, { missingOk: true });
  } finally {
    process.kill(agent.pid, 'SIGCONT');
  }
}

async function burst(port: number, count: number, wanted: { sent: number; refused: number }): Promise<void> {
  const place = fleet.place('api');
  const target = fleet.controller.node.addresses.ip4;
  const started = await place.start([
    'burst',
    target,
    `${port}`,
    '--count',
    `${count}`,
    '--local-port',
    `${localPort}`,
  ]);
  expect(await started.event('burst')).toMatchObject(wanted);
}

/** Floods until a hop has lost something. */
async function floodUntilLost(name: string): Promise<void> {
  for (let lost = 0; lost === 0; lost = hop(await scrape(), name)) {
    if (floods >= FLOODS_MAX) throw new Error(`Cannot make ${name} lose: ${floods} floods, wanted a loss by then`);
    await flood();
  }
}

/** What the kernel counted, over all processors. */
function kernel(lane: number): { produced: number; dropped: number } {
  using lanes = pinned('rf_lanes');
  const { values, count } = lanes.dump();
  const sum = { produced: 0, dropped: 0 };
  for (let i = lane; i < count; i += Lane.COUNT) {
    const { produced, dropped, delivered } = LANE_STATS.decode(values, i * LANE_STATS.size);
    expect(delivered + dropped).toBe(produced);
    sum.produced += Number(produced);
    sum.dropped += Number(dropped);
  }
  return sum;
}

/** Waits until what is stored and what is lost make up what was produced. */
async function balanced(): Promise<Metrics> {
  return until(
    'stored and lost to make up what was produced',
    async () => {
      const metrics = await scrape();
      const rows = await fleet.api.flows(undefined, 1_000_000);
      const [flows, denies] = [kernel(Lane.FLOWS), kernel(Lane.DENIES)];
      const lost = { agent: hop(metrics, 'agent_dropped'), spool: hop(metrics, 'spool_dropped') };
      const found = {
        produced: flows.produced + denies.produced,
        accounted: rows.length + flows.dropped + denies.dropped + lost.agent + lost.spool,
      };
      const denied = rows.filter(({ verdict }) => verdict === Verdict.VERDICT_BLOCKED);
      const attempts = denied.reduce((sum, row) => sum + row.attempts, 0);
      const state = JSON.stringify({ floods, found, rows: rows.length, attempts, flows, denies, lost });
      if (found.accounted > found.produced) throw new Error(`more than there was: ${state}`);
      if (found.accounted < found.produced) throw new Error(`not yet: ${state}`);
      // Each connection once, each deny among them.
      expect(attempts, state).toBe(floods * DENIED + singles);
      expect(new Set(denied.map(({ source, destination }) => `${source?.port} ${destination?.port}`)).size).toBe(
        attempts,
      );
      expect(rows.length - denied.length, state).toBe(floods * ALLOWED - flows.dropped - lost.agent - lost.spool);
      return metrics;
    },
    { timeoutMs: 60_000, intervalMs: 300 },
  );
}

type Losses = Pick<HostLoss, 'ringDropped' | 'deniesRingDropped' | 'agentDropped' | 'spoolDropped'>;

/**
 * Waits until the controller knows what this host lost: all of it, less what a former run of the controller was told. Losses travel with
 * records, so one more is made.
 */
async function toldTo(metrics: Metrics, before: Losses): Promise<Losses> {
  const wanted: Losses = {
    ringDropped: BigInt(hop(metrics, 'ring_dropped')),
    deniesRingDropped: BigInt(hop(metrics, 'denies_ring_dropped')),
    agentDropped: BigInt(hop(metrics, 'agent_dropped')),
    spoolDropped: BigInt(hop(metrics, 'spool_dropped')),
  };
  localPort += 1;
  await burst(DENIED_PORT, 1, { sent: 0, refused: 1 });
  singles += 1;
  await until('the controller to know of every loss', async () => {
    const loss = (await fleet.api.listHosts())[0]?.loss;
    for (const name of Object.keys(wanted) as (keyof Losses)[]) {
      expect(loss?.[name], name).toBe(wanted[name] - before[name]);
    }
    return true;
  });
  return wanted;
}

it('rings, table and spool overflow: produced is stored and counted lost, per hop, and no deny is lost', async () => {
  await floodUntilLost('ring_dropped');
  await floodUntilLost('agent_dropped');
  const connected = await balanced();
  expect(hop(connected, 'spool_dropped')).toBe(0);
  const before = await toldTo(connected, {
    ringDropped: 0n,
    deniesRingDropped: 0n,
    agentDropped: 0n,
    spoolDropped: 0n,
  });
  await fleet.controller.stop('SIGKILL');
  await floodUntilLost('spool_dropped');
  // Once more into a spool that is full: what goes is allowed.
  await flood();
  await fleet.controller.start();
  const metrics = await balanced();
  const [flows, denies] = [kernel(Lane.FLOWS), kernel(Lane.DENIES)];
  expect(flows.produced).toBe(floods * ALLOWED);
  expect(denies).toEqual({ produced: floods * DENIED + singles, dropped: 0 });
  expect(hop(metrics, 'events_produced')).toBe(flows.produced);
  expect(hop(metrics, 'ring_dropped')).toBe(flows.dropped);
  expect(hop(metrics, 'denies_produced')).toBe(denies.produced);
  expect(hop(metrics, 'denies_ring_dropped')).toBe(0);
  for (const name of ['ring_dropped', 'agent_dropped', 'spool_dropped'])
    expect(hop(metrics, name), name).toBeGreaterThan(0);
  await toldTo(metrics, before);
});
