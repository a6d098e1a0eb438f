// Made-up traffic through the stitcher: whatever the order, the losses and the clocks, a connection is one row and nobody is mistaken for
// another. The same with a million records: bench/stitch. RINGFENCE_SEED tries another seed.
import { describe, expect, it } from 'vitest';
import { random } from '../../policy/testing/random.js';
import { Stitcher } from './stitcher.js';
import { judge, RowStore, replay } from './testing/judge.js';
import { Traffic, type TrafficOptions } from './testing/traffic.js';
import type { StitchOptions } from './types.js';

const SEEDS = process.env.RINGFENCE_SEED === undefined ? [1, 2] : [Number(process.env.RINGFENCE_SEED)];
const FLEET = { hosts: 24, containers: 6, perSecond: 800, delayMs: 8000, records: 40_000 };

function run(seed: number, options: Partial<TrafficOptions>, stitch: Partial<StitchOptions> = {}) {
  const traffic = new Traffic(random(seed), { ...FLEET, loss: 0, duplicates: 0, told: 1, ...options });
  const stitcher = new Stitcher({ mayBe: traffic.network.mayBe }, stitch);
  const store = new RowStore();
  const endMs = replay(traffic, stitcher, store, 250);
  stitcher.expire(endMs + 60_000);
  store.drain(stitcher);
  const examples: string[] = [];
  return { traffic, stitcher, examples, verdicts: judge(traffic, store, examples) };
}

describe.each(SEEDS)('seed %i', (seed) => {
  it('every connection that arrived whole is one row with both views, in any order, with repetitions', () => {
    const { stitcher, verdicts, examples } = run(seed, { duplicates: 0.02 });
    expect(examples).toEqual([]);
    expect(verdicts).toMatchObject({ mistaken: 0, doubled: 0, missing: 0, miscounted: 0 });
    // What a gateway without an agent moved to another port is given up in favour of the near side's record.
    expect(verdicts.both - verdicts.together).toBe(stitcher.counters.discarded);
    expect(verdicts.together).toBeGreaterThan(10_000);
    expect(stitcher.counters.duplicates).toBeGreaterThan(500);
    expect(stitcher.counters).toMatchObject({ overflowed: 0 });
  });

  it('losses cost views, never truth', () => {
    const { stitcher, verdicts } = run(seed, { loss: 0.05, duplicates: 0.02, told: 0.97 });
    expect(verdicts).toMatchObject({ mistaken: 0, doubled: 0, miscounted: 0 });
    expect(verdicts.missing).toBeLessThanOrEqual(stitcher.counters.discarded);
    expect(stitcher.counters.discarded).toBeLessThan(30);
  });

  it('nothing told of translations: what is ambiguous stays apart', () => {
    const { stitcher, verdicts } = run(seed, { told: 0, hosts: 4, containers: 12 });
    expect(verdicts).toMatchObject({ mistaken: 0, miscounted: 0 });
    expect(verdicts.missing).toBeLessThanOrEqual(stitcher.counters.discarded);
    expect(verdicts.together).toBeGreaterThan(0.98 * verdicts.both);
  });

  it('too small a window loses views and counts it, never records', () => {
    const { stitcher, verdicts } = run(seed, { records: 20_000 }, { entriesMax: 512 });
    expect(stitcher.counters.overflowed).toBeGreaterThan(0);
    expect(verdicts).toMatchObject({ mistaken: 0, missing: 0, miscounted: 0 });
    expect(stitcher.size).toBeLessThanOrEqual(512);
  });
});
