import { FlowStreamMessage, FollowFlowsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { expect, test } from 'vitest';
import { BLOCK_RECORDS, FlowBlock } from '../flows/block.js';
import { Tail } from '../testing/admin-client.js';
import { flowColumns } from '../testing/flow-columns.js';
import { Harness } from '../testing/harness.js';
import { SharedRows, writeFlowStream } from './shared-rows.js';

test('a row is made once as long as it is remembered, and written as the generated code writes it', () => {
  const shared = new SharedRows((number) => `rule-${number}`);
  const blocks = Array.from({ length: 5 }, (_, b) => {
    const block = new FlowBlock(1 + b * BLOCK_RECORDS);
    for (let i = 0; i < BLOCK_RECORDS; i += 1) {
      block.rule[i] = i % 9;
      block.bytesIn[i] = i * b * 1000;
      block.remoteIp[16 * i + 15] = i;
    }
    block.count = BLOCK_RECORDS;
    return block;
  });
  const flows = blocks.flatMap((block) => [0, 7, 4000].map((index) => shared.row({ block, index })));
  expect(blocks.flatMap((block) => [0, 7, 4000].map((index) => shared.row({ block, index })))).toEqual(flows);
  expect(shared.made).toBe(15);
  const message: FlowStreamMessage = { body: { $case: 'rows', value: { flows } } };
  for (let time = 0; time < 2; time += 1) {
    expect(writeFlowStream(message)).toEqual(Buffer.from(FlowStreamMessage.encode(message).finish()));
  }
  const other: FlowStreamMessage = { body: { $case: 'synced', value: { kept: 3n, historyDropped: 0n } } };
  expect(FlowStreamMessage.decode(writeFlowStream(other))).toEqual(other);
  // More than is remembered: the oldest are made again, and still right.
  for (const block of blocks) for (let index = 0; index < BLOCK_RECORDS; index += 1) shared.row({ block, index });
  const [first] = blocks;
  expect(first && shared.row({ block: first, index: 7 })).toEqual(flows[1]);
});

test('many tails of one controller get the same records, all of them', { timeout: 60_000 }, async () => {
  const rf = await Harness.start();
  try {
    const flows = (await rf.agent('host-a')).openFlows();
    const tails = Array.from(
      { length: 8 },
      () => new Tail(rf.admin.flows.follow(FollowFlowsRequest.fromPartial({ buffer: 65_536 }))),
    );
    for (const tail of tails) await tail.until(() => tail.synced, 'synced');
    const rows = Array.from({ length: 300 }, (_, i) => ({
      workload: 'host-a/x',
      local: '10.0.0.1',
      remote: '10.0.0.2',
      localPort: 1 + i,
    }));
    for (let sequence = 1; sequence <= 4; sequence += 1) {
      const columns = flowColumns(rows.map((row) => ({ ...row, remotePort: sequence })));
      flows.send(BigInt(sequence), columns);
    }
    await flows.untilAcked(4n);
    const [first, ...others] = tails;
    for (const tail of tails) await tail.until(() => tail.rows.length >= 1200, 'all rows');
    for (const tail of others) expect(tail.rows).toEqual(first?.rows);
    for (const tail of tails) tail.close();
    flows.close();
  } finally {
    await rf.dispose();
  }
});
