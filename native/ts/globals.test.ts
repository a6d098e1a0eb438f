import { describe, expect, test } from 'vitest';
import { encodeVariable } from './globals.js';
import type { VariableValue } from './object.js';
import { thrownBy } from './test-support.js';

const at = (size: number, value: VariableValue): number[] => [
  ...encodeVariable({ name: 'x', section: '.rodata', offset: 24, size }, 'x', '.rodata', value).bytes,
];

describe('encodeVariable', () => {
  test('numbers of every width are little-endian', () => {
    expect(at(1, 255)).toEqual([255]);
    expect(at(2, 0x1234)).toEqual([0x34, 0x12]);
    expect(at(4, 0xdeadbeef)).toEqual([0xef, 0xbe, 0xad, 0xde]);
    expect(at(8, 1n << 63n)).toEqual([0, 0, 0, 0, 0, 0, 0, 0x80]);
    expect(at(1, true)).toEqual([1]);
  });

  test('negative numbers are two’s complement of the width', () => {
    expect(at(1, -1)).toEqual([255]);
    expect(at(4, -2)).toEqual([0xfe, 255, 255, 255]);
    expect(at(2, -32768)).toEqual([0, 0x80]);
  });

  test.each<[number, VariableValue]>([
    [1, 256],
    [1, -129],
    [4, 2 ** 32],
    [8, 1n << 64n],
    [4, 1.5],
    [4, Number.NaN],
    [8, 2 ** 60],
    [16, 1],
    [3, new Uint8Array(4)],
  ])('%i bytes refuse %s', (size, value) => {
    thrownBy(() => at(size, value), 'RF_ARGUMENT');
  });

  test('an unknown variable is RF_NOT_FOUND and named', () => {
    const error = thrownBy(() => encodeVariable(undefined, 'typo', '.rodata', 1), 'RF_NOT_FOUND');
    expect(error.message).toContain('typo');
    expect(error.fields).toEqual({ name: 'typo', section: '.rodata' });
  });
});
