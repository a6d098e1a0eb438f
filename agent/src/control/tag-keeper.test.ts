import { TagsFlag } from '@ringfence/bpf';
import { TagKeys, TagMode } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { describe, expect, it } from 'vitest';
import type { TagTables } from '../desired/tags.js';
import { AgentError } from '../errors.js';
import { decodeState, encodeState } from '../store/state-file.js';
import { TAG_FILE_FORMAT, TagKeeper } from './tag-keeper.js';

const HOUR = 3_600_000;
const FLEET = 1_800_000_000_000;
const SECRET = Buffer.from('0123456789abcdef');

function bed(stored?: unknown) {
  const applied: TagTables[] = [];
  const problems: (string | undefined)[] = [];
  const writes: unknown[] = [];
  const clock = { bootMs: 5_000, nowMs: FLEET - 90_000 };
  let refuses = false;
  const keeper = new TagKeeper({
    apply: (tables) => {
      if (refuses) throw new AgentError('RF_MAP_ACCESS', 'Cannot update rf_tags');
      applied.push(tables);
    },
    // Through the bytes of a state file: what is read back is what a file gives.
    file: {
      read: () => stored && decodeState(encodeState(TAG_FILE_FORMAT, stored), TAG_FILE_FORMAT, 'tags.cbor'),
      write: (value) => void writes.push(value),
    },
    bootMs: () => clock.bootMs,
    nowMs: () => clock.nowMs,
    onProblem: (problem) => void problems.push(problem),
  });
  return {
    keeper,
    applied,
    problems,
    writes,
    clock,
    refuse: () => {
      refuses = true;
    },
  };
}

const epoch = (number: number, fromMs: number, untilMs = 0) => ({
  epoch: number,
  key: Buffer.from(SECRET.map((byte) => byte ^ number)),
  fromMs: BigInt(fromMs),
  untilMs: BigInt(untilMs),
});
const message = (more: Partial<Parameters<typeof TagKeys.fromPartial>[0]> = {}) =>
  TagKeys.fromPartial({
    mode: TagMode.TAG_MODE_PEERS,
    nowMs: BigInt(FLEET),
    keys: [epoch(6, FLEET - 2 * HOUR, FLEET + 1000), epoch(7, FLEET - HOUR), epoch(8, FLEET + HOUR)],
    ...more,
  });

describe('TagKeeper', () => {
  it('keys, reach the kernel with fleet time and the next epoch to come', () => {
    const { keeper, applied, problems } = bed();
    keeper.take(message());
    const [tables] = applied;
    expect(tables?.tags).toEqual({
      clockNs: BigInt(FLEET - 5000) * 1_000_000n,
      nextFromNs: BigInt(FLEET + HOUR) * 1_000_000n,
      epoch: 7,
      nextEpoch: 8,
      flags: TagsFlag.WRITE | TagsFlag.VERIFY,
    });
    expect(tables?.keys.map((key) => [key.epoch, key.untilNs])).toEqual([
      [6, BigInt(FLEET + 1000) * 1_000_000n],
      [7, 0n],
      [8, 0n],
    ]);
    expect(problems).toEqual([undefined]);
  });

  it('off, empties the kernel and the disk', () => {
    const { keeper, applied, writes } = bed();
    keeper.take(message());
    keeper.take(message({ mode: TagMode.TAG_MODE_OFF, keys: [] }));
    expect(applied.at(-1)).toEqual({ tags: undefined, keys: [], writes: false });
    expect(writes.at(-1)).toMatchObject({ settings: { epochs: [] } });
  });

  it('anywhere, says so to the kernel', () => {
    const { keeper, applied } = bed();
    keeper.take(message({ mode: TagMode.TAG_MODE_ANYWHERE }));
    expect(applied[0]?.tags?.flags).toBe(TagsFlag.WRITE | TagsFlag.VERIFY | TagsFlag.ANYWHERE);
  });

  it('the same again, is not written to disk; another clock or key is', () => {
    const { keeper, writes, clock } = bed();
    keeper.take(message());
    clock.nowMs += 300_000;
    clock.bootMs += 300_000;
    keeper.take(message({ nowMs: BigInt(FLEET + 300_020) }));
    expect(writes).toHaveLength(1);
    clock.nowMs += 60_000;
    keeper.take(message({ nowMs: BigInt(FLEET + 300_020) }));
    expect(writes).toHaveLength(2);
    keeper.take(message({ nowMs: BigInt(FLEET + 300_020), keys: [epoch(7, FLEET - HOUR), epoch(8, FLEET)] }));
    expect(writes).toHaveLength(3);
  });

  it('after a reboot, goes on from disk by the wall clock and the distance kept', () => {
    const before = bed();
    before.keeper.take(message());
    const { keeper, applied, problems, clock } = bed(before.writes[0]);
    clock.nowMs += 2 * HOUR;
    clock.bootMs = 1;
    keeper.load();
    // Two hours on: the epoch that was to come is the present one.
    expect(applied[0]?.tags).toMatchObject({
      epoch: 8,
      nextEpoch: 0,
      clockNs: BigInt(FLEET + 2 * HOUR - 1) * 1_000_000n,
    });
    expect(applied[0]?.keys).toHaveLength(3);
    expect(problems).toEqual([]);
  });

  it('no file, leaves the kernel alone', () => {
    const { keeper, applied, problems } = bed();
    keeper.load();
    expect([applied, problems]).toEqual([[], []]);
  });

  it.each([
    ['a short key', message({ keys: [{ ...epoch(1, 0), key: SECRET.subarray(1) }] }), '15 bytes'],
    ['epoch 0', message({ keys: [epoch(0, 0)] }), 'epoch 0'],
    ['a gap', message({ keys: [epoch(1, 0), epoch(3, 0)] }), 'epoch 3 after 1'],
    ['too many', message({ keys: [epoch(1, 0), epoch(2, 0), epoch(3, 0), epoch(4, 0)] }), 'found 4'],
    ['a mode that is none', message({ mode: 9 as TagMode }), 'mode 9'],
  ])('%s, changes nothing and is told without the key', (_, wire, wanted) => {
    const { keeper, applied, writes, problems } = bed();
    keeper.take(wire);
    expect([applied, writes]).toEqual([[], []]);
    expect(problems).toEqual([expect.stringContaining(wanted)]);
    expect(JSON.stringify(problems)).not.toContain('123456789');
  });

  it('leaving the fleet, takes the keys out of the kernel', () => {
    const { keeper, applied, problems } = bed();
    keeper.take(message());
    keeper.forget();
    expect(applied.at(-1)).toEqual({ tags: undefined, keys: [], writes: false });
    expect(problems).toEqual([undefined, undefined]);
  });

  it('a kernel that refuses, is a problem until it does not', () => {
    const { keeper, problems, refuse, writes } = bed();
    refuse();
    keeper.take(message());
    expect(problems).toEqual(['Cannot update rf_tags (RF_MAP_ACCESS)']);
    expect(writes).toEqual([]);
  });
});
