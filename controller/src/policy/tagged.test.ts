import { expect, it } from 'vitest';
import { candidatesByTag } from './tagged.js';

it('a tag of one behind the address, leaves those of that identity', () => {
  expect(candidatesByTag([3, 5, 5, 7], (identity) => identity === 5)).toEqual([5, 5]);
});

it('a tag of nobody behind the address, changes nothing', () => {
  const candidates = [3, 5];
  expect(candidatesByTag(candidates, (identity) => identity === 9)).toBe(candidates);
});
