import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import { SegmentFile } from './segment-file.js';
import { FlowSpool } from './spool.js';
import { FlowUploader } from './uploader.js';

/** Syncs of file content that were begun and not answered: a disk that takes its time. */
const disk = vi.hoisted(() => ({ waiting: [] as ((error: Error | null) => void)[], fails: false }));
vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  fdatasync: (_: number, done: (error: Error | null) => void) => disk.waiting.push(done),
  fsync: (_: number, done: (error: Error | null) => void) => done(null),
  fdatasyncSync: () => {
    if (disk.fails) throw new Error('EIO: i/o error, fdatasync');
  },
}));

const base = mkdtempSync(join(tmpdir(), 'rfag-segment-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let made = 0;
const newFile = () => join(base, `${++made}.allow`);
beforeEach(() => {
  disk.waiting = [];
});

/** Descriptors of this process below the directory. */
function openFiles(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(base);
    } catch {
      return false; // the one that lists them
    }
  }).length;
}

function answer(error: Error | null = null): void {
  disk.waiting.shift()?.(error);
}

test('what comes during a sync is for the next one, and an end waits for both before it closes', () => {
  const problems: (string | undefined)[] = [];
  const path = newFile();
  const file = new SegmentFile(path, (problem) => problems.push(problem));
  file.append(Buffer.from('ab'));
  file.sync();
  file.append(Buffer.from('cd'));
  file.sync();
  expect(disk.waiting).toHaveLength(1);
  file.end();
  expect(disk.waiting).toHaveLength(1);
  answer();
  expect([disk.waiting.length, openFiles()]).toEqual([1, 1]);
  answer();
  expect([disk.waiting.length, openFiles()]).toEqual([0, 0]);
  expect(problems).toEqual([undefined, undefined]);
  expect(readFileSync(path, 'utf8')).toBe('abcd');
  expect(file.bytes).toBe(4);
});

test('nothing new is no sync; a removed file closes when the sync under way ends', () => {
  const file = new SegmentFile(newFile(), () => {});
  file.append(Buffer.from('ab'));
  file.sync();
  answer();
  file.sync();
  expect(disk.waiting).toHaveLength(0);
  file.append(Buffer.from('cd'));
  file.sync();
  file.discard();
  expect(openFiles()).toBe(1);
  answer();
  expect([disk.waiting.length, openFiles()]).toEqual([0, 0]);
});

test('a process that ends waits for the disk, whatever is under way', () => {
  const file = new SegmentFile(newFile(), () => {});
  file.append(Buffer.from('ab'));
  file.sync();
  file.append(Buffer.from('cd'));
  file.closeNow();
  answer();
  expect([disk.waiting.length, openFiles()]).toEqual([0, 0]);
});

test('a process that ends closes every file, also those that the disk refuses', () => {
  const spool = new FlowSpool({ directory: join(base, 'refused'), bytesMax: 1 << 20 }, '01'.repeat(16));
  for (const [sequence, lane] of [[1, 'allow'] as const, [2, 'deny'] as const])
    spool.append({ run: '01'.repeat(16), sequence, lane, records: 1, message: Buffer.alloc(10) });
  disk.fails = true;
  spool.close();
  disk.fails = false;
  expect([openFiles(), spool.syncProblem]).toEqual([0, 'EIO: i/o error, fdatasync']);
});

test('a disk that fails is a problem of the spool until a later sync went well, and the batches stay', () => {
  const spool = new FlowSpool({ directory: join(base, 'spool'), bytesMax: 1 << 20 }, '01'.repeat(16));
  const uploader = new FlowUploader({ run: '01'.repeat(16), window: 4, memoryBatches: 4 }, spool);
  uploader.offer('allow', 1, () => Buffer.alloc(10));
  spool.sync();
  answer(new Error('EIO: i/o error, fdatasync'));
  expect(uploader.spoolProblem).toEqual({
    code: 'RF_SPOOL',
    message: 'Cannot sync the spool: EIO: i/o error, fdatasync',
  });
  spool.sync();
  answer();
  expect(uploader.spoolProblem).toBeUndefined();
  expect(spool.take()?.sequence).toBe(1);
  spool.close();
  expect(openFiles()).toBe(0);
});
