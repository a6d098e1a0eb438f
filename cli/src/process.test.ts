// The command as its own process: signals, closed pipes, the wrapper.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { testAuthority, writeContext } from './testing/certificates.js';
import { type FakeController, startFakeController } from './testing/fake-controller.js';
import { sampleFlow, sampleStatus } from './testing/samples.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const wrapper = fileURLToPath(new URL('../bin/ringfence', import.meta.url));
let folder: string;
let controller: FakeController;
let env: NodeJS.ProcessEnv;
/** Set: the next status call gets no answer, and this is called. */
let onUnanswered: (() => void) | undefined;

/** Called when a list has begun. */
let onBegun: (() => void) | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-process-'));
  const authority = await testAuthority();
  const server = await authority.issue('controller', { dns: 'ringfence-controller' });
  controller = await startFakeController(authority.ca, server, {
    status: { get: (_call, done) => (onUnanswered === undefined ? done(null, sampleStatus()) : onUnanswered()) },
    flows: {
      // An answer that has begun and does not end.
      query: (call) =>
        void call.write({ body: { $case: 'rows', value: { flows: [sampleFlow()] } } }, () => onBegun?.()),
      // Flows without end, as fast as they are taken.
      follow: (call) => {
        let id = 0n;
        const more = () => {
          while (
            !call.cancelled &&
            call.write({ body: { $case: 'rows', value: { flows: [sampleFlow({ id: ++id })] } } })
          )
            if (id % 64n === 0n) return void setImmediate(more);
          if (!call.cancelled) call.once('drain', more);
        };
        more();
      },
    },
  });
  const file = await writeContext(folder, controller.address, authority.ca, await authority.issue('operator'));
  env = { ...process.env, RINGFENCE_CONTEXT: file };
});
afterAll(async () => {
  controller.stop();
  await rm(folder, { recursive: true });
});

/** Starts the command; its output is kept. */
function start(...args: string[]): { child: ChildProcess; output: { out: string; err: string } } {
  const child = spawn(wrapper, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { out: '', err: '' };
  child.stdout?.on('data', (chunk: Buffer) => {
    output.out += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    output.err += chunk.toString();
  });
  return { child, output };
}

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s ends a tail: exit code 0, whole lines, a summary',
  async (signal) => {
    const { child, output } = start('flows', 'tail', '-o', 'compact');
    while (!output.out.includes('blocked')) await once(child.stdout ?? child, 'data');
    child.kill(signal);
    const [code] = await once(child, 'close');
    expect([code, output.err]).toEqual([0, expect.stringMatching(/^\d+ flows in \d+s: \d+ blocked\n$/)]);
    expect(output.out.endsWith('x3\n')).toBe(true);
  },
  20_000,
);

test('a reader that closes its pipe ends a tail without a complaint', async () => {
  const line = `set -o pipefail; ${wrapper} flows tail -o compact | head -n 2`;
  const child = spawn('bash', ['-c', line], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code] = await once(child, 'close');
  expect([code, err, out.trimEnd().split('\n')]).toEqual([0, '', [expect.any(String), expect.any(String)]]);
});

test('Ctrl-C while an answer is awaited ends at once, with the exit code of the signal', async () => {
  const asked = new Promise<void>((resolve) => {
    onUnanswered = resolve;
  });
  const { child } = start('status');
  await asked;
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  onUnanswered = undefined;
  expect(code).toBe(130);
});

test('Ctrl-C in the middle of a list shows no half list', async () => {
  const begun = new Promise<void>((resolve) => {
    onBegun = resolve;
  });
  const { child, output } = start('flows', 'list', '-o', 'json');
  await begun;
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  expect([code, output.out]).toEqual([130, '']);
});

test('a full disk under the results is an error in the shape of all errors', async () => {
  const child = spawn('bash', ['-c', `${wrapper} status > /dev/full`], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code] = await once(child, 'close');
  expect(err).toMatch(/^error: Cannot write the results: ENOSPC[^\n]*\[RF_CLI_OUTPUT\]\n$/);
  expect(code).toBe(7);
});

test('a controller that takes the connection and says nothing does not keep the command after its timeout', async () => {
  const mute = createServer(() => {}).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const address = mute.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const context = JSON.parse(await readFile(env.RINGFENCE_CONTEXT ?? '', 'utf8')) as object;
  const file = `${env.RINGFENCE_CONTEXT}.mute`;
  await writeFile(file, JSON.stringify({ ...context, address: `127.0.0.1:${port}` }));
  const { child, output } = start('status', '--timeout', '1', '--context', file);
  const [code] = await once(child, 'close');
  mute.close();
  expect([code, output.err]).toEqual([3, expect.stringContaining('[RF_CLI_TIMEOUT]')]);
});

test('the wrapper works through a symbolic link', async () => {
  const link = join(folder, 'rf');
  await symlink(wrapper, link);
  expect(execFileSync(link, ['version'], { encoding: 'utf8' })).toMatch(/^ringfence \d/);
});
