import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StoreDriver } from './driver.js';
import { PersistentNumbers } from './numbers.js';
import { openSqlite } from './sqlite.js';
import { StateStore } from './state-store.js';

let dir: string;
let driver: StoreDriver;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-numbers-'));
  driver = openSqlite(join(dir, 'db'));
});
afterEach(() => {
  driver.close();
  rmSync(dir, { recursive: true, force: true });
});

test('saved numbers are the same after a restart, and a released one is never handed out again', async () => {
  const numbers = new PersistentNumbers(new StateStore(driver), 'identity');
  expect([numbers.numberOf('a'), numbers.numberOf('b'), numbers.numberOf('a')]).toEqual([1, 2, 1]);
  await numbers.save();
  numbers.release('b');
  await numbers.save();

  const again = new PersistentNumbers(new StateStore(driver), 'identity');
  expect(again.numberOf('a')).toBe(1);
  expect(again.numberOf('b')).toBe(3);
  expect(again.numberOf('c')).toBe(4);
});

test('trial numbers leave no trace', async () => {
  const numbers = new PersistentNumbers(new StateStore(driver), 'rule');
  numbers.numberOf('a');
  const trial = numbers.trial();
  expect([trial.numberOf('a'), trial.numberOf('x'), trial.numberOf('y'), trial.numberOf('x')]).toEqual([1, 2, 3, 2]);
  expect(numbers.numberOf('b')).toBe(2);
  await numbers.save();
  expect([...new StateStore(driver).table('rule').keys()]).toEqual(['a', 'b']);
});
