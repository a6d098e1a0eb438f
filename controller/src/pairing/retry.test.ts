import { expect, test } from 'vitest';
import { RETRY, RetrySchedule } from './retry.js';

const MINUTE = 60_000;
/** Waits are exactly their ceilings. */
const schedule = () => new RetrySchedule({ ...RETRY, random: () => 1 });

test('a denial is due a minute later, then after two, four, … and each hour at last', () => {
  const retries = schedule();
  let now = 5_000_000;
  retries.set('w', 'exhausted', now);
  const waits: number[] = [];
  for (let i = 0; i < 9; i += 1) {
    const wait = retries.atMs('w') - now;
    waits.push(wait / MINUTE);
    expect(retries.due(now + wait - 1)).toEqual([]);
    now += wait;
    expect(retries.due(now)).toEqual(['w']);
    retries.asked('w', now);
    expect(retries.due(now)).toEqual([]);
  }
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
});

test('only what was asked for is decided without a change, and once per asking', () => {
  const retries = schedule();
  retries.set('w', 'unknown', 0);
  expect(retries.take('w')).toBe(false);
  retries.asked('w', MINUTE);
  expect([retries.take('w'), retries.take('w')]).toEqual([true, false]);
  expect(retries.take('other')).toBe(false);
});

test('the same denial again does not begin the wait anew; the end of it does, and forgets it', () => {
  const retries = schedule();
  retries.set('w', 'expired', 0);
  retries.asked('w', MINUTE);
  const at = retries.atMs('w');
  retries.set('w', 'revoked', 2 * MINUTE);
  expect(retries.atMs('w')).toBe(at);
  retries.set('w', undefined, 2 * MINUTE);
  expect([retries.size, retries.atMs('w'), retries.due(1e12)]).toEqual([0, 0, []]);
  retries.set('w', 'expired', 3 * MINUTE);
  expect(retries.atMs('w')).toBe(4 * MINUTE);
});

test('waits are spread over the second half of their ceiling', () => {
  const at = (random: number) => {
    const retries = new RetrySchedule({ ...RETRY, random: () => random });
    retries.set('w', 'missing', 0);
    return retries.atMs('w');
  };
  expect([at(0), at(0.5), at(1)]).toEqual([30_000, 45_000, 60_000]);
});
