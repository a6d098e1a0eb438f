// What the stitcher makes of hosts whose clocks are set while it runs.
import { Confidence, Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { describe, expect, it } from 'vitest';
import { Bench, type Seen } from './testing/records.js';

const BOTH = 3;
const { CONFIDENCE_EXACT: EXACT, CONFIDENCE_MAPPED: MAPPED, CONFIDENCE_SHARED: SHARED } = Confidence;
const near: Seen = {
  direction: Direction.DIRECTION_OUTBOUND,
  local: 'a/client',
  remote: 'b/web',
  localAt: '172.17.0.2:40000',
  remoteAt: '10.0.0.2:80',
  servicePort: 80,
  confidence: MAPPED,
};
const far: Seen = {
  direction: Direction.DIRECTION_INBOUND,
  local: 'b/web',
  remote: 'a/',
  localAt: '10.0.0.2:80',
  remoteAt: '10.0.0.1:40000',
  confidence: SHARED,
};
const behindA = { mayBe: (_host: string, _ip: Uint8Array, id: string) => id.startsWith('a/') };

describe('a clock that is set', () => {
  it.each([
    ['without a translation', -1],
    ['without a translation', -4.5],
    ['without a translation', 4.5],
    ['through one', -1],
    ['through one', 3],
    ['through one', -4.5],
  ])('costs views for a while, not for good: %s, by %d s', (way, byS) => {
    const bench = new Bench(behindA);
    const plain = way !== 'through one';
    const pair = (i: number, shiftS: number): [Seen, Seen] => {
      const [first, port] = [100 + i, 20_000 + i];
      const source = plain ? '10.0.0.1' : '172.17.0.2';
      const seen = { remoteAt: `10.0.0.1:${port}`, first: first + shiftS, last: first + shiftS };
      return [
        { ...near, localAt: `${source}:${port}`, first, last: first },
        { ...far, ...seen, ...(plain ? { remote: 'a/client', confidence: EXACT } : {}) },
      ];
    };
    const run = (from: number, to: number, shiftS: number) => {
      for (let i = from; i < to; i += 1) {
        bench.take(...pair(i, shiftS));
        bench.pass(1000);
      }
    };
    run(0, 20, 0.001);
    expect(bench.rows().every(({ views }) => views === BOTH)).toBe(true);
    run(20, 150, byS);
    bench.pass(15_000);
    const rows = bench.rows();
    expect(rows.slice(-50).filter(({ views }) => views === BOTH)).toHaveLength(50);
  });
});
