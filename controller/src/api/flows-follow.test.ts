// Live tails over gRPC while agents upload: what a reader gets, and what it is told that it missed, add up.

import { type FlowStreamMessage, FollowFlowsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Tail } from '../testing/admin-client.js';
import { flowColumns } from '../testing/flow-columns.js';
import { Harness } from '../testing/harness.js';
import type { FlowStream } from '../testing/simulated-agent.js';

let rf: Harness;
beforeEach(async () => {
  rf = await Harness.start();
});
afterEach(() => rf.dispose());

const BATCH = 500;
/** Connections of their own for each batch. */
const columns = (sequence: number) =>
  flowColumns(
    Array.from({ length: BATCH }, (_, i) => ({
      workload: 'host-a/x',
      local: '10.0.0.1',
      remote: '10.0.0.2',
      remotePort: i,
      firstSeenUs: 1_000_000 * sequence,
    })),
  );

async function upload(stream: FlowStream, from: number, to: number): Promise<void> {
  for (let sequence = from; sequence <= to; sequence += 1) {
    if (!stream.send(BigInt(sequence), columns(sequence))) await stream.drained();
  }
  await stream.untilAcked(BigInt(to));
}

test('history and live join without gap or duplicate while records arrive', { timeout: 30_000 }, async () => {
  const flows = (await rf.agent('host-a')).openFlows();
  await upload(flows, 1, 5);
  const uploading = upload(flows, 6, 40);
  const tails = Array.from(
    { length: 4 },
    () => new Tail(rf.admin.flows.follow(FollowFlowsRequest.fromPartial({ history: true, buffer: 65_536 }))),
  );
  await uploading;
  for (const tail of tails) {
    await tail.until(() => tail.rows.length >= 40 * BATCH, 'all rows');
    expect(tail.gaps).toEqual([]);
    expect(tail.rows.map(({ id }) => Number(id))).toEqual(Array.from({ length: 40 * BATCH }, (_, i) => i + 1));
    tail.close();
  }
  flows.close();
});

test('of history as of live records one in so many is sent', { timeout: 30_000 }, async () => {
  const flows = (await rf.agent('host-a')).openFlows();
  await upload(flows, 1, 40);
  const tail = new Tail(rf.admin.flows.follow(FollowFlowsRequest.fromPartial({ history: true, sample: 100 })));
  await tail.until(() => tail.synced, 'synced');
  expect(tail.rows.map(({ id }) => Number(id))).toEqual(Array.from({ length: 40 * 5 }, (_, i) => 100 * i + 1));
  await upload(flows, 41, 50);
  await tail.until(() => tail.rows.length >= 50 * 5, 'live rows');
  expect(tail.rows.map(({ id }) => Number(id))).toEqual(Array.from({ length: 50 * 5 }, (_, i) => 100 * i + 1));
  tail.close();
  flows.close();
});

test('a reader that stands still is told exactly how many records it lost, and others lose none', {
  timeout: 30_000,
}, async () => {
  const flows = (await rf.agent('host-a')).openFlows();
  const quick = new Tail(rf.admin.flows.follow(FollowFlowsRequest.fromPartial({ buffer: 65_536 })));
  const slow = rf.admin.flows.follow(FollowFlowsRequest.fromPartial({ buffer: 1000 }));
  slow.on('error', () => {});
  const got: FlowStreamMessage[] = [];
  await new Promise<void>((resolve) => {
    slow.on('data', (message: FlowStreamMessage) => {
      got.push(message);
      if (message.body?.$case === 'synced') {
        slow.pause();
        resolve();
      }
    });
  });
  await quick.until(() => quick.synced, 'synced');
  await upload(flows, 1, 100);
  await quick.until(() => quick.rows.length >= 100 * BATCH, 'all rows');
  expect(quick.gaps).toEqual([]);
  slow.resume();
  const rows = () => got.flatMap(({ body }) => (body?.$case === 'rows' ? body.value.flows : []));
  const lost = () => got.reduce((sum, { body }) => sum + (body?.$case === 'gap' ? Number(body.value.count) : 0), 0);
  await expect.poll(() => rows().length + lost(), { timeout: 10_000 }).toBe(100 * BATCH);
  expect(lost()).toBeGreaterThan(0);
  expect(Number(rows().at(-1)?.id)).toBe(100 * BATCH);
  // Each gap stands where the records are missing: the ids before and after it differ by its count.
  let next = 1;
  for (const { body } of got) {
    if (body?.$case === 'gap') next += Number(body.value.count);
    if (body?.$case !== 'rows') continue;
    for (const { id } of body.value.flows) {
      expect(Number(id)).toBe(next);
      next += 1;
    }
  }
  slow.cancel();
  quick.close();
  flows.close();
});
