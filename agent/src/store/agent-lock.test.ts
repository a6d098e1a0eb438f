import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { AgentLock } from './agent-lock.js';

const directory = mkdtempSync(join(tmpdir(), 'rfag-lock-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const lockFile = () => join(directory, readdirSync(directory)[0] ?? '');

describe('AgentLock', () => {
  it('is held once per pin path, however the path is written, and free after release', () => {
    const lock = AgentLock.take('/sys/fs/bpf/rfag', directory);
    expect(() => AgentLock.take('/sys/fs/bpf/x/../rfag/', directory)).toThrow(
      expect.objectContaining({
        code: 'RF_LOCKED',
        message: expect.stringContaining(`process ${process.pid}`),
      }) as Error,
    );
    const other = AgentLock.take('/sys/fs/bpf/other', directory);
    other.release();
    lock.release();
    lock.release();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('is taken over from a process that is gone', async () => {
    const child = spawn('/bin/true');
    await once(child, 'exit');
    AgentLock.take('/p', directory);
    writeFileSync(lockFile(), `${child.pid} 12345 /p\n`);
    const lock = AgentLock.take('/p', directory);
    expect(readFileSync(lockFile(), 'utf8')).toContain(String(process.pid));
    lock.release();
  });

  it('is taken over from an earlier process with the same number', () => {
    AgentLock.take('/q', directory);
    writeFileSync(lockFile(), `${process.pid} 1 /q\n`);
    const lock = AgentLock.take('/q', directory);
    lock.release();
    expect(readdirSync(directory)).toEqual([]);
  });
});
