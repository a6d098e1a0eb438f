import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StoreDriver } from '../store/driver.js';
import { PersistentNumbers } from '../store/numbers.js';
import { openSqlite } from '../store/sqlite.js';
import { StateStore } from '../store/state-store.js';
import { PolicyBook } from './policy-book.js';
import { NO_TERMS } from './policy-rollout.js';

let dir: string;
let driver: StoreDriver;
let book: PolicyBook;
/** Each judgement that is under way, to be let through by the test. */
let judging: (() => void)[];
let held = false;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'rf-book-'));
  driver = openSqlite(join(dir, 'db'));
  const store = new StateStore(driver);
  judging = [];
  held = false;
  book = new PolicyBook({
    store,
    ruleNumbers: new PersistentNumbers(store, 'rule'),
    now: () => 1000,
    after: () => () => {},
    veto: async () => {
      if (held) await new Promise<void>((resolve) => judging.push(resolve));
      return [];
    },
    onStanding: () => {},
    onError: (error) => {
      throw error;
    },
  });
  await book.resume();
});
afterEach(() => {
  book.stop();
  driver.close();
  rmSync(dir, { recursive: true, force: true });
});

const file = (name: string, port: number) => ({
  files: [
    {
      name: `${name}.yaml`,
      content: `rules:\n  - {id: ${name}, service: tcp/${port}, providedBy: role=db, usedBy: role=web}\n`,
    },
  ],
  prune: false,
  remove: [],
});
const provision = (confirmWithinMs = 0) => ({
  author: 'somebody',
  note: '',
  expectedVersion: 0,
  rollout: { ...NO_TERMS, confirmWithinMs },
});
const names = () => book.draftFiles().map(({ name }) => name);

test('a confirmation does not wait for what is being judged', async () => {
  await book.apply(file('a', 1), provision());
  await book.apply(file('a', 2), provision(60_000));
  held = true;
  const draft = book.apply(file('b', 3), undefined);
  await expect.poll(() => judging.length).toBe(1);
  await book.confirm(2, 'somebody');
  expect(book.settledVersion).toBe(2);
  // The version in force is another one now: judged again.
  judging[0]?.();
  await expect.poll(() => judging.length).toBe(2);
  expect(names()).toEqual(['a.yaml']);
  judging[1]?.();
  expect(await draft).toMatchObject({ accepted: true, changed: true });
  expect(names()).toEqual(['a.yaml', 'b.yaml']);
});

test('two changes that are judged side by side both stand in the draft', async () => {
  held = true;
  const first = book.apply(file('a', 1), undefined);
  const second = book.apply(file('b', 2), undefined);
  await expect.poll(() => judging.length).toBe(2);
  judging[1]?.();
  await second;
  expect(names()).toEqual(['b.yaml']);
  judging[0]?.();
  // The draft it was made for has changed.
  await expect.poll(() => judging.length).toBe(3);
  judging[2]?.();
  await first;
  expect(names()).toEqual(['a.yaml', 'b.yaml']);
});

test('what was judged is not provisioned on top of another version than was asked for', async () => {
  await book.apply(file('a', 1), provision());
  held = true;
  const late = book.apply(file('b', 2), { ...provision(), expectedVersion: 1 });
  await expect.poll(() => judging.length).toBe(1);
  held = false;
  await book.apply(file('c', 3), provision());
  judging[0]?.();
  await expect(late).rejects.toMatchObject({ code: 'RF_POLICY_CONFLICT' });
  expect(book.current.version).toBe(2);
  expect(names()).toEqual(['a.yaml', 'c.yaml']);
});
