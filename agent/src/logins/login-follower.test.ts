import type { Logins } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { expect, test, vi } from 'vitest';
import { ManualTimers } from '../testing/manual-timers.js';
import { type Account, lookUpAccount } from './accounts.js';
import { LoginFollower } from './login-follower.js';
import type { LoginSource, OnUsers } from './login-source.js';

class Sessions implements LoginSource {
  readonly name = 'utmp';
  problem: string | undefined;
  tell: OnUsers = () => {};
  start(onUsers: OnUsers): void {
    this.tell = onUsers;
  }
  async stop(): Promise<void> {}
}

function follow(lookUp: (user: string) => Promise<Account>) {
  const [source, timers, told]: [Sessions, ManualTimers, Logins[]] = [new Sessions(), new ManualTimers(), []];
  const follower = new LoginFollower({ source, lookUp, timers, onLogins: (logins) => told.push(logins) });
  follower.start();
  return { source, timers, told, follower };
}

const groups = async (user: string): Promise<Account> => ({ uid: user.length, groups: [`${user}s`] });

test('tells everybody with number and groups, once per change', async () => {
  const { source, told, follower } = follow(groups);
  expect(follower.logins).toBeUndefined();
  source.tell(['anna']);
  await vi.waitFor(() => expect(told).toHaveLength(1), { timeout: 30_000 });
  expect(told[0]).toEqual({ source: 'utmp', users: [{ user: 'anna', uid: 4, groups: ['annas'] }] });
  source.tell(['anna']);
  source.tell(['anna', 'ben']);
  await vi.waitFor(() => expect(told.at(-1)?.users.map(({ user }) => user)).toEqual(['anna', 'ben']), {
    timeout: 30_000,
  });
  source.tell([]);
  await vi.waitFor(() => expect(follower.logins?.users).toEqual([]), { timeout: 30_000 });
  expect(told).toHaveLength(3);
});

test('what changed while groups were looked up counts; a stale answer is never told', async () => {
  const pending: (() => void)[] = [];
  const { source, told } = follow(
    (user) => new Promise((resolve) => pending.push(() => resolve({ uid: 1, groups: [user] }))),
  );
  source.tell(['old']);
  await vi.waitFor(() => expect(pending).toHaveLength(1), { timeout: 30_000 });
  source.tell(['new']);
  pending[0]?.();
  await vi.waitFor(() => expect(pending).toHaveLength(2), { timeout: 30_000 });
  expect(told).toEqual([]);
  pending[1]?.();
  await vi.waitFor(() => expect(told.map(({ users }) => users[0]?.user)).toEqual(['new']), { timeout: 30_000 });
});

test('a name service that does not answer is told and tried again; what was known stands', async () => {
  let broken = true;
  const { source, told, timers, follower } = follow(async (user) => {
    if (broken) throw new Error('id did not answer');
    return groups(user);
  });
  source.tell(['anna']);
  await vi.waitFor(() => expect(follower.problem).toBe('id did not answer'), { timeout: 30_000 });
  expect(told).toEqual([]);
  broken = false;
  timers.advance(10_000);
  await vi.waitFor(() => expect(told).toHaveLength(1), { timeout: 30_000 });
  expect(follower.problem).toBeUndefined();
});

test('the host’s own name service: a user that exists, one that does not, names that look like options', async () => {
  expect(await lookUpAccount('root')).toMatchObject({ uid: 0, groups: expect.arrayContaining(['root']) });
  const nobody = { uid: undefined, groups: [] };
  for (const user of ['no-such-user-of-ringfence', '--help', '-u', ''])
    expect(await lookUpAccount(user)).toEqual(nobody);
});
