import { expect, test } from 'vitest';
import { PromptBudget } from './prompt-budget.js';

test('a quiet host may flush at once, a busy one as often as it is allowed', () => {
  const budget = new PromptBudget({ perSecond: 4, burst: 8 }, 0);
  const taken = (fromMs: number, toMs: number, stepMs: number) => {
    let count = 0;
    for (let ms = fromMs; ms < toMs; ms += stepMs) if (budget.take(ms * 1e6)) count += 1;
    return count;
  };
  expect(taken(0, 10, 1)).toBe(8);
  // Ten seconds of events each 10 ms.
  const steady = taken(10, 10_010, 10);
  expect(steady).toBeGreaterThanOrEqual(38);
  expect(steady).toBeLessThanOrEqual(40);
  // After a minute of silence no more than a burst.
  expect(taken(70_000, 70_010, 1)).toBe(8);
});

test('refused, it says when the next one may leave', () => {
  const budget = new PromptBudget({ perSecond: 4, burst: 2 }, 0);
  expect([budget.take(0), budget.take(0), budget.take(50e6)]).toEqual([true, true, false]);
  expect(budget.waitMs).toBe(200);
  expect([budget.take(249e6), budget.take(250e6)]).toEqual([false, true]);
  expect(budget.waitMs).toBe(250);
});

test('with none a second nothing leaves early', () => {
  const budget = new PromptBudget({ perSecond: 0, burst: 8 }, 0);
  expect([1e9, 5e9, 1e12].some((ns) => budget.take(ns))).toBe(false);
  expect(budget.waitMs).toBeUndefined();
});
