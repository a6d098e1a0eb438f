// A real agent process on a host of the lab, connected to a real controller; a source in another process writes events into its rings.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ABI_VERSION, ENDPOINT, ENDPOINT_KEY, EndpointFlag, EndpointKind, LANE_STATS, Lane } from '@ringfence/bpf';
import { run as command } from '@ringfence/lab/exec.js';
import { Fleet } from '@ringfence/lab/fleet.js';
import { Metrics } from '@ringfence/lab/metrics.js';
import { until } from '@ringfence/lab/until.js';
import { BpfMap } from '@ringfence/native';
import { cpuSeconds, peakMib, residentMib, threadSeconds } from '../flows/process-cost.js';
import type { SourceOptions, SourceResult } from './event-source.js';

export type Load = Omit<SourceOptions, 'pinPath' | 'endpoint'>;

export interface AgentCost {
  readonly load: Load;
  /** That reached the agent or were lost before it, by the kernel's count, and the seconds they came in. */
  readonly events: number;
  readonly seconds: number;
  /** Lost in the kernel's rings; in the hand-off or the agent's table; and of records, in the spool. */
  readonly lostInRings: number;
  readonly lostInAgent: number;
  readonly lostRecords: number;
  readonly records: number;
  /** Connections that lost their row to others: what they counted until their next event is in no record. */
  readonly baselineUnknown: number;
  /** Packets that the controller's rows tell: one for each event that was aggregated. */
  readonly packetsStored: number;
  /** Processor seconds of the agent while events came, whole and by thread. */
  readonly cpu: number;
  readonly threads: ReadonlyMap<string, number>;
  /** Of the controller beside it, which shares the processors. */
  readonly controllerCpu: number;
  readonly residentMib: number;
  readonly peakMib: number;
  readonly sourceNsPerEvent: number;
}

const METRICS = '127.0.0.1:9464';

/** Runs one load on a fleet of its own. `flows`: the agent's settings, beside the defaults. */
export async function measureAgent(load: Load, flows: Readonly<Record<string, unknown>> = {}): Promise<AgentCost> {
  const agentConfig = { flows, metrics: { listen: METRICS }, host: { enabled: false, name: 'alpha' } };
  const fleet = await Fleet.start([{ name: 'alpha', services: ['api'], agent: agentConfig }]);
  try {
    return await run(fleet, load);
  } finally {
    await fleet.close();
  }
}

async function run(fleet: Fleet, load: Load): Promise<AgentCost> {
  const { host, agent } = fleet.member('alpha');
  const { pinPath } = host;
  const scrape = () => Metrics.scrape(host.netns, METRICS);
  const hop = (metrics: Metrics, name: string) => metrics.sum('ringfence_agent_flow_hop_total', { hop: name }) ?? 0;
  await aheadOfOthers(agent.pid);
  const before = { lanes: produced(pinPath), cpu: cpuSeconds(agent.pid), threads: threadSeconds(agent.pid) };
  const controllerBefore = cpuSeconds(fleet.controller.pid);
  const source = await produce({ ...load, pinPath, endpoint: endpointOf(pinPath) });
  const [cpu, threads] = [cpuSeconds(agent.pid) - before.cpu, threadSeconds(agent.pid)];
  const controllerCpu = cpuSeconds(fleet.controller.pid) - controllerBefore;
  const events = produced(pinPath) - before.lanes;
  const resident = residentMib(agent.pid);
  // What was told is what is asked for next: every record is sent when no more come and none waits.
  let sent = -1;
  const last = await until(
    'every record to be with the controller',
    async () => {
      const now = await scrape();
      const settled = hop(now, 'records_sent') === sent && now.sum('ringfence_agent_spool_bytes') === 0;
      sent = hop(now, 'records_sent');
      const received = Number((await fleet.api.listHosts())[0]?.loss?.recordsReceived ?? 0n);
      return settled && received === sent - hop(now, 'spool_dropped') ? now : undefined;
    },
    // Longer than a report on an open connection may wait.
    { timeoutMs: 300_000, intervalMs: 11_000 },
  );
  const rows = await fleet.api.flows(undefined, 4_000_000);
  return {
    load,
    events,
    seconds: source.seconds,
    lostInRings: hop(last, 'ring_dropped'),
    lostInAgent: hop(last, 'agent_dropped'),
    lostRecords: hop(last, 'spool_dropped'),
    baselineUnknown: last.sum('ringfence_agent_baseline_unknown_total') ?? 0,
    records: sent,
    packetsStored: rows.reduce((sum, { packetsForward }) => sum + Number(packetsForward), 0),
    cpu,
    threads: new Map([...threads].map(([name, seconds]) => [name, seconds - (before.threads.get(name) ?? 0)])),
    controllerCpu,
    residentMib: resident,
    peakMib: peakMib(agent.pid),
    sourceNsPerEvent: source.nsPerEvent,
  };
}

/** All threads of a process before ordinary ones: what others do on the machine then disturbs little. */
async function aheadOfOthers(pid: number): Promise<void> {
  await command('chrt', ['--all-tasks', '--rr', '--pid', '1', `${pid}`]);
}

/** Events that the kernel's lanes counted. */
function produced(pinPath: string): number {
  using lanes = BpfMap.fromPin(`${pinPath}/v${ABI_VERSION}/maps/rf_lanes`);
  const { values, count } = lanes.dump();
  let sum = 0n;
  for (let i = Lane.FLOWS; i < count; i += Lane.COUNT) sum += LANE_STATS.decode(values, i * LANE_STATS.size).produced;
  return Number(sum);
}

/** The agent's number of the one service on the host. */
function endpointOf(pinPath: string): number {
  using map = BpfMap.fromPin(`${pinPath}/v${ABI_VERSION}/maps/rf_endpoints`);
  const { keys, values, count } = map.dump();
  for (let i = 0; i < count; i += 1) {
    const { kind } = ENDPOINT_KEY.decode(keys, i * ENDPOINT_KEY.size);
    const { number, flags } = ENDPOINT.decode(values, i * ENDPOINT.size);
    if (kind === EndpointKind.CGROUP && (flags & EndpointFlag.HOST) === 0) return number;
  }
  throw new Error(`Cannot find the service's endpoint: ${count} in rf_endpoints, wanted one of a cgroup`);
}

async function produce(options: SourceOptions): Promise<SourceResult> {
  const program = fileURLToPath(new URL('./event-source.js', import.meta.url));
  const child: ChildProcess = fork(program, [JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  if (child.pid !== undefined) await aheadOfOthers(child.pid);
  return new Promise((resolve, reject) => {
    child.once('message', (result: SourceResult) => resolve(result));
    child.once('exit', (code) => reject(new Error(`Cannot produce events: the source ended with ${code}`)));
  });
}
