// Issue 6, metrics: what a real agent and a real controller tell a scraper is what was done on the host, and docs/grafana-dashboard.json
// asks for nothing that they do not tell.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ABI_VERSION } from '@ringfence/bpf';
import { BpfMap } from '@ringfence/native';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Fleet } from '../src/fleet.js';
import { Metrics, type Sample } from '../src/metrics.js';
import { repository } from '../src/paths.js';
import { until } from '../src/until.js';

const METRICS = '127.0.0.1:9464';
const [ALLOWED_PORT, ALLOWED, DENIED_PORT, DENIED] = [20_000, 40, 30_000, 25];

let fleet: Fleet;
let policyVersion = 0;

beforeAll(async () => {
  const agent = { host: { enabled: false, name: 'alpha' }, metrics: { listen: METRICS }, rejectMode: 'drop' };
  fleet = await Fleet.start([{ name: 'alpha', services: ['api'], agent }]);
  await fleet.label('api', { role: 'api' });
  const target = fleet.controller.node.addresses.ip4;
  const content = `
ipLists: [{ name: target, include: [${target}/32] }]
modes: [{ id: all, match: role=api, mode: enforce }]
rules: [{ id: some, service: udp/${ALLOWED_PORT}-${ALLOWED_PORT + 100}, providedBy: { ipList: target }, usedBy: role=api }]
`;
  policyVersion = (await fleet.provision([{ name: 'policy.yaml', content }])).version;
  await burst(ALLOWED_PORT, ALLOWED, { sent: ALLOWED, refused: 0 });
  await burst(DENIED_PORT, DENIED, { sent: 0, refused: DENIED });
});
afterAll(() => fleet?.close());

async function burst(port: number, count: number, wanted: { sent: number; refused: number }): Promise<void> {
  const target = fleet.controller.node.addresses.ip4;
  const started = await fleet
    .place('api')
    .start(['burst', target, `${port}`, '--count', `${count}`, '--local-port', `${port}`]);
  expect(await started.event('burst')).toMatchObject(wanted);
}

const ofAgent = () => Metrics.scrape(fleet.member('alpha').host.netns, METRICS);
const ofController = () => Metrics.scrape(fleet.controller.node.netns, fleet.controller.metricsAddress);

/** Scrapes until all of these are so: records are on their way for a while. */
async function settled(
  scrape: () => Promise<Metrics>,
  wanted: readonly [name: string, labels: object, value: number][],
) {
  return until('metrics to say what was done', async () => {
    const metrics = await scrape();
    const said = wanted.map(([name, labels]) => [name, labels, metrics.sum(name, { ...labels })]);
    expect(said).toEqual(wanted);
    return metrics;
  });
}

test('the agent tells verdicts by reason, every hop, revision and connection as they are', async () => {
  const host = (await fleet.api.listHosts())[0];
  const hop = (name: string, value: number) =>
    ['ringfence_agent_flow_hop_total', { hop: name }, value] as [string, object, number];
  await settled(ofAgent, [
    ['ringfence_agent_packets_total', { verdict: 'allowed', reason: 'rule_allow', direction: 'out' }, ALLOWED],
    ['ringfence_agent_packets_total', { verdict: 'blocked', reason: 'implicit_deny', direction: 'out' }, DENIED],
    // Five bytes in UDP and IPv4; what connect() and sendmsg() refuse never became a packet.
    ['ringfence_agent_bytes_total', { verdict: 'allowed', reason: 'rule_allow', direction: 'out' }, ALLOWED * 33],
    hop('events_produced', ALLOWED),
    hop('denies_produced', DENIED),
    hop('ring_dropped', 0),
    hop('denies_ring_dropped', 0),
    hop('agent_dropped', 0),
    hop('spool_dropped', 0),
    hop('records_sent', ALLOWED + DENIED),
    ['ringfence_agent_revision', {}, Number(host?.revisionWanted)],
    ['ringfence_agent_controller_connected', {}, 1],
    ['ringfence_agent_workloads', {}, 1],
    ['ringfence_agent_spool_bytes', {}, 0],
  ]);
});

test('the fill of every table that user space writes is what is in it', async () => {
  const metrics = await ofAgent();
  const { pinPath } = fleet.member('alpha').host;
  const tables = metrics.all('ringfence_agent_table_entries');
  expect(tables.map(({ labels }) => labels.table)).toEqual(
    expect.arrayContaining(['rf_endpoints', 'rf_peers', 'rf_groups', 'rf_ports', 'rf_cidrs', 'rf_failsafe']),
  );
  for (const { labels, value } of tables) {
    using map = BpfMap.fromPin(`${pinPath}/v${ABI_VERSION}/maps/${labels.table}`);
    const { keySize, maxEntries } = map.info;
    expect([labels.table, value]).toEqual([labels.table, map.keys().length / keySize]);
    expect(metrics.sum('ringfence_agent_table_entries_max', { table: labels.table ?? '' })).toBe(maxEntries);
  }
  expect(metrics.sum('ringfence_agent_table_entries', { table: 'rf_ports' })).toBeGreaterThan(0);
});

