// Flows.Graph and Flows.Backup over gRPC, with the store on disk and a controller that starts anew.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FlowGraphRequest, FollowFlowsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { call, Tail } from '../testing/admin-client.js';
import { flowColumns } from '../testing/flow-columns.js';
import { Harness } from '../testing/harness.js';

let rf: Harness;
beforeAll(async () => {
  rf = await Harness.start(['--flow-store', 'on']);
});
afterAll(() => rf.dispose());

test('both views of a connection are one; thresholds leave out and say so; a restart and a copy keep all', {
  timeout: 60_000,
}, async () => {
  const agent = await rf.agent('host-a');
  const stream = agent.openFlows();
  const ends = { workload: 'x', local: '10.0.0.1', remote: '10.0.0.2', process: 'node' };
  const out = { ...ends, direction: Direction.DIRECTION_OUTBOUND, bytesOut: 900, bytesIn: 100 };
  const seenInside = { ...ends, direction: Direction.DIRECTION_INBOUND, bytesOut: 100, bytesIn: 900 };
  const blocked = { ...out, remotePort: 22, verdict: Verdict.VERDICT_BLOCKED, bytesOut: 60, bytesIn: 0 };
  stream.send(1n, flowColumns([out, out, seenInside, blocked]));
  await stream.untilAcked(1n);
  const { flows } = rf.admin;
  const ask = (more: object) => call(flows, flows.graph, FlowGraphRequest.fromPartial({ groupBy: [], ...more }));

  const graph = await ask({});
  expect(graph).toMatchObject({ nodes: [{ id: 1, labels: [] }], edgesLeftOut: 0, records: 4n });
  const [edge] = graph.edges;
  expect(edge).toMatchObject({ source: 1, destination: 1, verdict: Verdict.VERDICT_BLOCKED });
  expect(edge?.services.map(({ port, processes }) => [port, processes])).toEqual([
    [443, ['node']],
    [22, ['node']],
  ]);
  // Two connections seen from outside, one of them from inside as well: the fuller view, not the sum.
  expect(edge?.services[0]?.sums).toMatchObject({ bytesForward: 1800n, bytesBack: 200n, count: 2n });
  expect(await ask({ minBytes: 5000n })).toMatchObject({ edges: [], edgesLeftOut: 1, records: 4n });
  expect((await ask({ filter: { verdicts: [Verdict.VERDICT_BLOCKED] } })).edges[0]?.services).toHaveLength(1);
  await expect(ask({ groupBy: ['a', 'a'] })).rejects.toThrow('RF_GRAPH');

  const file = join(rf.stateDir, 'copy.duckdb');
  expect((await call(flows, flows.backup, { file })).bytes).toBeGreaterThan(0n);
  expect(existsSync(file)).toBe(true);
  await expect(call(flows, flows.backup, { file })).rejects.toThrow('RF_BACKUP');

  const line = async () => (await call(rf.admin.status, rf.admin.status.get, {})).flows?.idLine;
  const before = await line();
  await rf.restart();
  expect(await line()).toBe(before);
  const tail = new Tail(rf.admin.flows.follow(FollowFlowsRequest.fromPartial({ history: true })));
  await tail.until(() => tail.synced, 'synced');
  const second = agent.openFlows();
  // The same batch and a new one: only the new one is new.
  second.send(1n, flowColumns([out, out, seenInside, blocked]));
  second.send(2n, flowColumns([{ ...out, firstSeenUs: 2_000_000 }]));
  await second.untilAcked(2n);
  await tail.until(() => tail.rows.length >= 5, 'history and live');
  expect(tail.rows).toHaveLength(5);
  expect(new Set(tail.rows.map(({ id }) => id)).size).toBe(5);
  expect(tail.gaps).toEqual([]);
  tail.close();
  second.close();
  stream.close();
});
