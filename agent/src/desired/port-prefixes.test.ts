import { describe, expect, it } from 'vitest';
import { coverRange, portPrefixes } from './port-prefixes.js';
import { Dice } from './testing/random-state.js';

const entry = (protocol: number, portLow: number, portHigh: number) => ({
  protocol,
  portLow,
  portHigh,
  rule: 1,
  allow: true,
  constraints: 0,
});

/** Ports inside the blocks, by the kernel's rule: leading bits equal. */
function covered(blocks: readonly { port: number; bits: number }[], port: number): boolean {
  return blocks.some((block) => block.bits === 0 || port >>> (16 - block.bits) === block.port >>> (16 - block.bits));
}

describe('coverRange', () => {
  it.each([
    [0, 65535, 1],
    [80, 80, 1],
    [1, 65534, 30],
    [8000, 8080, 3],
    [1024, 65535, 6],
    [32768, 65535, 1],
  ])('%i to %i, gives %i blocks, the fewest', (low, high, count) => {
    expect(coverRange(low, high)).toHaveLength(count);
  });

  it('for random ranges, covers both edges and nothing beside them, without overlap', () => {
    const dice = new Dice(11);
    for (let i = 0; i < 400; i += 1) {
      const low = dice.below(0x10000);
      const high = low + dice.below(0x10000 - low);
      const blocks = coverRange(low, high);
      for (const port of [low, high, low + dice.below(high - low + 1)]) expect(covered(blocks, port)).toBe(true);
      if (low > 0) expect(covered(blocks, low - 1)).toBe(false);
      if (high < 0xffff) expect(covered(blocks, high + 1)).toBe(false);
      expect(blocks.reduce((sum, { bits }) => sum + 2 ** (16 - bits), 0)).toBe(high - low + 1);
    }
  });
});

describe('portPrefixes', () => {
  it('any protocol, whole protocol and range, rank by prefix length', () => {
    expect(portPrefixes(entry(256, 0, 0xffff))).toEqual([{ prefixLength: 32, protocol: 0, port: 0 }]);
    expect(portPrefixes(entry(6, 0, 0xffff))).toEqual([{ prefixLength: 40, protocol: 6, port: 0 }]);
    expect(portPrefixes(entry(17, 53, 53))).toEqual([{ prefixLength: 64, protocol: 17, port: 53 }]);
  });

  it('ICMP type with every code, is one prefix of its type byte', () => {
    expect(portPrefixes(entry(1, 8 * 256, 8 * 256 + 255))).toEqual([{ prefixLength: 56, protocol: 1, port: 2048 }]);
  });
});
