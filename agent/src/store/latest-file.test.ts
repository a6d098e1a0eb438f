import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LatestFile } from './latest-file.js';

const base = mkdtempSync(join(tmpdir(), 'rfag-latest-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));

test('writes what is asked for; of what waits, only the newest, made when its turn comes', async () => {
  const path = join(base, 'a', 'state');
  const file = new LatestFile(path);
  const made: number[] = [];
  const content = (n: number) => () => {
    made.push(n);
    return `value ${n}`;
  };
  const first = file.write(content(1));
  await Promise.resolve().then(() => undefined);
  const rest = [2, 3, 4].map((n) => file.write(content(n)));
  await first;
  expect(made[0]).toBe(1);
  await Promise.all(rest);
  expect(made).toEqual([1, 4]);
  expect(readFileSync(path, 'utf8')).toBe('value 4');
  expect(readdirSync(join(base, 'a'))).toEqual(['state']);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('a leftover of a crash is in nobody’s way, and lends nobody its mode', async () => {
  const path = join(base, 'left');
  writeFileSync(`${path}.new`, 'half a', { mode: 0o644 });
  await new LatestFile(path).write(() => 'whole');
  expect([readFileSync(path, 'utf8'), statSync(path).mode & 0o777]).toEqual(['whole', 0o600]);
});

test('what cannot be written is told to who asked, leaves the file alone, and the next may go well', async () => {
  const directory = join(base, 'refused');
  const path = join(directory, 'state');
  const file = new LatestFile(path);
  await file.write(() => 'old');
  const failed = file.write(() => {
    throw new Error('no such value');
  });
  await expect(failed).rejects.toThrow('no such value');
  expect(readFileSync(path, 'utf8')).toBe('old');
  // A directory where the new file should go: also root cannot write that.
  mkdirSync(join(`${path}.new`, 'x'), { recursive: true });
  chmodSync(`${path}.new`, 0o500);
  await expect(file.write(() => 'newer')).rejects.toThrow(/state\.new/);
  expect(readFileSync(path, 'utf8')).toBe('old');
  rmSync(`${path}.new`, { recursive: true });
  await file.write(() => 'newest');
  expect(readFileSync(path, 'utf8')).toBe('newest');
});
