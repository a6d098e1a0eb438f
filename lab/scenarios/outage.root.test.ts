// Issue 6, must show 4, in little: the controller is killed under traffic, stays away until spools have filled, comes back, is killed again while
// it catches up. Ten minutes of it: `make bench BENCH=outage`.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Fleet } from '../src/fleet.js';
import { OUTAGE_HOSTS, outage } from '../src/outage.js';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await Fleet.start(OUTAGE_HOSTS);
});
afterAll(() => fleet?.close());

it('the controller is killed twice under traffic: every record arrives once', { timeout: 240_000 }, async () => {
  const result = await outage(fleet, { seconds: 5, rate: 400, seed: 6, say: () => {} });
  expect(result.problems.slice(0, 3)).toEqual([]);
  expect(result.problems).toHaveLength(0);
  expect(result.connections).toBe(400 * 11);
  expect(result.spooledBytes).toBeGreaterThan(100_000);
});
