// What is missing is kept and shown with what is there: in history at its place, in tails once, in graphs added up, over a restart.
import {
  FlowFilter,
  FlowGraphRequest,
  type FlowStreamMessage,
  FollowFlowsRequest,
} from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { call, collect, Tail } from '../testing/admin-client.js';
import { flowColumns } from '../testing/flow-columns.js';
import { Harness } from '../testing/harness.js';

const START_US = 1_790_000_000_000_000;

/** Records of one second, told apart by port. */
function columns(second: number) {
  return flowColumns(
    Array.from({ length: 3 }, (_, i) => ({
      workload: 'host-a/x',
      local: '10.0.0.1',
      remote: '10.0.0.2',
      remotePort: second * 10 + i,
      firstSeenUs: START_US + second * 1e6,
      lastSeenUs: START_US + second * 1e6 + i,
    })),
  );
}

describe.each(['on', 'off'])('flow store %s', (store) => {
  let rf: Harness;
  beforeEach(async () => {
    rf = await Harness.start(['--flow-store', store]);
  });
  afterEach(() => rf.dispose());

  /** Service ports of rows and "hop count" of gaps, in their order. */
  const shapeOf = (messages: readonly FlowStreamMessage[]) =>
    messages.flatMap(({ body }): (string | number)[] => {
      if (body?.$case === 'rows') return body.value.flows.map((flow) => flow.servicePort);
      return body?.$case === 'gap' ? [`${body.value.hop} ${body.value.count}`] : [];
    });

  test('gaps stand where records are missing, in history and live, once each', { timeout: 60_000 }, async () => {
    const flows = (await rf.agent('host-a')).openFlows();
    const early = new Tail(rf.admin.flows.follow(FollowFlowsRequest.fromPartial({ history: true })));
    await early.until(() => early.synced, 'synced');
    flows.send(1n, columns(1), { eventsProduced: 10n });
    flows.send(2n, columns(2), { eventsProduced: 20n, ringDropped: 4n, deniesRingDropped: 1n });
    flows.send(3n, columns(3), { eventsProduced: 30n, ringDropped: 4n, deniesRingDropped: 1n, spoolDropped: 7n });
    await flows.untilAcked(3n);
    const wanted = [10, 11, 12, 'ring 5', 20, 21, 22, 'spool 7', 30, 31, 32];
    await early.until(() => early.rows.length === 9, 'all rows');
    // Live, what is missing comes before the records that are taken out together.
    const live = shapeOf(early.messages);
    expect(live.filter((each) => typeof each === 'number')).toEqual(wanted.filter((each) => typeof each === 'number'));
    expect(live.filter((each) => typeof each === 'string')).toEqual(['ring 5', 'spool 7']);
    const query = (filter: Parameters<typeof FlowFilter.fromPartial>[0] = {}, limit = 0) =>
      collect(rf.admin.flows.query({ filter: FlowFilter.fromPartial(filter), limit }));
    expect(shapeOf(await query())).toEqual(wanted);
    expect(shapeOf(await query({}, 4))).toEqual([22, 'spool 7', 30, 31, 32]);
    const [gap] = (await query()).flatMap(({ body }) => (body?.$case === 'gap' ? [body.value] : []));
    expect(gap).toEqual({
      hop: 'ring',
      hostId: expect.any(String),
      count: 5n,
      beforeFilter: true,
      fromUs: BigInt(START_US + 2e6),
      untilUs: BigInt(START_US + 2e6 + 2),
    });
    // Times and reporters leave out gaps as they leave out records.
    expect(shapeOf(await query({ sinceUs: BigInt(START_US + 2.5e6) }))).toEqual(['spool 7', 30, 31, 32]);
    expect(shapeOf(await query({ untilUs: BigInt(START_US + 2.5e6) }))).toEqual([10, 11, 12, 'ring 5', 20, 21, 22]);
    const graph = (filter: Parameters<typeof FlowFilter.fromPartial>[0]) =>
      call(rf.admin.flows, rf.admin.flows.graph, FlowGraphRequest.fromPartial({ filter, groupBy: ['role'] }));
    expect((await graph({})).gaps.map(({ hop, count }) => [hop, count])).toEqual([
      ['ring', 5n],
      ['spool', 7n],
    ]);
    expect((await graph({ sinceUs: BigInt(START_US + 2.5e6) })).gaps.map(({ hop }) => hop)).toEqual(['spool']);
    const late = new Tail(rf.admin.flows.follow(FollowFlowsRequest.fromPartial({ history: true })));
    await late.until(() => late.synced, 'synced');
    flows.send(4n, columns(4), { ringDropped: 6n });
    await late.until(() => late.rows.length === 12, 'the live rows');
    expect(shapeOf(late.messages)).toEqual([...wanted, 'ring 2', 40, 41, 42]);
    late.close();
    early.close();
    flows.close();
    if (store === 'off') return;
    await rf.restart();
    expect(shapeOf(await query())).toEqual([...wanted, 'ring 2', 40, 41, 42]);
  });
});
