// A real file, watched by the real inotify; nothing here waits for a clock.
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { utmpRecord } from '../testing/utmp-records.js';
import { systemTimers } from '../timers.js';
import { UtmpSource } from './utmp-source.js';

let dir: string;
let file: string;
let source: UtmpSource;
let seen: (readonly string[])[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-utmp-'));
  file = join(dir, 'utmp');
  seen = [];
});
afterEach(async () => {
  await source.stop();
  rmSync(dir, { recursive: true, force: true });
});

function follow(lives?: (pid: number) => boolean): void {
  source = new UtmpSource({ file, timers: systemTimers, ...(lives && { lives }) });
  source.start((users) => seen.push(users));
}

const until = (users: readonly string[]) => vi.waitFor(() => expect(seen.at(-1)).toEqual(users), { timeout: 10_000 });

test('no file is nobody; it is followed when it is made, written, replaced and removed', async () => {
  follow();
  await until([]);
  expect(source.problem).toBeUndefined();
  writeFileSync(file, utmpRecord({ user: 'anna' }));
  await until(['anna']);
  appendFileSync(file, utmpRecord({ user: 'ben' }));
  await until(['anna', 'ben']);
  writeFileSync(`${file}.new`, utmpRecord({ user: 'eve' }));
  renameSync(`${file}.new`, file);
  await until(['eve']);
  rmSync(file);
  await until([]);
});

test('a session whose process was killed is not there at the next look', async () => {
  writeFileSync(file, Buffer.concat([utmpRecord({ user: 'anna', pid: 4_194_399 }), utmpRecord({ user: 'ben' })]));
  follow();
  await until(['ben']);
});

test('rubbish, a directory in its place, and a huge file: the source goes on and says what is wrong', async () => {
  writeFileSync(file, Buffer.alloc(100_000, 0xa5));
  follow();
  await until([]);
  writeFileSync(file, Buffer.concat([Buffer.alloc(2_000_000, 7), utmpRecord({ user: 'late' })]));
  writeFileSync(join(dir, 'other'), 'not looked at');
  rmSync(file);
  mkdirSync(file);
  await vi.waitFor(() => expect(source.problem).toMatch(/found no regular file/), { timeout: 10_000 });
  expect(seen.at(-1)).toEqual([]);
  rmSync(file, { recursive: true });
  writeFileSync(file, utmpRecord({ user: 'anna' }));
  await until(['anna']);
  expect(source.problem).toBeUndefined();
});

test('without the directory it says so and what was known stands', async () => {
  file = join(dir, 'not', 'there', 'utmp');
  follow();
  await vi.waitFor(() => expect(source.problem).toMatch(/wanted its directory to watch/), { timeout: 30_000 });
  expect(seen).toEqual([]);
});
