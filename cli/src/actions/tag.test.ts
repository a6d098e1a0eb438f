import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TagsState } from '@ringfence/proto/gen/ringfence/v1/admin_tags.js';
import { TagMode } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { testAuthority, writeContext } from '../testing/certificates.js';
import { type FakeController, startFakeController } from '../testing/fake-controller.js';
import { TestTerminal } from '../testing/terminal.js';

// Real connections: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let folder: string;
let context: string;
let controller: FakeController;
let mode = TagMode.TAG_MODE_PEERS;
let rotations = 0;

const state = () =>
  TagsState.fromPartial({
    mode,
    epoch: 41 + rotations,
    nextFromMs: BigInt(Date.parse('2026-11-21T12:00:00Z')),
    overlapMs: 300_000n,
    hosts: [
      { hostId: 'alpha', capable: true, writes: true, tallies: { written: 12n, valid: 9n, replayed: 1n } },
      { hostId: 'beta', capable: true, writes: false, tallies: {} },
      { hostId: 'old', capable: false },
    ],
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-tag-'));
  const authority = await testAuthority();
  const server = await authority.issue('controller', { dns: 'ringfence-controller' });
  controller = await startFakeController(authority.ca, server, {
    tags: {
      getTags: (_call, done) => done(null, state()),
      setTagMode: ({ request }, done) => {
        mode = request.mode;
        done(null, state());
      },
      rotateTagKeys: (_call, done) => {
        rotations += 1;
        done(null, state());
      },
    },
  });
  context = await writeContext(folder, controller.address, authority.ca, await authority.issue('operator'));
});
afterAll(async () => {
  controller.stop();
  await rm(folder, { recursive: true });
});

const terminal = () => new TestTerminal({ env: { RINGFENCE_CONTEXT: context } });

test('tag status: the switch, the epochs, and each host', async () => {
  const shell = terminal();
  expect(await shell.run('tag', 'status')).toBe(0);
  expect(shell.stdout.text).toMatchInlineSnapshot(`
    "tags        peers
    epoch       41
    next epoch  2026-11-21T12:00:00.000Z
    overlap     5m
    alpha       12 written, 9 valid, 1 replayed
    beta        its kernel writes none
    old         an agent without tags
    "
  `);
});

test('tag set and rotate: the word becomes the mode; JSON has every counter', async () => {
  const shell = terminal();
  expect(await shell.run('tag', 'set', 'off', '-o', 'json')).toBe(0);
  expect(mode).toBe(TagMode.TAG_MODE_OFF);
  expect(JSON.parse(shell.stdout.text)).toMatchObject({
    mode: 'off',
    epoch: 41,
    hosts: [{ host: 'alpha', reads: true, writes: true, written: 12, foreign: 0 }, { host: 'beta' }, { host: 'old' }],
  });
  expect(await terminal().run('tag', 'rotate')).toBe(0);
  expect(rotations).toBe(1);
});

test('tag set with another word, is refused before anything is sent', async () => {
  const shell = terminal();
  mode = TagMode.TAG_MODE_PEERS;
  expect(await shell.run('tag', 'set', 'sometimes')).toBe(2);
  expect(mode).toBe(TagMode.TAG_MODE_PEERS);
});
