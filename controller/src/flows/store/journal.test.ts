// The journal by itself: what was written is read, what is not whole is not.
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Journal, journalBase } from './journal.js';
import type { JournalEntry } from './journal-entry.js';
import { unpackColumns } from './packed-batch.js';
import { syntheticMessage } from './synthetic.js';

let dir: string;
let base: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-journal-'));
  base = journalBase(join(dir, 'flows.duckdb'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const COUNT = 7;
const GAP = { hop: 'ring', hostId: 'h1', count: 3, fromUs: 5, untilUs: 9 };

function entry(serial: number): JournalEntry {
  const place = { firstId: serial * COUNT, sequence: BigInt(serial), count: COUNT, startUs: 1e15 + serial };
  const message = syntheticMessage({ ...place, workloads: 5 });
  const more = {
    serial,
    replaced: Float64Array.from([serial * COUNT - 1, 2 ** 40]),
    gaps: [GAP],
    loss: [1n, 2n ** 60n],
  };
  const columns = unpackColumns(message.bytes, COUNT);
  return { batch: { ...message, ...more, columns, ends: message.freshEnds }, bytes: message.bytes };
}

const files = () => readdirSync(dir).sort();
const path = (place: number) => join(dir, files()[place] ?? '');
const serials = () => Journal.read(base, 'line').batches.map(({ serial }) => serial);

test('what was written is read: heads, columns, ends by the places that the records name', () => {
  const journal = new Journal(base, 'line', 0);
  journal.write([entry(1), entry(2)]);
  journal.write([entry(3)]);
  const read = Journal.read(base, 'line').batches;
  expect(read).toHaveLength(3);
  read.forEach((batch, i) => {
    const { batch: wanted } = entry(i + 1);
    const { ends, columns, ...head } = batch;
    expect(head).toEqual(
      expect.objectContaining({
        serial: i + 1,
        hostId: 'h1',
        sequence: BigInt(i + 1),
        gaps: [GAP],
        strings: wanted.strings,
      }),
    );
    expect([...batch.replaced]).toEqual([...wanted.replaced]);
    expect(batch.loss).toEqual([1n, 2n ** 60n]);
    const named = (from: typeof batch, name: string) => {
      const bytes = from.columns[name] as Uint8Array;
      return [...new Uint32Array(bytes.buffer, bytes.byteOffset, COUNT)].map((place) => from.ends[place]?.workloadId);
    };
    for (const name of ['local_end', 'remote_end']) expect(named(batch, name)).toEqual(named(wanted, name));
    for (const name of ['first_us', 'remote_ip_b', 'local_port', 'verdict']) {
      expect(Buffer.from(columns[name] as Uint8Array).equals(Buffer.from(wanted.columns[name] as Uint8Array))).toBe(
        true,
      );
    }
  });
});

test('an entry that is cut off or changed ends the reading of its file, at every byte', () => {
  const journal = new Journal(base, 'line', 0);
  journal.write([entry(1)]);
  const whole = readFileSync(path(0)).length;
  journal.write([entry(2)]);
  journal.close();
  const bytes = readFileSync(path(0));
  for (let cut = whole; cut < bytes.length; cut += 13) {
    truncateSync(path(0), cut);
    expect(serials()).toEqual([1]);
    writeFileSync(path(0), bytes);
  }
  for (let at = whole; at < bytes.length; at += 37) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 0x10;
    writeFileSync(path(0), changed);
    expect(serials()).toEqual([1]);
  }
  writeFileSync(path(0), bytes);
  appendFileSync(path(0), Buffer.alloc(100));
  expect(serials()).toEqual([1, 2]);
});

test('files follow each other, each can be read by itself, and leave when all of theirs is released', () => {
  const journal = new Journal(base, 'line', 0, 3000);
  for (let serial = 1; serial <= 9; serial += 1) journal.write([entry(serial)]);
  const before = files().length;
  expect(before).toBeGreaterThan(2);
  expect(serials()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  journal.release(6);
  expect(files().length).toBeLessThan(before);
  const left = serials();
  expect(left.slice(-3)).toEqual([7, 8, 9]);
  journal.close();
  // Another process: it begins a file of its own, and lets go of what was there when told.
  const next = new Journal(base, 'line', 9, 3000);
  next.write([entry(10)]);
  expect(serials()).toEqual([...left, 10]);
  next.release(9);
  expect(serials()).toEqual([10]);
  next.remove();
  expect(files()).toEqual([]);
});

test('files of another store are set aside, not read', () => {
  const journal = new Journal(base, 'other', 0);
  journal.write([entry(1)]);
  journal.close();
  const { batches, foreign } = Journal.read(base, 'line');
  expect([batches.length, foreign.map(({ serial }) => serial)]).toEqual([0, [1]]);
  expect(Journal.read(base, 'line').foreign).toEqual([]);
  expect(files().map((name) => name.endsWith('.foreign'))).toEqual([true]);
});
