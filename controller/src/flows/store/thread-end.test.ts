// The store's thread ends by itself, without a word.
import type { EventEmitter } from 'node:events';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import { FlowBlock } from '../block.js';
import { DuckArchive } from './duck-archive.js';
import type { StoreAnswer } from './messages.js';

const threads = vi.hoisted(() => ({ made: [] as { emit(event: string, ...values: unknown[]): boolean }[] }));
vi.mock('node:worker_threads', async (original) => {
  const { EventEmitter: Emitter } = await import('node:events');
  class Thread extends Emitter {
    constructor() {
      super();
      threads.made.push(this);
    }

    postMessage(): void {}

    async terminate(): Promise<void> {}
  }
  return { ...(await original<typeof import('node:worker_threads')>()), Worker: Thread };
});

const status = { kept: 0, keptMax: 0, dropped: 0, lost: 0, bytes: 0, problem: '', line: 'line' };
const opened: StoreAnswer = { type: 'opened', opened: { firstId: 1, replaceableFrom: 1, marks: [], status } };

function open(onDeath: (error: Error) => void) {
  const file = join(tmpdir(), 'rf-thread-end', 'flows.duckdb');
  const archive = DuckArchive.open({ file, days: 1, bytes: 1, memoryBytes: 1, now: () => 0, onDeath });
  return { archive, thread: threads.made.at(-1) as EventEmitter };
}

afterAll(() => rmSync(join(tmpdir(), 'rf-thread-end'), { recursive: true, force: true }));
beforeEach(() => {
  threads.made.length = 0;
});

test('a store whose thread ends before it is open is not waited for', async () => {
  const { archive, thread } = open(() => {});
  thread.emit('exit', 13);
  await expect(archive).rejects.toThrow('thread ended (13)');
});

test('what waits for a thread that has ended is lost and counted, and nobody waits any more', async () => {
  const deaths: string[] = [];
  const { archive: opening, thread } = open((error) => deaths.push(error.message));
  thread.emit('message', opened);
  const archive = await opening;
  const settled: boolean[] = [];
  const block = new FlowBlock(1);
  block.count = 5;
  const batch = { hostId: 'h', run: '00', sequence: 1n, firstId: 1, ranges: [{ block, from: 0, to: 5 }], replaced: [] };
  const more = { ...batch, loss: undefined, gaps: [] };
  archive.append(more, (stored) => settled.push(stored));
  archive.barrier(() => settled.push(true));
  const asked = archive.oldestUs();
  thread.emit('exit', 1);
  await expect(asked).rejects.toThrow('thread ended (1)');
  archive.append(more, (stored) => settled.push(stored));
  expect(settled).toEqual([false, true, false]);
  expect(archive.pending).toBe(0);
  expect(archive.status()).toMatchObject({ lost: 10, problem: expect.stringContaining('thread ended') });
  expect(deaths).toHaveLength(1);
  await archive.close();
});
