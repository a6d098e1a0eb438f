// Chains against sets, and what one long chain costs.
import { expect, test } from 'vitest';
import { Chains } from './chains.js';

function slotsOf(chains: Chains, hash: number): number[] {
  const slots: number[] = [];
  for (let slot = chains.first(hash); slot >= 0; slot = chains.after(slot, hash)) slots.push(slot);
  return slots;
}

test('what was added and not removed is found under its hash, at random and over growing', () => {
  let state = 11;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let slots = 16;
  const chains = new Chains(slots);
  const hashes = new Map<number, number>();
  for (let step = 0; step < 20_000; step += 1) {
    const slot = random(slots);
    if (hashes.delete(slot)) chains.remove(slot);
    else {
      // A few hashes, some of which share a chain.
      const hash = [3, 3 + 4096, 7, 90_001][random(4)] as number;
      hashes.set(slot, hash);
      chains.add(slot, hash);
    }
    if (step % 5000 === 4999) {
      slots *= 4;
      chains.grow(slots, (each) => hashes.has(each));
    }
    if (step % 50 !== 0) continue;
    for (const hash of [3, 3 + 4096, 7, 90_001]) {
      const wanted = [...hashes].filter(([, each]) => each === hash).map(([each]) => each);
      expect(slotsOf(chains, hash).sort((a, b) => a - b)).toEqual(wanted.sort((a, b) => a - b));
    }
  }
});

test('the oldest of a long chain leave as cheaply as the newest', { timeout: 60_000 }, () => {
  // 250,000 connections to one service: walked from the front to each of them this would be 3 * 10^10 steps, minutes.
  const count = 250_000;
  const chains = new Chains(count);
  for (let slot = 0; slot < count; slot += 1) chains.add(slot, 7);
  for (let slot = 0; slot < count; slot += 1) chains.remove(slot);
  expect(chains.first(7)).toBe(-1);
});
