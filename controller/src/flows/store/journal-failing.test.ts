// A journal on a disk that takes some writes and refuses others.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Journal, journalBase } from './journal.js';
import type { JournalEntry } from './journal-entry.js';
import { unpackColumns } from './packed-batch.js';
import { syntheticMessage } from './synthetic.js';

const disk = vi.hoisted(() => ({ refuses: false }));
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const fdatasyncSync = (descriptor: number) => {
    if (disk.refuses) throw new Error('EIO');
    fs.fdatasyncSync(descriptor);
  };
  return { ...fs, fdatasyncSync };
});

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-journal-'));
  disk.refuses = false;
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function entry(serial: number): JournalEntry {
  const message = syntheticMessage({ firstId: serial * 10, sequence: BigInt(serial), count: 10, startUs: 1e15 });
  const columns = unpackColumns(message.bytes, 10);
  return { batch: { ...message, serial, columns, ends: message.freshEnds }, bytes: message.bytes };
}

test('refused writes leave no files behind, and nothing that was taken is lost with them', () => {
  const base = journalBase(join(dir, 'flows.duckdb'));
  const journal = new Journal(base, 'line', 0);
  journal.write([entry(1)]);
  disk.refuses = true;
  for (let serial = 2; serial < 50; serial += 1) expect(() => journal.write([entry(serial)])).toThrow('EIO');
  // The file of the first entry.
  expect(readdirSync(dir)).toHaveLength(1);
  disk.refuses = false;
  journal.write([entry(50)]);
  expect(Journal.read(base, 'line').batches.map(({ serial }) => serial)).toEqual([1, 50]);
  journal.release(1);
  expect(Journal.read(base, 'line').batches.map(({ serial }) => serial)).toEqual([50]);
  journal.remove();
  expect(readdirSync(dir)).toEqual([]);
});
