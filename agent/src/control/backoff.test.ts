import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Backoff } from './backoff.js';

it('Backoff doubles to its bound and begins anew after success', () => {
  const backoff = new Backoff({ firstMs: 100, maxMs: 1000 }, () => 1);
  expect([1, 2, 3, 4, 5, 6].map(() => backoff.nextMs())).toEqual([100, 200, 400, 800, 1000, 1000]);
  expect(backoff.attempts).toBe(6);
  backoff.reset();
  expect(backoff.nextMs()).toBe(100);
});

it('Backoff never waits less than half its ceiling nor more than its bound', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { maxLength: 80 }), (draws) => {
      let at = 0;
      const backoff = new Backoff({ firstMs: 50, maxMs: 30_000 }, () => draws[at++] ?? 0);
      for (let i = 0; i < draws.length; i++) {
        const ceiling = Math.min(30_000, 50 * 2 ** Math.min(i, 30));
        const wait = backoff.nextMs();
        expect(wait).toBeGreaterThanOrEqual(Math.floor(ceiling / 2));
        expect(wait).toBeLessThanOrEqual(ceiling);
      }
    }),
  );
});
