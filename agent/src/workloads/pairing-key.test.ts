import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findPairingKey, withoutKey } from './pairing-key.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-key-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A container whose root is this machine's: /proc/<own pid>/root. */
function container(labels: Record<string, string>, env: string[] = []) {
  return { labels, env, pid: process.pid };
}

const label = 'ringfence.pairing-key';

test('findPairingKey takes the label, then the variable, then the file', () => {
  const keyFile = join(dir, 'key');
  writeFileSync(keyFile, ' from-file\n');
  const places = { label, keyEnv: 'RF_KEY', keyFile };
  expect(findPairingKey(container({ [label]: 'from-label' }, ['RF_KEY=from-env']), places)).toBe('from-label');
  expect(findPairingKey(container({}, ['RF_KEYS=no', 'RF_KEY=from-env']), places)).toBe('from-env');
  expect(findPairingKey(container({}), places)).toBe('from-file');
  expect(findPairingKey(container({}), { label })).toBe('');
  expect(findPairingKey(container({ [label]: 'x'.repeat(5000) }), places)).toHaveLength(256);
});

test('findPairingKey follows no link, reads no directory and waits for no pipe', () => {
  mkdirSync(join(dir, 'real'));
  writeFileSync(join(dir, 'real', 'key'), 'secret of the host');
  symlinkSync(join(dir, 'real', 'key'), join(dir, 'link'));
  symlinkSync(join(dir, 'real'), join(dir, 'folder'));
  const read = (path: string) => findPairingKey(container({}), { label, keyFile: join(dir, path) });
  expect(read('real/key')).toBe('secret of the host');
  for (const path of ['link', 'folder/key', 'real', 'nothing']) expect(read(path), path).toBe('');
  expect(findPairingKey(container({}), { label, keyFile: `${dir}/real/../real/key` })).toBe('');
  expect(findPairingKey(container({}), { label, keyFile: '/' })).toBe('');
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  expect(read('pipe')).toBe('');
  // Nothing stays open, however it ends.
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let i = 0; i < 20; i += 1) for (const path of ['real/key', 'link', 'folder/key', 'nothing', 'pipe']) read(path);
  expect(open()).toBe(before);
});

test('withoutKey leaves everything but the key', () => {
  expect(withoutKey({ [label]: 'k', 'ringfence.label.role': 'web' }, { label })).toEqual({
    'ringfence.label.role': 'web',
  });
});
