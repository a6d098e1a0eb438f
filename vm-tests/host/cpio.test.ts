import { execFileSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CpioArchive } from './cpio.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rfvm-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

it('CpioArchive, unpacked by another program, gives the same tree', () => {
  const archive = new CpioArchive();
  archive.file('a/b/odd', Buffer.from('12345'), 0o755);
  archive.file('a/b/empty', Buffer.alloc(0));
  archive.link('a/link', 'b/odd');
  archive.directory('a/b');
  archive.file('a/b/odd', Buffer.from('a second entry of one name is dropped'));
  execFileSync('busybox', ['cpio', '-id'], { cwd: dir, input: archive.toBuffer(), stdio: ['pipe', 'pipe', 'pipe'] });
  expect(readFileSync(join(dir, 'a/b/odd'), 'utf8')).toBe('12345');
  expect(lstatSync(join(dir, 'a/b/odd')).mode & 0o777).toBe(0o755);
  expect(readFileSync(join(dir, 'a/b/empty')).length).toBe(0);
  expect(readlinkSync(join(dir, 'a/link'))).toBe('b/odd');
});