test('policy latency, convergence and flows of the whole fleet, at the controller', async () => {
  const metrics = await settled(ofController, [
    ['ringfence_policy_version', {}, policyVersion],
    ['ringfence_policy_latency_seconds_count', {}, 1],
    ['ringfence_hosts', { standing: 'known' }, 1],
    ['ringfence_hosts', { standing: 'connected' }, 1],
    ['ringfence_hosts', { standing: 'current' }, 1],
    ['ringfence_workloads', { standing: 'present' }, 1],
    ['ringfence_workloads', { standing: 'not_in_force' }, 0],
    ['ringfence_flow_records_total', { verdict: 'allowed' }, ALLOWED],
    ['ringfence_flow_records_total', { verdict: 'blocked' }, DENIED],
    ['ringfence_flow_reasons_total', { reason: 'rule_allow' }, ALLOWED],
    ['ringfence_flow_reasons_total', { reason: 'implicit_deny' }, DENIED],
    ['ringfence_flow_store_records', {}, ALLOWED + DENIED],
    ['ringfence_flow_loss_total', {}, 0],
    ['ringfence_flow_store_healthy', {}, 1],
  ]);
  expect(metrics.sum('ringfence_policy_latency_seconds_sum')).toBeGreaterThan(0);
  expect(metrics.sum('ringfence_policy_latency_seconds_bucket', { le: '+Inf' })).toBe(1);
  // The host's own share of it: every revision that it applied, the provisioned one among them.
  const agent = await ofAgent();
  const applied = agent.sum('ringfence_agent_apply_seconds_count');
  expect(applied).toBeGreaterThanOrEqual(1);
  expect(agent.sum('ringfence_agent_apply_seconds_bucket', { le: '+Inf' })).toBe(applied);
  expect(agent.sum('ringfence_agent_apply_seconds_sum')).toBeGreaterThan(0);
});

test('processor time and memory are what /proc says', async () => {
  const { pid } = fleet.member('alpha').agent;
  const before = cpuSeconds(pid);
  const metrics = await ofAgent();
  const after = cpuSeconds(pid);
  // The kernel's two ways of counting differ by a tick for each of user and system.
  const said = metrics.sum('ringfence_agent_cpu_seconds_total') ?? 0;
  expect(said).toBeGreaterThan(before - 0.03);
  expect(said).toBeLessThan(after + 0.03);
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
  const resident = metrics.sum('ringfence_agent_resident_bytes') ?? 0;
  expect(resident).toBeGreaterThan(peak / 4);
  expect(resident).toBeLessThan(peak * 1.1);
});

test('every selector of the dashboard finds what it asks for', async () => {
  const scraped = await Promise.all([ofAgent(), ofController()]);
  const samples = scraped.flatMap((metrics) => metrics.samples);
  const declared = new Set(scraped.flatMap((metrics) => [...metrics.declared]));
  const text = readFileSync(join(repository, 'docs', 'grafana-dashboard.json'), 'utf8');
  const { panels } = JSON.parse(text) as { panels: { title: string; targets: { expr: string }[] }[] };
  const selectors = panels.flatMap(({ title, targets }) =>
    targets.flatMap(({ expr }) => selectorsOf(expr).map((selector) => ({ title, expr, ...selector }))),
  );
  expect(selectors.length).toBeGreaterThan(25);
  for (const { title, expr, name, matchers } of selectors) {
    const place = `${title}: ${expr}`;
    expect(declared, place).toContain(name.replace(/_(bucket|sum|count)$/, ''));
    const found = samples.filter((sample) => sample.name === name);
    // A condition has samples only while it holds.
    if (found.length > 0) expect(found.filter((sample) => matches(sample, matchers)).length, place).toBeGreaterThan(0);
    else expect(name, place).toBe('ringfence_agent_condition');
  }
});

interface Matcher {
  readonly label: string;
  readonly regular: boolean;
  readonly value: string;
}

/** Metrics that an expression names, with their = and =~ matchers. */
function selectorsOf(expr: string): { name: string; matchers: Matcher[] }[] {
  return [...expr.matchAll(/\b((?:ringfence|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)].map(
    ([, name = '', inner = '']) => ({
      name,
      matchers: [...inner.matchAll(/(\w+)(=~?)"([^"]*)"/g)].map(([, label = '', operator, value = '']) => ({
        label,
        regular: operator === '=~',
        value,
      })),
    }),
  );
}

function matches({ labels }: Sample, matchers: readonly Matcher[]): boolean {
  return matchers.every(({ label, regular, value }) =>
    regular ? new RegExp(`^(?:${value})$`).test(labels[label] ?? '') : labels[label] === value,
  );
}

/** User and system time of a process and all its threads. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
