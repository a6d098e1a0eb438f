import { expect, test } from 'vitest';
import { CloneWatch } from './clones.js';

const origin = (run: string, address = '10.0.0.1') => ({ run, machineId: 'm', address });

test('restarts and reconnects of one agent are no clone', () => {
  const watch = new CloneWatch();
  let nowMs = 0;
  for (const run of ['a', 'a', 'b', 'b', 'c']) {
    nowMs += 30_000;
    expect(watch.onStream(origin(run), true, nowMs)).toBeUndefined();
  }
});

test('an earlier run that comes back is a clone, with both places', () => {
  const watch = new CloneWatch();
  watch.onStream(origin('a', '10.0.0.1'), false, 0);
  expect(watch.onStream(origin('b', '10.0.0.2'), true, 1)).toBeUndefined();
  expect(watch.onStream(origin('a', '10.0.0.1'), true, 2)).toBe('two agents that take turns, at 10.0.0.2 and 10.0.0.1');
});

test('streams of one run that replace live ones again and again are a clone; a quiet minute forgets', () => {
  const watch = new CloneWatch();
  for (let i = 0; i < 3; i += 1) expect(watch.onStream(origin(''), true, i)).toBeUndefined();
  expect(watch.onStream(origin(''), true, 4)).toMatch(/^4 live streams replaced within a minute/);
  expect(watch.onStream(origin(''), true, 61_000)).toBeUndefined();
});
