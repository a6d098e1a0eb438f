import { describe, expect, it } from 'vitest';
import {
  addressFromHex,
  addressHex,
  formatAddress,
  formatPrefix,
  isIpv4,
  mappedAddress,
  maskAddress,
  parseAddress,
  parsePrefix,
  prefixContains,
  prefixCovers,
  wireAddress,
} from './address.js';

const address = (text: string) => parseAddress(text) ?? new Uint8Array(0);
const prefix = (text: string) => {
  const parsed = parsePrefix(text);
  if ('problem' in parsed) throw new Error(parsed.problem);
  return parsed;
};

describe('parseAddress', () => {
  it.each([
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['fe80::1', 'fe80::1'],
  ])('reads %s', (text, canonical) => {
    expect(formatAddress(address(text))).toBe(canonical);
    expect(formatAddress(wireAddress(address(text)))).toBe(canonical);
    expect(addressFromHex(addressHex(address(text)))).toEqual(address(text));
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '0x7f.0.0.1',
    '2130706433',
    ':::',
    '1::2::3',
    'fe80::1%eth0',
    'host',
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it('maps IPv4, and refuses other lengths', () => {
    expect(addressHex(mappedAddress(Uint8Array.of(10, 0, 0, 1)))).toBe('00000000000000000000ffff0a000001');
    expect(isIpv4(address('10.0.0.1'))).toBe(true);
    expect(isIpv4(address('::a00:1'))).toBe(false);
    expect(() => mappedAddress(new Uint8Array(5))).toThrow('found 5 bytes, wanted 4 or 16');
  });
});

describe('prefixes', () => {
  it('count mapped bits and print as they were written', () => {
    expect(prefix('10.0.0.0/8').length).toBe(104);
    for (const text of ['10.0.0.0/8', '0.0.0.0/0', '::/0', '2001:db8::/33', '192.0.2.7/32', '::1/128']) {
      expect(formatPrefix(prefix(text))).toBe(text);
    }
    expect(formatPrefix(prefix('192.0.2.7'))).toBe('192.0.2.7/32');
  });

  it('contain by bits, at every length', () => {
    const inside = address('10.170.85.255');
    for (let length = 0; length <= 128; length += 1) {
      const outer = { address: maskAddress(inside, length), length };
      expect(prefixContains(outer, inside)).toBe(true);
      if (length === 0) continue;
      const other = maskAddress(inside, 128);
      const at = (length - 1) >> 3;
      other[at] = (other[at] ?? 0) ^ (0x80 >> ((length - 1) & 7));
      expect(prefixContains(outer, other), `length ${length}`).toBe(false);
    }
  });

  it('of IPv6 say nothing about IPv4, though the mapped bits lie inside', () => {
    expect(prefixContains(prefix('::/0'), address('10.0.0.1'))).toBe(true);
    expect(prefixCovers(prefix('::/0'), address('10.0.0.1'))).toBe(false);
    expect(prefixCovers(prefix('::/0'), address('2001:db8::1'))).toBe(true);
    expect(prefixCovers(prefix('0.0.0.0/0'), address('10.0.0.1'))).toBe(true);
  });
});
