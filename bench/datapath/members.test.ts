import { describe, expect, it } from 'vitest';
import { median } from './measure.js';
import { memberAddresses } from './members.js';

describe('memberAddresses', () => {
  it.each([10, 1000, 100_000])('gives %i distinct addresses, the client among them, within 10.0.0.0/9', (count) => {
    const members = memberAddresses(count, '10.200.1.2');
    expect(members).toHaveLength(count);
    expect(new Set(members).size).toBe(count);
    expect(members).toContain('10.200.1.2');
    const others = members.filter((m) => m !== '10.200.1.2').map((m) => m.split('.').map(Number));
    expect(others.every((o) => o.length === 4 && o[0] === 10 && (o[1] ?? 128) < 128)).toBe(true);
  });
});

describe('median', () => {
  it('is the middle of odd, the mean of the middle two of even, NaN of none', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
  });
});
