import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CreateTokenRequest } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { testAuthority, writeContext } from '../testing/certificates.js';
import { type FakeController, startFakeController } from '../testing/fake-controller.js';
import { TestTerminal } from '../testing/terminal.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const secret = 'rfe1.id.secret.pin';
let folder: string;
let context: string;
let controller: FakeController;
let made: CreateTokenRequest[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-token-'));
  const authority = await testAuthority();
  controller = await startFakeController(
    authority.ca,
    await authority.issue('controller', { dns: 'ringfence-controller' }),
    {
      hosts: {
        createToken: ({ request }, done) => {
          made.push(request);
          done(null, {
            token: secret,
            tokenId: 'id',
            expiresMs: BigInt(Date.now() + 3_600_000),
            enrollAddress: '192.0.2.1:7445',
          });
        },
      },
    },
  );
  context = await writeContext(folder, controller.address, authority.ca, await authority.issue('operator'));
});
beforeEach(() => {
  made = [];
});
afterAll(async () => {
  controller.stop();
  await rm(folder, { recursive: true });
});

function terminal(stdin?: string): TestTerminal {
  return new TestTerminal({ env: { RINGFENCE_CONTEXT: context }, stdin });
}

test('host token: the token alone on standard output, what to do with it on standard error', async () => {
  const shell = terminal();
  expect(await shell.run('host', 'token', '--ttl', '12h', '--host-id', 'a', '--note', 'why')).toBe(0);
  expect(made).toEqual([{ ttlSeconds: 43_200, hostId: 'a', note: 'why' }]);
  expect(shell.stdout.text).toBe(`${secret}\n`);
  expect(shell.stderr.text).toContain('ringfence enroll --controller 192.0.2.1:7445');
  expect(shell.stderr.text).not.toContain(secret);
});

test('host token --out: a new file that only its owner can read; an existing one is kept and no token is made', async () => {
  const file = join(folder, 'token');
  const shell = terminal();
  expect(await shell.run('host', 'token', 'create', '--out', file)).toBe(0);
  expect(await readFile(file, 'utf8')).toBe(`${secret}\n`);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(shell.stdout.text + shell.stderr.text).not.toContain(secret);
  expect(await shell.run('host', 'token', 'create', '--out', file)).toBe(2);
  expect(made).toHaveLength(1);
});

test('enroll: a bad token is a usage error, nobody listening is exit code 3, and the token is never told', async () => {
  const bad = terminal('rfe1.id.secret-part');
  expect(await bad.run('enroll', '--controller', controller.address, '--state-dir', join(folder, 'agent'))).toBe(2);
  expect(bad.stderr.text).toContain('RF_TOKEN');
  const pin = Buffer.alloc(32, 1).toString('base64url');
  const unreachable = terminal(`rfe1.id.secret-part.${pin}`);
  expect(await unreachable.run('enroll', '--controller', '127.0.0.1:1', '--state-dir', join(folder, 'agent'))).toBe(3);
  const stranger = terminal(`rfe1.id.secret-part.${pin}`);
  expect(await stranger.run('enroll', '--controller', controller.address, '--state-dir', join(folder, 'agent'))).toBe(
    5,
  );
  expect(stranger.stderr.text).toContain('RF_CA_MISMATCH');
  for (const shell of [bad, unreachable, stranger])
    expect(shell.stdout.text + shell.stderr.text).not.toContain('secret-part');
  const missing = terminal();
  expect(await missing.run('enroll', '--controller', 'x:1', '--token-file', join(folder, 'no-token'))).toBe(4);
});
