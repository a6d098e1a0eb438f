import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { expect, test } from 'vitest';
import { FlowBlock, UNKNOWN_END } from '../block.js';
import { VIEW } from '../stitch/row.js';
import type { Observations } from '../stitch/types.js';
import { Arrivals } from './arrivals.js';
import { restoredViews } from './restore.js';

type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array;

function isColumn(value: unknown): value is Column {
  return [Uint8Array, Uint16Array, Uint32Array, Float64Array].some((kind) => value instanceof kind);
}

/** Two rows in which every number differs: one that both ends reported, one that the called end alone did. */
function rows(): FlowBlock {
  const block = new FlowBlock(1);
  block.count = 2;
  let next = 1;
  let names = 0;
  for (const column of Object.values(block)) {
    if (!isColumn(column)) continue;
    const perRow = column.length === block.localIp.length ? 16 : 1;
    for (let i = 0; i < 2 * perRow; i += 1) {
      column[i] = next;
      next = (next % 250) + 1;
    }
  }
  for (const index of [0, 1]) {
    for (const column of [block.process, block.farProcess, block.reporter, block.farReporter])
      column[index] = block.stringRef(`text ${index} ${names++}`);
    for (const column of [block.local, block.remote, block.farEnd])
      column[index] = block.endRef({ ...UNKNOWN_END, workloadId: `workload ${index} ${names++}` });
  }
  block.views.set([VIEW.inbound | VIEW.outbound, VIEW.inbound]);
  block.direction.set([Direction.DIRECTION_OUTBOUND, Direction.DIRECTION_INBOUND]);
  return block;
}

/** All that a view says at place 0. */
function told(view: Observations | undefined): unknown {
  if (!(view instanceof Arrivals)) return undefined;
  const { strings, ends } = view;
  const numbers = Object.entries(view).map(([name, column]: [string, unknown]) =>
    isColumn(column) ? [name, ...column.slice(0, name.endsWith('Ip') ? 16 : 1)] : [],
  );
  const names = [strings[view.process[0] as number], strings[view.reporter[0] as number]];
  return { numbers, names, ends: [ends[view.local[0] as number], ends[view.remote[0] as number]] };
}

const fresh = () => [new Arrivals(), new Arrivals()] as const;

test('rows are read into the same two blocks, and a row says the same whatever stood there before', () => {
  const block = rows();
  const used = fresh();
  for (const index of [0, 1, 0, 1]) {
    const { near, far } = restoredViews(block, index, used);
    const alone = restoredViews(block, index, fresh());
    expect(index === 0 ? [near, far] : [far]).toEqual(index === 0 ? [used[0], used[1]] : [used[0]]);
    for (const view of [near, far]) expect(view === undefined || view === used[0] || view === used[1]).toBe(true);
    expect([told(near), told(far)]).toEqual([told(alone.near), told(alone.far)]);
    expect(told(far)).toMatchObject({ names: [expect.stringMatching(/^text/), expect.stringMatching(/^text/)] });
  }
});
