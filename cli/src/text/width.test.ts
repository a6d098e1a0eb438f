import { expect, test } from 'vitest';
import { displayWidth, pad, truncate, wrap } from './width.js';

test.each([
  ['', 0],
  ['web-1', 5],
  ['wörk', 4],
  ['e\u0301', 1],
  ['数据库', 6],
  ['ｆｕｌｌ', 8],
  ['🚀', 2],
  ['👩‍👩‍👧', 2],
  ['🇩🇪', 2],
  ['a\u200bb', 2],
  ['한국', 4],
  ['…', 1],
])('displayWidth of %j is %i', (text, width) => {
  expect(displayWidth(text)).toBe(width);
});

test('truncate never exceeds the width and never splits a character', () => {
  for (const text of ['数据库-primary', 'plain-ascii-name', '👩‍👩‍👧-family', 'e\u0301e\u0301e\u0301e\u0301']) {
    for (let width = 0; width <= displayWidth(text) + 1; width++) {
      const cut = truncate(text, width);
      expect(displayWidth(cut)).toBeLessThanOrEqual(width);
      if (width >= displayWidth(text)) expect(cut).toBe(text);
    }
  }
  expect(truncate('数据库', 4)).toBe('数…');
});

test('pad fills by columns, not by characters', () => {
  expect(pad('数', 4)).toBe('数  ');
  expect(pad('7', 3, 'right')).toBe('  7');
  expect(pad('long', 2)).toBe('long');
});

test('wrap breaks at spaces, by columns, and keeps wide words whole', () => {
  expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
  expect(wrap('数据 数据', 5)).toEqual(['数据', '数据']);
  expect(wrap('a-very-long-word b', 4)).toEqual(['a-very-long-word', 'b']);
  expect(wrap('  kept as is', 20)).toEqual(['  kept as is']);
});
