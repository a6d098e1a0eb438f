// Live tails that read slowly, rarely, or not at all.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import { SharedRows } from '../api/shared-rows.js';
import { BLOCK_RECORDS, FlowBlock } from './block.js';
import { FOLLOWER_BLOCKS_MAX, Follower } from './followers.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const every = { bufferMax: 65_536, sample: 0 };

function blockAt(place: number): FlowBlock {
  const block = new FlowBlock(1 + place * BLOCK_RECORDS);
  block.count = BLOCK_RECORDS;
  return block;
}

/** Waits until no more than so many blocks are in memory. */
async function untilHeld(blocks: readonly WeakRef<FlowBlock>[], most: number): Promise<void> {
  await vi.waitFor(
    () => {
      collectGarbage();
      expect(blocks.filter((block) => block.deref() !== undefined).length).toBeLessThanOrEqual(most);
    },
    { timeout: 30_000 },
  );
}

test('records behind as many replaced ones as are taken at once are not held back', () => {
  let woken = 0;
  const follower = new Follower(
    () => true,
    every,
    () => {
      woken += 1;
    },
  );
  const block = blockAt(0);
  follower.offer(block, 0, 700);
  block.retired.fill(1, 0, 600);
  expect(follower.take(256)).toEqual({
    gaps: [],
    records: Array.from({ length: 100 }, (_, i) => ({ block, index: 600 + i })),
  });
  expect(follower.take(256)).toBeUndefined();
  expect(woken).toBe(1);
});

test('a reader that stands still and wants few records keeps few blocks; what it loses it is told', {
  timeout: 60_000,
}, async () => {
  const follower = new Follower(
    (_, index) => index === 5,
    every,
    () => {},
  );
  const blocks: WeakRef<FlowBlock>[] = [];
  const more = 3 * FOLLOWER_BLOCKS_MAX;
  for (let b = 0; b < more; b += 1) {
    const block = blockAt(b);
    follower.offer(block, 0, BLOCK_RECORDS);
    blocks.push(new WeakRef(block));
    // A target that was made or looked at in a turn stays for the rest of it.
    if (b % 16 === 0) await new Promise(setImmediate);
  }
  await untilHeld(blocks, 2 * FOLLOWER_BLOCKS_MAX);
  const taken = follower.take(1000);
  expect(taken?.gaps).toMatchObject([{ hop: 'subscriber', count: more - FOLLOWER_BLOCKS_MAX }]);
  expect(taken?.records.map(({ block, index }) => block.idAt(index))).toEqual(
    Array.from({ length: FOLLOWER_BLOCKS_MAX }, (_, i) => 6 + (more - FOLLOWER_BLOCKS_MAX + i) * BLOCK_RECORDS),
  );
});

test('rows that are remembered for other readers keep no blocks', { timeout: 60_000 }, async () => {
  const shared = new SharedRows(() => '');
  const blocks: WeakRef<FlowBlock>[] = [];
  for (let b = 0; b < 200; b += 1) {
    const block = blockAt(b);
    shared.row({ block, index: 5 });
    blocks.push(new WeakRef(block));
    if (b % 16 === 0) await new Promise(setImmediate);
  }
  await untilHeld(blocks, 20);
});

test('many readers at every pace: what is taken and what is told to be lost is all there was', () => {
  let state = 7;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let round = 0; round < 20; round += 1) {
    const bufferMax = 1 + random(50);
    const follower = new Follower(
      () => true,
      { bufferMax, sample: 0 },
      () => {},
    );
    let [offered, seen, lost, last] = [0, 0, 0, 0];
    for (let step = 0; step < 60; step += 1) {
      const block = blockAt(step);
      const count = random(30);
      follower.offer(block, 0, count);
      offered += count;
      if (random(3) > 0) continue;
      const taken = follower.take(1 + random(40));
      lost += taken?.gaps.reduce((sum, gap) => sum + gap.count, 0) ?? 0;
      for (const record of taken?.records ?? []) {
        const id = record.block.idAt(record.index);
        expect(id).toBeGreaterThan(last);
        last = id;
        seen += 1;
      }
    }
    for (let taken = follower.take(7); taken !== undefined; taken = follower.take(7)) {
      lost += taken.gaps.reduce((sum, gap) => sum + gap.count, 0);
      seen += taken.records.length;
    }
    expect(seen + lost).toBe(offered);
  }
});
