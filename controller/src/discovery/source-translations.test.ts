import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SourceTranslations } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSqlite } from '../store/sqlite.js';
import { StateStore } from '../store/state-store.js';
import { PAIRS_MAX, takeSourceTranslations } from './source-translations.js';

let dir: string;
let store: StateStore;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-translations-'));
  store = new StateStore(openSqlite(join(dir, 'db')));
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

const v4 = (last: number) => Buffer.from([10, 0, last >> 8, last & 255]);
const take = (translations: { inside: Buffer; outside: Buffer }[], gateway = false) =>
  store.update((tx) => takeSourceTranslations(tx, 'h', SourceTranslations.fromPartial({ gateway, translations })));

test('the whole replaces the whole, sorted, each pair once; the same again writes nothing', async () => {
  const [a, b] = [
    { inside: v4(2), outside: v4(9) },
    { inside: v4(1), outside: v4(9) },
  ];
  expect(await take([a, b, a])).toEqual([]);
  const mapped = (last: string) => `00000000000000000000ffff0a0000${last}`;
  expect(store.get('translation', 'h')).toEqual({
    hostId: 'h',
    gateway: false,
    pairs: [
      { inside: mapped('01'), outside: mapped('09') },
      { inside: mapped('02'), outside: mapped('09') },
    ],
  });
  const { revision } = store.driver().status();
  await take([b, a]);
  expect(store.driver().status().revision).toBe(revision);
  await take([a], true);
  expect(store.get('translation', 'h')).toMatchObject({ gateway: true, pairs: [{ inside: mapped('02') }] });
});

test('what is no pair of addresses is left out and told, and the number is bounded', async () => {
  const problems = await take([
    { inside: v4(1), outside: Buffer.alloc(16) },
    { inside: Buffer.alloc(3), outside: Buffer.alloc(3) },
    { inside: v4(3), outside: v4(3) },
  ]);
  expect(problems).toHaveLength(2);
  expect(store.get('translation', 'h')?.pairs).toEqual([]);
  const many = Array.from({ length: PAIRS_MAX + 1 }, (_, i) => ({ inside: v4(i), outside: v4(65_000) }));
  expect((await take(many)).join()).toMatch(/found 4097 pairs, wanted at most 4096/);
  expect(store.get('translation', 'h')?.pairs).toHaveLength(PAIRS_MAX);
});

test('mappings of a gateway are taken sorted, wrong ones are named; of a host that is none they do not count', async () => {
  const mapping = (port: number, more: object = {}) => ({
    ...{ protocol: 6, address: v4(9), port, to: v4(1), toPort: 80 },
    ...more,
  });
  const destinations = [
    mapping(9081),
    mapping(9080),
    mapping(1, { protocol: 1 }),
    mapping(0),
    mapping(5, { to: Buffer.alloc(16) }),
  ];
  const told = (gateway: boolean) => SourceTranslations.fromPartial({ gateway, destinations });
  const problems = await store.update((tx) => takeSourceTranslations(tx, 'h', told(true)));
  expect(problems.map((each) => each.split('found ')[1])).toEqual([
    'protocol 1, wanted one with ports',
    'port 0, wanted 1 to 65535',
    'addresses of 4 and 16 bytes, wanted both 4 or both 16',
  ]);
  expect(store.get('translation', 'h')?.destinations?.map(({ port }) => port)).toEqual([9080, 9081]);
  expect(await store.update((tx) => takeSourceTranslations(tx, 'h', told(false)))).toEqual([]);
  expect(store.get('translation', 'h')?.destinations).toBeUndefined();
});
