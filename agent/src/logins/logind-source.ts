// Sessions by systemd-logind over D-Bus: its signals say when to look. Everything that it answers is checked: it is another program's word.
import type { MessageBus } from 'dbus-native';
import { Backoff } from '../control/backoff.js';
import { messageOf } from '../errors.js';
import type { Timers } from '../timers.js';
import { type LoginSource, type OnUsers, userNames } from './login-source.js';

const SERVICE = 'org.freedesktop.login1';
const ROOT = '/org/freedesktop/login1';
const MANAGER = 'org.freedesktop.login1.Manager';
const SESSION = 'org.freedesktop.login1.Session';
const PROPERTIES = 'org.freedesktop.DBus.Properties';
/** An answer of logind is a few kilobytes; more is refused before it is held. */
const MESSAGE_BYTES_MAX = 1_048_576;
const SESSIONS_MAX = 4096;
const ANSWER_MS = 5000;
const SETTLE_MS = 20;

const MATCHES = [
  `type='signal',sender='${SERVICE}',path='${ROOT}',interface='${MANAGER}'`,
  `type='signal',sender='${SERVICE}',path_namespace='${ROOT}/session',interface='${PROPERTIES}'`,
  // logind came back after a restart: its sessions did too, without a signal for each.
  `type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${SERVICE}'`,
];

export interface LogindSourceOptions {
  /** For example unix:path=/run/dbus/system_bus_socket. */
  readonly busAddress: string;
  readonly timers: Timers;
  readonly random: () => number;
}

export class LogindSource implements LoginSource {
  readonly name = 'logind';
  problem: string | undefined = 'not looked yet';
  readonly #options: LogindSourceOptions;
  readonly #backoff: Backoff;
  #onUsers: OnUsers = () => {};
  #bus: MessageBus | undefined;
  #cancel: (() => void) | undefined;
  #looking = false;
  #again = false;
  #stopped = false;

  constructor(options: LogindSourceOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ firstMs: 500, maxMs: 60_000 }, options.random);
  }

  start(onUsers: OnUsers): void {
    this.#onUsers = onUsers;
    void this.#connect();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    this.#bus?.connection.end();
  }

  async #connect(): Promise<void> {
    try {
      const { createClient } = await import('dbus-native');
      const bus = createClient({
        busAddress: this.#options.busAddress,
        authMethods: ['EXTERNAL'],
        maxMessageSize: MESSAGE_BYTES_MAX,
        timeout: ANSWER_MS,
      });
      this.#bus = bus;
      const lost = (error?: Error) => this.#lost(bus, error ?? new Error('the connection ended'));
      bus.connection.on('error', lost);
      bus.connection.on('close', lost);
      bus.connection.on('message', (message) => {
        if (message.type === SIGNAL) this.#lookSoon();
      });
      // Before the first look, so that nothing falls between the two.
      for (const match of MATCHES) await bus.addMatch(match);
      if (this.#stopped) return;
      await this.#look(bus);
    } catch (error) {
      this.#lost(this.#bus, error);
    }
  }

  #lost(bus: MessageBus | undefined, error: unknown): void {
    if (this.#stopped || bus !== this.#bus) return;
    this.#bus = undefined;
    bus?.connection.end();
    this.problem = `Cannot follow logins by logind at ${this.#options.busAddress}: ${messageOf(error)}, wanted an answering bus`;
    this.#cancel?.();
    this.#cancel = this.#options.timers.after(this.#backoff.nextMs(), () => void this.#connect());
  }

  #lookSoon(): void {
    const bus = this.#bus;
    if (this.#stopped || bus === undefined) return;
    this.#cancel?.();
    this.#cancel = this.#options.timers.after(SETTLE_MS, () => void this.#look(bus));
  }

  /** One look at a time; one more when something changed meanwhile. */
  async #look(bus: MessageBus): Promise<void> {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    try {
      do {
        this.#again = false;
        const users = await sessionUsers(bus);
        if (this.#stopped || bus !== this.#bus) return;
        this.problem = undefined;
        this.#backoff.reset();
        this.#onUsers(users);
      } while (this.#again);
    } catch (error) {
      this.#lost(bus, error);
    } finally {
      this.#looking = false;
    }
  }
}

const SIGNAL = 4;

/** Names of the users with a session of their own: greeters and lock screens are nobody's login, and one that is closing has ended. */
async function sessionUsers(bus: MessageBus): Promise<string[]> {
  const listed: unknown = await bus.invoke({
    destination: SERVICE,
    path: ROOT,
    interface: MANAGER,
    member: 'ListSessions',
  });
  if (!Array.isArray(listed)) throw new Error('found no list of sessions');
  const users: string[] = [];
  for (const session of listed.slice(0, SESSIONS_MAX)) {
    // a(susso): id, uid, user, seat, object path.
    const [, , user, , path]: unknown[] = Array.isArray(session) ? session : [];
    if (typeof user !== 'string' || typeof path !== 'string') throw new Error('found a session without user and path');
    if (await isLogin(bus, path)) users.push(user);
  }
  return userNames(users);
}

async function isLogin(bus: MessageBus, path: string): Promise<boolean> {
  let facts: unknown;
  try {
    facts = await bus.invoke({
      destination: SERVICE,
      path,
      interface: PROPERTIES,
      member: 'GetAll',
      signature: 's',
      body: [SESSION],
    });
  } catch (error) {
    // It ended between the list and now.
    if (/UnknownObject|NoSuchSession/.test(String((error as { dbusName?: unknown }).dbusName))) return false;
    throw error;
  }
  const { Class: kind, State: state } = (typeof facts === 'object' && facts !== null ? facts : {}) as Record<
    string,
    unknown
  >;
  return typeof kind === 'string' && kind.startsWith('user') && kind !== 'user-incomplete' && state !== 'closing';
}
