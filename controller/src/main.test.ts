// The process as it is run: command line, ready file, signals, SIGKILL under load, damaged state.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ListWorkloadsRequest, WorkloadSpec } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AdminClient, call } from './testing/admin-client.js';
import { sourceArguments } from './testing/run-source.js';

let dir: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-main-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

const state = () => join(dir, 'state');
const ready = () => join(dir, 'ready.json');
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

function run(args: readonly string[]): { child: ChildProcess; text: () => string; exit: Promise<number | null> } {
  const child = spawn(process.execPath, sourceArguments(MAIN, args), { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes: Buffer) => (text += bytes.toString()));
  return { child, text: () => text, exit: once(child, 'close').then(([code]) => code as number | null) };
}

function serve() {
  const listen = ['sync', 'admin', 'enroll'].flatMap((name) => [`--listen-${name}`, '127.0.0.1:0']);
  return run(['--state-dir', state(), '--ready-file', ready(), ...listen]);
}

async function serving(process: ReturnType<typeof serve>): Promise<AdminClient> {
  await expect.poll(() => existsSync(ready()) || process.child.exitCode !== null, { timeout: 20_000 }).toBe(true);
  expect(existsSync(ready()), process.text()).toBe(true);
  expect(Object.keys(JSON.parse(readFileSync(ready(), 'utf8')) as object)).toEqual(
    expect.arrayContaining(['sync', 'admin', 'enroll']),
  );
  return new AdminClient(join(state(), 'operator', 'context.json'));
}

test('SIGKILL while writes are on their way: every acknowledged one is there after the restart', {
  timeout: 60_000,
}, async () => {
  const first = serve();
  const admin = await serving(first);
  const acknowledged: string[] = [];
  const write = async (worker: number) => {
    for (let i = 0; ; i += 1) {
      const id = `w/${worker}-${i}`;
      const workload = WorkloadSpec.fromPartial({ id, labels: [{ dimension: 'role', value: 'x' }] });
      await call(admin.workloads, admin.workloads.create, { workload, source: 's' });
      acknowledged.push(id);
      if (acknowledged.length === 200) first.child.kill('SIGKILL');
    }
  };
  const ends = await Promise.allSettled([0, 1, 2, 3].map(write));
  expect(ends.every((end) => end.status === 'rejected')).toBe(true);
  await first.exit;
  admin.close();
  rmSync(ready());

  const second = serve();
  const again = await serving(second);
  const found = new Set<string>();
  let token = '';
  do {
    const page = await call(
      again.workloads,
      again.workloads.list,
      ListWorkloadsRequest.fromPartial({ page: { token } }),
    );
    for (const { id } of page.workloads) found.add(id);
    token = page.nextToken;
  } while (token !== '');
  expect(acknowledged.length).toBeGreaterThanOrEqual(200);
  expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
  // At most one write per worker was on its way.
  expect(found.size).toBeLessThanOrEqual(acknowledged.length + 4);
  again.close();
  second.child.kill('SIGTERM');
  expect(await second.exit).toBe(0);
});

test('a truncated database is refused with its code and exit code 1, and left as it is', {
  timeout: 60_000,
}, async () => {
  const first = serve();
  (await serving(first)).close();
  first.child.kill('SIGINT');
  expect(await first.exit).toBe(0);
  const file = join(state(), 'controller.db');
  const left = Math.floor(statSync(file).size / 2);
  truncateSync(file, left);
  const second = serve();
  expect(await second.exit).toBe(1);
  expect(second.text()).toMatch(/^RF_STORE_CORRUPT: Cannot open database .*controller\.db.*restore a backup$/m);
  expect(statSync(file).size).toBe(left);
  rmSync(file);
  const third = serve();
  expect(await third.exit).toBe(1);
  expect(third.text()).toMatch(/^RF_STORE_CORRUPT: .*found an authority beside it but no database/m);
});

test('a second controller on the same state directory is refused', { timeout: 60_000 }, async () => {
  const first = serve();
  (await serving(first)).close();
  const listen = ['sync', 'admin', 'enroll'].flatMap((name) => [`--listen-${name}`, '127.0.0.1:0']);
  const second = run(['--state-dir', state(), ...listen]);
  expect(await second.exit).toBe(1);
  expect(second.text()).toMatch(/^RF_STORE_LOCKED: /m);
  expect(first.child.exitCode).toBeNull();
});

test('a wrong command line names every problem and exits with 2', { timeout: 60_000 }, async () => {
  const { text, exit } = run([
    '--listen-sync',
    'nowhere',
    '--listen-metrics',
    '0.0.0.0:9',
    '--flow-history',
    'many',
    '--log-level',
    'loud',
  ]);
  expect(await exit).toBe(2);
  for (const wanted of [
    '--state-dir: found none',
    '--listen-sync: found "nowhere", wanted host:port',
    '--listen-metrics',
    '--flow-history',
    '--log-level',
  ]) {
    expect(text()).toContain(wanted);
  }
  const unknown = run(['--state-dir', state(), '--lisen', 'x']);
  expect(await unknown.exit).toBe(2);
  expect(unknown.text()).toContain('--lisen');
});
