import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeAuthority } from '../testing/test-authority.js';
import { checkCredentials, readCredentials, writeCredentials } from './credentials.js';
import { forgetIdentity } from './leave.js';
import { leftWith } from './left-mark.js';

let dir: string;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'rf-leave-'));
  await enrol();
  writeFileSync(join(dir, 'state.cbor'), 'state');
  mkdirSync(join(dir, 'spool'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function enrol(): Promise<void> {
  const authority = await makeAuthority('ca');
  const { keyPem, certificatePem } = await authority.host('h1');
  writeCredentials(dir, checkCredentials('h1', 'c:1', keyPem, certificatePem, authority.pem));
}

test.each([
  ['keep', ['left.json', 'spool', 'state.cbor']],
  ['open', ['left.json', 'spool', 'state.cbor']],
  ['remove', ['left.json']],
] as const)('%s: no key nor certificate is left; enrolled again the host has not left', async (outcome, files) => {
  expect(leftWith(dir)).toBeUndefined();
  forgetIdentity(dir, outcome, 1000);
  forgetIdentity(dir, outcome, 2000);
  expect(readdirSync(dir).sort()).toEqual(files);
  expect([leftWith(dir), readCredentials(dir)]).toEqual([outcome, undefined]);
  await enrol();
  expect(leftWith(dir)).toBeUndefined();
  expect(readCredentials(dir)?.hostId).toBe('h1');
});

test('an interrupted enrolment does not bring an identity back that was given up', () => {
  writeFileSync(join(dir, 'pending.json'), '{}');
  forgetIdentity(dir, 'keep', 1000);
  expect(existsSync(join(dir, 'pending.json'))).toBe(false);
});

test('a mark that cannot be read stops the agent with words', () => {
  writeFileSync(join(dir, 'left.json'), '{"outcome":"burn"}');
  expect(() => leftWith(dir)).toThrow(/Cannot read .*left.json.*wanted how this host left its fleet/s);
});
