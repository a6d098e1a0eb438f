// Who is logged in, by name: what a source tells, and what a source is.

/** Users on one host. More are a runaway or damage: the first by name are kept. */
export const USERS_MAX = 256;

/** Told each time it looked: the names of everybody with at least one session, sorted, each once. */
export type OnUsers = (users: readonly string[]) => void;

/** Where sessions are followed. Level-triggered: every report is complete. Changes are told as they happen, without polling. */
export interface LoginSource {
  readonly name: 'logind' | 'utmp';
  /** Begins; calls onUsers soon and after every change. While it cannot look the last report stands, and problem says why. */
  start(onUsers: OnUsers): void;
  /** Why it cannot look at present; undefined when it can. */
  readonly problem: string | undefined;
  stop(): Promise<void>;
}

/** Sorted, each once, inside the bound; what is no name is left out. */
export function userNames(found: Iterable<string>): string[] {
  const names = new Set<string>();
  for (const name of found) if (name !== '' && name.length <= 256 && !/\p{Cc}/u.test(name)) names.add(name);
  return [...names].sort().slice(0, USERS_MAX);
}
