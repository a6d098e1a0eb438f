import { expect, test } from 'vitest';
import { OpenReadings } from './open-readings.js';

const turned = (readings: OpenReadings, afterId: number, lastId: number, more = true) => [
  ...readings.turn(afterId, lastId, more),
];

test('rows of earlier pages are known through every row that took their place, over several pages', () => {
  const readings = new OpenReadings();
  expect(turned(readings, 0, 10)).toEqual([]);
  readings.note(21, 4);
  readings.note(22, 21);
  readings.note(40, 5);
  // Nobody has seen 15.
  readings.note(23, 15);
  expect(turned(readings, 10, 30)).toEqual([
    [22, 4],
    [40, 5],
  ]);
  readings.note(41, 22);
  readings.note(42, 40);
  expect(turned(readings, 30, 50, false)).toEqual([
    [41, 22],
    [42, 5],
  ]);
  expect(readings.size).toBe(0);
});

test('two readers at one place each get what was replaced', () => {
  const readings = new OpenReadings();
  readings.turn(0, 10, true);
  readings.turn(0, 10, true);
  readings.note(20, 3);
  expect(turned(readings, 10, 25)).toEqual([[20, 3]]);
  expect(turned(readings, 10, 12, false)).toEqual([[20, 3]]);
  expect(readings.size).toBe(1);
});

test('a reader that asks for nothing for a minute has left; one that came to its place meanwhile has not', () => {
  const clock = { now: 0 };
  const readings = new OpenReadings(() => clock.now);
  readings.turn(0, 10, true);
  readings.turn(0, 20, true);
  clock.now = 40_000;
  readings.turn(0, 10, true);
  clock.now = 61_000;
  readings.expire();
  readings.note(30, 5);
  expect(readings.size).toBe(1);
  expect(turned(readings, 20, 40, false)).toEqual([]);
  expect(turned(readings, 10, 40, false)).toEqual([[30, 5]]);
  clock.now = 101_000;
  readings.expire();
  expect(readings.size).toBe(0);
});

test('readers that never come back are forgotten, the oldest first', () => {
  const readings = new OpenReadings();
  for (let lastId = 1; lastId <= 1000; lastId += 1) readings.turn(0, lastId, true);
  expect(readings.size).toBe(512);
  for (let id = 10_000; id < 10_700; id += 1) readings.note(id, 900 - ((id - 10_000) % 800));
  expect(readings.size).toBeLessThan(512);
  readings.note(20_000, 1000);
  expect(turned(readings, 1000, 20_001)).toContainEqual([20_000, 1000]);
});
