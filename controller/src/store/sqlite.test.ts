import { spawn } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sourceArguments } from '../testing/run-source.js';
import { StoreError } from './driver.js';
import { openSqlite } from './sqlite.js';

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-store-'));
  file = join(dir, 'controller.db');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof StoreError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'no error';
}

test('commit writes all records and change lines under one revision, and they are there after reopening', async () => {
  const db = openSqlite(file);
  expect(db.status().revision).toBe(0);
  const { revision: first } = await db.commit([
    { kind: 'host', key: 'b', value: '{"n":2}' },
    { kind: 'host', key: 'a', value: '{"n":1}' },
  ]);
  const { revision: second } = await db.commit([{ kind: 'host', key: 'a', value: undefined }]);
  expect([first, second]).toEqual([1, 2]);
  db.close();

  const again = openSqlite(file);
  expect([...again.load('host')]).toEqual([{ key: 'b', value: '{"n":2}', revision: 1 }]);
  expect(again.changes(0, 10)).toEqual([
    { revision: 1, kind: 'host', key: 'b', op: 'set' },
    { revision: 1, kind: 'host', key: 'a', op: 'set' },
    { revision: 2, kind: 'host', key: 'a', op: 'delete' },
  ]);
  expect(again.changes(1, 10)).toHaveLength(1);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  again.close();
});

test('a commit with one bad write leaves nothing of it behind', async () => {
  const db = openSqlite(file);
  const bad = [
    { kind: 'host', key: 'a', value: '1' },
    { kind: 'host', key: null as unknown as string, value: '1' },
  ];
  await expect(db.commit(bad)).rejects.toThrow(/Cannot write database .*NOT NULL/);
  expect([...db.load('host')]).toEqual([]);
  expect(db.status().revision).toBe(0);
  db.close();
});

test('a second opener is refused while the first has the database', () => {
  const db = openSqlite(file);
  expect(codeOf(() => openSqlite(file))).toMatch(/^RF_STORE_LOCKED: Cannot open database .*another process/);
  db.close();
  openSqlite(file).close();
});

test('a truncated database is refused, whatever is left of it', async () => {
  const db = openSqlite(file);
  for (let i = 0; i < 50; i++) await db.commit([{ kind: 'k', key: `${i}`, value: 'x'.repeat(2000) }]);
  db.close();
  const size = statSync(file).size;
  for (const left of [size - 4096, Math.floor(size / 2), 5000, 100, 0]) {
    const copy = join(dir, `cut-${left}.db`);
    copyFileSync(file, copy);
    truncateSync(copy, left);
    expect(
      codeOf(() => openSqlite(copy)),
      `${left} of ${size} bytes`,
    ).toMatch(/^RF_STORE_CORRUPT: Cannot open database .*restore a backup$/);
    expect(statSync(copy).size, 'left untouched').toBe(left);
  }
});

test('overwritten pages and foreign files are refused', async () => {
  const db = openSqlite(file);
  for (let i = 0; i < 50; i++) await db.commit([{ kind: 'k', key: `${i}`, value: 'x'.repeat(2000) }]);
  db.close();
  const fd = openSync(file, 'r+');
  writeSync(fd, Buffer.alloc(8192, 0xa5), 0, 8192, 8192);
  closeSync(fd);
  expect(codeOf(() => openSqlite(file))).toMatch(/^RF_STORE_CORRUPT/);

  const text = join(dir, 'text.db');
  writeFileSync(
    text,
    'this is no database at all, but it is long enough to have a header of one hundred bytes or more...........',
  );
  expect(codeOf(() => openSqlite(text))).toMatch(/^RF_STORE_CORRUPT/);

  const foreign = join(dir, 'foreign.db');
  const other = new Database(foreign);
  other.exec('CREATE TABLE t (x)');
  other.close();
  expect(codeOf(() => openSqlite(foreign))).toMatch(/^RF_STORE_CORRUPT: .*another program/);
});

test('a database of a newer schema is refused and left as it is', () => {
  openSqlite(file).close();
  const db = new Database(file);
  db.pragma('user_version = 999');
  db.close();
  expect(codeOf(() => openSqlite(file))).toMatch(/^RF_STORE_NEWER: .*found schema 999, wanted at most/);
});

test('backup of a store in use opens as a store', async () => {
  const db = openSqlite(file);
  await db.commit([{ kind: 'k', key: 'a', value: '1' }]);
  const copy = join(dir, 'backup.db');
  await db.backup(copy);
  await db.commit([{ kind: 'k', key: 'b', value: '2' }]);
  const restored = openSqlite(copy);
  expect([...restored.load('k')].map((r) => r.key)).toEqual(['a']);
  restored.close();
  db.close();
});

test('kill -9 in the middle of writes keeps every acknowledged commit and no half of one', {
  timeout: 60_000,
}, async () => {
  for (let round = 0; round < 3; round++) {
    const path = join(dir, `killed-${round}.db`);
    const acknowledged = await killAfter(path, 20 + round * 37);
    const db = openSqlite(path);
    const keys = new Set([...db.load('k')].map((record) => record.key));
    db.close();
    for (let i = 0; i <= acknowledged; i++) expect(keys.has(`a${i}`) && keys.has(`b${i}`), `commit ${i}`).toBe(true);
    // What was written but not acknowledged is there as a whole or not at all.
    expect(keys.size % 2).toBe(0);
  }
});

/** Runs a writer, kills it once it has acknowledged `count` commits, and resolves with the last number that it printed. */
async function killAfter(path: string, count: number): Promise<number> {
  const script = fileURLToPath(new URL('../testing/commit-forever.ts', import.meta.url));
  const child = spawn(process.execPath, sourceArguments(script, [path]), { stdio: ['ignore', 'pipe', 'inherit'] });
  let last = -1;
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line);
    if (last === count) child.kill('SIGKILL');
  }
  expect(last).toBeGreaterThanOrEqual(count);
  return last;
}
