import { expect, test } from 'vitest';
import { jsonLine, jsonText } from './json.js';
import { sanitize } from './sanitize.js';
import { chooseStyle, coloured, plain } from './style.js';
import { ago, clockFromUs, duration, isoFromMs, isoFromUs, size } from './time.js';

test('sanitize shows control characters and direction overrides, keeps all other text', () => {
  expect(sanitize('web-数据 é')).toBe('web-数据 é');
  expect(sanitize('a\u001b]0;x\u0007b\rc\nd\te')).toBe('a\\x1b]0;x\\x07b\\x0dc\\nd\\te');
  expect(sanitize('txt.\u202eexe')).toBe('txt.\\u202eexe');
  expect(sanitize('\u009b31m')).toBe('\\x9b31m');
});

test('JSON keeps all digits of 64-bit integers as numbers', () => {
  expect(jsonLine({ id: 18_446_744_073_709_551_615n })).toBe('{"id":18446744073709551615}');
  expect(jsonText({ a: [1n] })).toBe('{\n  "a": [\n    1\n  ]\n}');
});

test('chooseStyle: colour on a terminal only; --no-color and NO_COLOR win over everything', () => {
  expect(chooseStyle(true, {}, true)).toBe(coloured);
  expect(chooseStyle(false, {}, true)).toBe(plain);
  expect(chooseStyle(true, { NO_COLOR: '1' }, true)).toBe(plain);
  expect(chooseStyle(true, { NO_COLOR: '' }, true)).toBe(coloured);
  expect(chooseStyle(true, { TERM: 'dumb' }, true)).toBe(plain);
  expect(chooseStyle(true, { FORCE_COLOR: '1' }, false)).toBe(plain);
  expect(chooseStyle(false, { FORCE_COLOR: '1' }, true)).toBe(coloured);
  expect(chooseStyle(false, { FORCE_COLOR: '1', NO_COLOR: '1' }, true)).toBe(plain);
});

test('times: RFC 3339 with the precision there is, null for never', () => {
  expect(isoFromUs(1_772_352_902_123_456n)).toBe('2026-03-01T08:15:02.123456Z');
  expect(isoFromMs(1_772_352_902_123n)).toBe('2026-03-01T08:15:02.123Z');
  expect([isoFromMs(0n), isoFromUs(0n)]).toEqual([null, null]);
  expect(clockFromUs(1_772_352_902_123_456n, 1_772_352_902_123)).toMatch(/^\d{2}:\d{2}:02\.123$/);
});

test.each([
  [0, '0s'],
  [999, '0s'],
  [61_000, '1m1s'],
  [60_000, '1m'],
  [3_600_000, '1h'],
  [90_061_000, '1d1h'],
  [86_400_000 + 5000, '1d'],
])('duration of %i ms is %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test('ago knows never, the past, and what is to come', () => {
  expect(ago(0n, 5000)).toBe('never');
  expect(ago(1000n, 61_000)).toBe('1m ago');
  expect(ago(61_000n, 1000)).toBe('in 1m');
});

test('size uses binary units', () => {
  expect([size(0n), size(1023n), size(1536n), size(20_971_520n)]).toEqual(['0 B', '1023 B', '1.5 KiB', '20 MiB']);
});
