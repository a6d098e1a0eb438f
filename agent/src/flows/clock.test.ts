import { expect, it } from 'vitest';
import { WallClock } from './clock.js';

it('WallClock converts by the distance of both clocks, follows a set clock and not its jitter', () => {
  let monotonicNs = 5_000_000_000n;
  let realtimeNs = 1_700_000_000_000_000_000n;
  const clock = new WallClock(() => ({ monotonicNs, realtimeNs }));
  expect(clock.toWallUs(4_000_000_000)).toBe(1_699_999_999_000_000);
  monotonicNs += 1_000_000_000n;
  realtimeNs += 1_001_500_000n; // 1.5 ms of sampling error
  clock.resample();
  expect(clock.toWallUs(4_000_000_000)).toBe(1_699_999_999_000_000);
  realtimeNs -= 3_600_000_000_000n; // someone set the clock back an hour
  clock.resample();
  expect(clock.jumps).toBe(1);
  expect(clock.toWallUs(6_000_000_000)).toBe(1_700_000_001_001_500 - 3_600_000_000);
  expect(clock.monotonicNs()).toBe(6_000_000_000);
});
