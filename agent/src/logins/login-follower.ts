// Who is logged in, with numbers and groups, for the controller: one report after every change.
import { existsSync } from 'node:fs';
import { Logins } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { LoginsConfig } from '../config.js';
import { messageOf } from '../errors.js';
import type { Timers } from '../timers.js';
import { type Account, lookUpAccount } from './accounts.js';
import type { LoginSource } from './login-source.js';
import { LogindSource } from './logind-source.js';
import { UtmpSource } from './utmp-source.js';

/** There where systemd is what runs the machine (sd_booted). */
const SYSTEMD = '/run/systemd/system';
const RETRY_MS = 10_000;

export interface LoginFollowerOptions {
  readonly source: LoginSource;
  readonly lookUp?: (user: string) => Promise<Account>;
  readonly timers: Timers;
  /** What changed since the last call, whole. */
  readonly onLogins: (logins: Logins) => void;
}

export class LoginFollower {
  readonly #options: LoginFollowerOptions;
  #users: readonly string[] | undefined;
  #logins: Logins | undefined;
  #told = '';
  #running = false;
  #cancel: (() => void) | undefined;
  #stopped = false;
  #problem: string | undefined;

  constructor(options: LoginFollowerOptions) {
    this.#options = options;
  }

  /** The newest report; undefined before the first look. */
  get logins(): Logins | undefined {
    return this.#logins;
  }

  /** Why it is not known who is logged in, or in which groups. */
  get problem(): string | undefined {
    return this.#options.source.problem ?? this.#problem;
  }

  start(): void {
    this.#options.source.start((users) => {
      this.#users = users;
      void this.#resolve();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#options.source.stop();
  }

  /** Groups are those of the moment: they are asked for at every change of who is logged in. */
  async #resolve(): Promise<void> {
    if (this.#running) return; // begins anew with the newest users when it ends
    this.#running = true;
    try {
      for (let users = this.#users; users !== undefined && !this.#stopped; users = this.#users) {
        const { source, lookUp = lookUpAccount } = this.#options;
        const accounts = await Promise.all(users.map(lookUp));
        if (users !== this.#users) continue;
        this.#problem = undefined;
        this.#tell(
          Logins.create({
            source: source.name,
            users: users.map((user, i) => ({ user, uid: accounts[i]?.uid, groups: [...(accounts[i]?.groups ?? [])] })),
          }),
        );
        return;
      }
    } catch (error) {
      this.#problem = messageOf(error);
      this.#cancel?.();
      this.#cancel = this.#options.timers.after(RETRY_MS, () => void this.#resolve());
    } finally {
      this.#running = false;
    }
  }

  #tell(logins: Logins): void {
    this.#logins = logins;
    const text = JSON.stringify(logins);
    if (text === this.#told || this.#stopped) return;
    this.#told = text;
    this.#options.onLogins(logins);
  }
}

/** The source that a configuration asks for; undefined: none. */
export function loginSource(config: LoginsConfig, timers: Timers, random: () => number): LoginSource | undefined {
  const follow = config.follow === 'auto' ? (existsSync(SYSTEMD) ? 'logind' : 'utmp') : config.follow;
  if (follow === 'logind') return new LogindSource({ busAddress: config.busAddress, timers, random });
  return follow === 'utmp' ? new UtmpSource({ file: config.utmpFile, timers }) : undefined;
}
