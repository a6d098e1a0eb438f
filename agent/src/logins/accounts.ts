// What the host knows of a user: number and groups, by the host's own name service (files, LDAP, SSSD), asked through id(1): a module of
// the name service that hangs or crashes does so in a process of its own.
import { execFile } from 'node:child_process';

export interface Account {
  /** undefined: the name is not known here. */
  readonly uid: number | undefined;
  /** By name, sorted. */
  readonly groups: readonly string[];
}

export const GROUPS_MAX = 256;
const ANSWER_MS = 10_000;
const UNKNOWN: Account = { uid: undefined, groups: [] };

/** Asks the host. A user that it does not know has no number and no groups. Rejects when it does not answer. */
export async function lookUpAccount(user: string): Promise<Account> {
  // A name cannot be taken for an option or a number: it stands behind "--", and id reads digits as a number only when no name is so.
  const uid = await id(['-u', '--', user]);
  if (uid === undefined || !/^\d{1,10}\n$/.test(uid)) return UNKNOWN;
  const groups = await id(['-G', '-n', '-z', '--', user]);
  const names = (groups ?? '').split('\0').filter((name) => name !== '' && name.length <= 256);
  return { uid: Number(uid), groups: [...new Set(names)].sort().slice(0, GROUPS_MAX) };
}

/** What it prints; undefined when it says that there is no such user. */
function id(args: readonly string[]): Promise<string | undefined> {
  const limits = { timeout: ANSWER_MS, maxBuffer: 1_048_576, env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' } };
  return new Promise((resolve, reject) => {
    execFile('id', [...args], limits, (error, stdout) => {
      if (error === null) resolve(stdout);
      else if (error.code === 1 && !error.killed) resolve(stdout === '' ? undefined : stdout);
      else reject(new Error(`Cannot look up a user: id ${error.killed ? 'did not answer' : `failed (${error.code})`}`));
    });
  });
}
