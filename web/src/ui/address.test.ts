import { expect, test } from 'vitest';
import { readAddress } from './address.js';
import { address } from './format.js';

test('readAddress reads what address() writes, and every form of IPv6', () => {
  for (const text of ['10.0.0.1', '255.255.255.255', '2001:db8::1', '::1', 'fe80::1:2:3:4'])
    expect(address(readAddress(text) ?? new Uint8Array())).toBe(text);
  expect([...(readAddress('2001:DB8:0:0:0:0:0:1') ?? [])]).toEqual([...(readAddress('2001:db8::1') ?? [])]);
  expect([...(readAddress('::ffff:10.0.0.1') ?? [])].slice(10)).toEqual([255, 255, 10, 0, 0, 1]);
});

test('readAddress refuses what is no address', () => {
  for (const text of [
    '',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '10.0.0.1/8',
    '1:2',
    ':::',
    'fe80::1%eth0',
    'host',
    '1::2::3',
  ])
    expect(readAddress(text), text).toBeUndefined();
});
