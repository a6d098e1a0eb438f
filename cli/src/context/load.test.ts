import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { CliError } from '../errors.js';
import { type Pair, type TestAuthority, testAuthority, writeContext } from '../testing/certificates.js';
import { contextCandidates, loadContext, parseContext } from './load.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let folder: string;
let authority: TestAuthority;
let operator: Pair;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-context-'));
  authority = await testAuthority();
  operator = await authority.issue('operator');
});
afterAll(() => rm(folder, { recursive: true }));

/** The failure of a load that must fail with exit code 3. */
async function refusal(loading: Promise<unknown>): Promise<CliError['failure']> {
  const error = await loading.then(
    () => new Error('loaded, wanted a failure'),
    (failure: unknown) => failure,
  );
  if (!(error instanceof CliError)) throw error;
  expect(error.exit).toBe(3);
  return error.failure;
}

const load = (file: string | undefined, env: Record<string, string> = {}, home = '') =>
  loadContext(file, env, home, Date.now());

describe('where the context is found', () => {
  test('--context before $RINGFENCE_CONTEXT before the home directory', async () => {
    const named = await writeContext(join(folder, 'named'), 'named:1', authority.ca, operator);
    const env = await writeContext(join(folder, 'env'), '[::1]:2', authority.ca, operator);
    await writeContext(join(folder, 'home/.config/ringfence'), 'home:3', authority.ca, operator);
    const home = join(folder, 'home');
    expect((await load(named, { RINGFENCE_CONTEXT: env }, home)).address).toBe('named:1');
    expect((await load(undefined, { RINGFENCE_CONTEXT: env }, home)).address).toBe('[::1]:2');
    expect((await load(undefined, { RINGFENCE_CONTEXT: '' }, home)).address).toBe('home:3');
  });

  test('none anywhere: all places are named', async () => {
    const failure = await refusal(load(undefined, {}, join(folder, 'nobody')));
    expect(failure.where).toBe(`${join(folder, 'nobody/.config/ringfence/context.json')}, /etc/ringfence/context.json`);
    expect(failure.next).toContain('operator/context.json');
    expect(contextCandidates({ XDG_CONFIG_HOME: '/x' }, '/home/a')[0]).toBe('/x/ringfence/context.json');
    expect(contextCandidates({}, '')).toEqual(['/etc/ringfence/context.json']);
  });

  test('a named file that is not there does not fall back to another', async () => {
    expect((await refusal(load(join(folder, 'nowhere.json'), {}, join(folder, 'home')))).where).toBe(
      join(folder, 'nowhere.json'),
    );
  });
});

test.each([
  ['{', 'no JSON'],
  ['[]', 'no object'],
  ['{"address":"a:1"}', 'no text in caFile, certFile, keyFile, serverName'],
  ['{"address":"a","caFile":"c","certFile":"c","keyFile":"k","serverName":"s"}', 'address "a"'],
  ['{"address":"a:1","caFile":7,"certFile":"c","keyFile":"k","serverName":"s"}', 'no text in caFile'],
])('parseContext refuses %s', (text, found) => {
  expect(() => parseContext('f', text)).toThrow(found);
});

describe('certificates that cannot work are told before anything is sent', () => {
  const cases: [string, () => Promise<{ ca?: string; pair?: Pair }>, string][] = [
    [
      'expired',
      async () => ({ pair: await authority.issue('op', { fromDays: -9, toDays: -1 }) }),
      'the certificate expired at',
    ],
    [
      'not yet valid',
      async () => ({ pair: await authority.issue('op', { fromDays: 2, toDays: 9 }) }),
      'valid only from',
    ],
    ['of another authority', async () => ({ ca: (await testAuthority('other')).ca }), 'one issued by the authority'],
    [
      'of another authority of the same name',
      async () => ({ ca: (await testAuthority()).ca }),
      'one issued by the authority',
    ],
    [
      'key of another certificate',
      async () => ({ pair: { ...operator, key: (await authority.issue('x')).key } }),
      'belongs to another',
    ],
    ['no certificate', async () => ({ pair: { ...operator, cert: 'hello' } }), 'no certificate'],
    ['no key', async () => ({ pair: { ...operator, key: 'hello' } }), 'no private key'],
  ];
  test.each(cases)('%s', async (name, make, text) => {
    const { ca = authority.ca, pair = operator } = await make();
    const file = await writeContext(join(folder, name), 'a:1', ca, pair);
    const { what, found, wanted, where, next } = await refusal(load(file));
    expect(`${what} ${found} ${wanted}`).toContain(text);
    expect(where).toContain(join(folder, name));
    expect(next).toBeTruthy();
  });

  test('a file that is missing is named', async () => {
    const file = await writeContext(join(folder, 'missing'), 'a:1', authority.ca, operator);
    await rm(join(folder, 'missing/key.pem'));
    const { found, where } = await refusal(load(file));
    expect([found, where]).toEqual(['found no such file', join(folder, 'missing/key.pem')]);
  });

  test('a context that is a folder', async () => {
    await mkdir(join(folder, 'dir'), { recursive: true });
    await writeFile(join(folder, 'plain'), '');
    expect((await refusal(load(join(folder, 'dir')))).found).toBe('found EISDIR');
  });
});
