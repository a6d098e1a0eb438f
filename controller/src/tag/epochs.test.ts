import { describe, expect, it } from 'vitest';
import { advance, type Epoch, nextChangeMs, present, rotated, untilMs } from './epochs.js';

const TIMES = { periodMs: 3600_000, overlapMs: 300_000, noticeMs: 30_000 };
const START = 1_800_000_000_000;

function keys() {
  let made = 0;
  return () => new Uint8Array(16).fill(++made);
}

const shown = (epochs: readonly Epoch[]) =>
  epochs.map(({ epoch, fromMs, key }) => [epoch - START / 1000, fromMs - START, key[0]]);

describe('advance', () => {
  it('from nothing, begins now and knows the next', () => {
    const epochs = advance([], START, TIMES, keys());
    expect(shown(epochs)).toEqual([
      [0, 0, 1],
      [1, TIMES.periodMs, 2],
    ]);
    expect(nextChangeMs(epochs, START, TIMES)).toBe(START + TIMES.periodMs);
    expect([untilMs(epochs, 0, TIMES), untilMs(epochs, 1, TIMES)]).toEqual([
      START + TIMES.periodMs + TIMES.overlapMs,
      0,
    ]);
  });

  it('before anything is due, is the same array', () => {
    const epochs = advance([], START, TIMES, keys());
    expect(advance(epochs, START + TIMES.periodMs - 1, TIMES, keys())).toBe(epochs);
  });

  it('hour by hour, keeps at most three: one before for the overlap, and always one to come', () => {
    const fresh = keys();
    let epochs = advance([], START, TIMES, fresh);
    for (let now = START; now < START + 20 * TIMES.periodMs; now = nextChangeMs(epochs, now, TIMES)) {
      epochs = advance(epochs, now, TIMES, fresh);
      const begun = present(epochs, now);
      const since = now - (epochs[begun]?.fromMs ?? 0);
      expect(epochs.length - 1 - begun).toBe(1);
      expect(begun).toBe(now > START && since < TIMES.overlapMs ? 1 : 0);
      expect(epochs.map(({ epoch }) => epoch)).toEqual(epochs.map((_, i) => (epochs[0]?.epoch ?? 0) + i));
      expect(nextChangeMs(epochs, now, TIMES)).toBeGreaterThan(now);
    }
    expect(epochs[0]?.epoch).toBe(START / 1000 + 19);
  });

  it('after days away, goes on with what hosts went on with', () => {
    const fresh = keys();
    const before = advance([], START, TIMES, fresh);
    const now = START + 72 * TIMES.periodMs;
    expect(shown(advance(before, now, TIMES, fresh))).toEqual([
      [1, TIMES.periodMs, 2],
      [2, 72 * TIMES.periodMs + TIMES.noticeMs, 3],
    ]);
  });

  it('a clock set back, leaves a present epoch', () => {
    const before = advance([], START, TIMES, keys());
    const back = START - 5 * TIMES.periodMs;
    const epochs = advance(before, back, TIMES, keys());
    expect(present(epochs, back)).toBe(0);
    expect(epochs[0]?.key).toEqual(before[0]?.key);
  });
});

describe('rotated', () => {
  it('the next epoch, comes after the notice with a key nobody knew', () => {
    const fresh = keys();
    const before = advance([], START, TIMES, fresh);
    const now = START + 1000;
    const epochs = rotated(before, now, TIMES, fresh);
    expect(shown(epochs)).toEqual([
      [0, 0, 1],
      [1, 1000 + TIMES.noticeMs, 3],
    ]);
    expect(untilMs(epochs, 0, TIMES)).toBe(now + TIMES.noticeMs + TIMES.overlapMs);
    const later = advance(epochs, now + TIMES.noticeMs, TIMES, fresh);
    expect(present(later, now + TIMES.noticeMs)).toBe(1);
    expect(later).toHaveLength(3);
  });
});
