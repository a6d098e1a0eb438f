import { expect, it } from 'vitest';
import { ManualTimers, settle } from '../testing/manual-timers.js';
import { Reconnector } from './reconnect.js';

function rig() {
  const timers = new ManualTimers();
  const ends: { resolve: () => void; reject: (e: Error) => void; established: () => void }[] = [];
  const waits: number[] = [];
  const errors: unknown[] = [];
  const reconnector = new Reconnector({
    connect: (established, signal) =>
      new Promise<void>((resolve, reject) => {
        ends.push({ resolve, reject, established });
        signal.addEventListener('abort', () => resolve());
      }),
    onEnd: (error, waitMs) => {
      waits.push(waitMs);
      errors.push(error);
    },
    backoff: { firstMs: 100, maxMs: 400 },
    timers,
    random: () => 1,
  });
  reconnector.start();
  return { timers, ends, waits, errors, reconnector };
}

it('Reconnector waits longer after each failure and anew after a connection that worked', async () => {
  const { timers, ends, waits, errors, reconnector } = rig();
  for (let i = 0; i < 4; i++) {
    ends.at(-1)?.reject(new Error(`no ${i}`));
    await settle();
    await timers.advance(waits.at(-1) ?? 0);
  }
  expect(waits).toEqual([100, 200, 400, 400]);
  expect(errors).toEqual([new Error('no 0'), new Error('no 1'), new Error('no 2'), new Error('no 3')]);
  ends.at(-1)?.established();
  ends.at(-1)?.resolve();
  await settle();
  expect(waits.at(-1)).toBe(100);
  expect(ends).toHaveLength(5);
  await timers.advance(99);
  expect(ends).toHaveLength(5);
  await timers.advance(1);
  expect(ends).toHaveLength(6);
  await reconnector.stop();
});

it('Reconnector hurries when asked, and stops in the middle of a wait', async () => {
  const { timers, ends, reconnector } = rig();
  ends[0]?.reject(new Error('no'));
  await settle();
  reconnector.hurry();
  await settle();
  expect(ends).toHaveLength(2);
  ends[1]?.reject(new Error('no'));
  await settle();
  await reconnector.stop();
  await timers.advance(10_000);
  expect(ends).toHaveLength(2);
});

it('Reconnector ends a live connection on stop', async () => {
  const { ends, reconnector } = rig();
  await reconnector.stop();
  expect(ends).toHaveLength(1);
});
