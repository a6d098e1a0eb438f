// Metrics as a scraper reads them, and that the dashboard names none that does not exist.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { flowColumns } from '../testing/flow-columns.js';
import { Harness } from '../testing/harness.js';

let rf: Harness;
beforeAll(async () => {
  rf = await Harness.start(['--listen-metrics', '127.0.0.1:0', '--flow-store', 'on']);
});
afterAll(() => rf.dispose());

async function scrape(): Promise<string> {
  return (await fetch(`http://${rf.controller.addresses.metrics}/metrics`)).text();
}

test('policy latency is measured once for each host and version, flows are counted where they are', async () => {
  const agents = await Promise.all(['a', 'b'].map((name) => rf.agent(name)));
  expect(await scrape()).toContain('ringfence_policy_latency_seconds_count 0');
  const rule = 'rules:\n  - { id: r, service: tcp/1, providedBy: role=db, usedBy: role=web }\n';
  expect(await rf.applyPolicy(rule)).toMatchObject({ accepted: true });
  await expect.poll(scrape).toContain('ringfence_policy_latency_seconds_count 2');
  const [agent] = agents;
  const stream = agent?.openFlows();
  const row = { workload: 'h/w', local: '10.0.0.1', remote: '10.0.0.2' };
  stream?.send(1n, flowColumns([row, row, row]), { ringDropped: 5n });
  await stream?.untilAcked(1n);
  const text = await scrape();
  expect(text).toContain('ringfence_flow_store_records 3');
  expect(text).toContain('ringfence_flow_records_total{verdict="allowed"} 3');
  expect(text).toContain('ringfence_flow_loss_total{hop="ring"} 5');
  expect(text).toContain('ringfence_flow_loss_total{hop="store"} 0');
  expect(text).toContain('ringfence_flow_store_healthy 1');
  expect(text).toContain('ringfence_flow_stitching{what="records"} 3');
  stream?.close();
});

test('the dashboard names only metrics that a controller or an agent has', async () => {
  const dashboard = readFileSync(new URL('../../../docs/grafana-dashboard.json', import.meta.url), 'utf8');
  const agent = readFileSync(new URL('../../../agent/src/health/metrics.ts', import.meta.url), 'utf8');
  const known = new Set((await scrape()).match(/^# TYPE (\S+)/gm)?.map((line) => line.slice(7)));
  for (const [, name] of agent.matchAll(/^\s*(?:gauge\()?\s*'([a-z_]+)',/gm)) known.add(`ringfence_agent_${name}`);
  for (const [, name] of agent.matchAll(/name: '(ringfence_agent_[a-z_]+)'/g)) known.add(name ?? '');
  const { panels } = JSON.parse(dashboard) as { panels: { targets: { expr: string }[] }[] };
  const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  const named = expressions.flatMap((expr) => expr.match(/\b(?:ringfence|process)_[a-z_]+/g) ?? []);
  expect(named.length).toBeGreaterThan(20);
  for (const name of new Set(named)) expect(known, name).toContain(name.replace(/_bucket$/, ''));
});
