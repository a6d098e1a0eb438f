// Sessions by utmp, for hosts without logind. The directory is watched (inotify), not the file: that may be made, removed and replaced.
import { closeSync, constants, type FSWatcher, fstatSync, openSync, readSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { codeOf, messageOf } from '../errors.js';
import type { Timers } from '../timers.js';
import type { LoginSource, OnUsers } from './login-source.js';
import { UTMP_BYTES_MAX, utmpUsers } from './utmp.js';

/** One read for a burst of writes: a login writes its record in several steps. */
const SETTLE_MS = 20;
/** How soon a directory that is not there, or a watch that was refused, is tried again. */
const RETRY_MS = 30_000;

export interface UtmpSourceOptions {
  readonly file: string;
  readonly timers: Timers;
  /** Whether a process exists. */
  readonly lives?: (pid: number) => boolean;
}

export class UtmpSource implements LoginSource {
  readonly name = 'utmp';
  problem: string | undefined = 'not looked yet';
  readonly #options: UtmpSourceOptions;
  #onUsers: OnUsers = () => {};
  #watcher: FSWatcher | undefined;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: UtmpSourceOptions) {
    this.#options = options;
  }

  start(onUsers: OnUsers): void {
    this.#onUsers = onUsers;
    this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    this.#watcher?.close();
  }

  #watch(): void {
    const { file } = this.#options;
    const own = basename(file);
    try {
      // Before the first look, so that nothing falls between the two.
      const watcher = watch(dirname(file), { persistent: false }, (_event, name) => {
        if (name === null || name === own) this.#lookSoon(SETTLE_MS);
      });
      this.#watcher = watcher;
      watcher.on('error', (error) => this.#lost(error));
    } catch (error) {
      this.#lost(error);
      return;
    }
    this.#look();
  }

  #lost(error: unknown): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    if (this.#stopped) return;
    this.problem = `Cannot follow logins in ${this.#options.file}: ${messageOf(error)}, wanted its directory to watch`;
    this.#cancel?.();
    this.#cancel = this.#options.timers.after(RETRY_MS, () => this.#watch());
  }

  #lookSoon(ms: number): void {
    if (this.#stopped) return;
    this.#cancel?.();
    this.#cancel = this.#options.timers.after(ms, () => this.#look());
  }

  #look(): void {
    const { file, lives = processLives } = this.#options;
    try {
      const bytes = readUtmp(file);
      this.problem = undefined;
      // No file: nobody has logged in since the machine came up.
      this.#onUsers(bytes === undefined ? [] : utmpUsers(bytes, lives));
    } catch (error) {
      this.problem = `Cannot read ${file}: ${messageOf(error)}, wanted a readable file`;
      this.#lookSoon(RETRY_MS);
    }
  }
}

/** undefined when there is none. Never waits: what is no regular file is refused. */
function readUtmp(file: string): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error, '') === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error('found no regular file');
    const bytes = Buffer.alloc(Math.min(stat.size, UTMP_BYTES_MAX));
    let read = 0;
    for (let got = -1; got !== 0 && read < bytes.length; read += got)
      got = readSync(fd, bytes, read, bytes.length - read, read);
    return bytes.subarray(0, read);
  } finally {
    closeSync(fd);
  }
}

function processLives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error, '') === 'EPERM';
  }
}
