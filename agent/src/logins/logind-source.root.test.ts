// A real dbus-daemon with an object of its own in logind's place, speaking logind's interface: sessions come, change and go.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, defineInterface, type MessageBus } from 'dbus-native';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemTimers } from '../timers.js';
import { LogindSource } from './logind-source.js';

const ROOT = '/org/freedesktop/login1';

let dir: string;
let address: string;
let daemon: ChildProcess | undefined;
let logind: FakeLogind | undefined;
let source: LogindSource;
let seen: (readonly string[])[];

/** logind's Manager and its sessions. */
class FakeLogind {
  readonly sessions = new Map<string, { uid: number; user: string; Class: string; State: string }>();
  listed: unknown;
  readonly #bus: MessageBus;

  private constructor(bus: MessageBus) {
    this.#bus = bus;
  }

  static async start(): Promise<FakeLogind> {
    const bus = createClient({ busAddress: address, authMethods: ['EXTERNAL'] });
    bus.connection.on('error', () => {});
    const fake = new FakeLogind(bus);
    const list = () => [...fake.sessions].map(([id, { uid, user }]) => [id, uid, user, '', `${ROOT}/session/${id}`]);
    const manager = defineInterface({
      name: 'org.freedesktop.login1.Manager',
      methods: { ListSessions: { out: { sessions: 'a(susso)' }, handler: () => fake.listed ?? list() } },
      signals: { SessionNew: { args: { id: 's', path: 'o' } }, SessionRemoved: { args: { id: 's', path: 'o' } } },
    });
    await bus.export(ROOT, manager);
    await bus.requestName('org.freedesktop.login1', 0);
    return fake;
  }

  async add(id: string, user: string, Class = 'user', State = 'active'): Promise<void> {
    const facts = { uid: 1000, user, Class, State };
    this.sessions.set(id, facts);
    const session = defineInterface({
      name: 'org.freedesktop.login1.Session',
      properties: {
        Class: { type: 's', access: 'read', get: () => facts.Class },
        State: { type: 's', access: 'read', get: () => facts.State },
      },
    });
    await this.#bus.export(`${ROOT}/session/${id}`, session);
    this.#signal('SessionNew', id);
  }

  /** Logged out, with processes that stay behind: logind keeps the session until they end. */
  close(id: string): void {
    const session = this.sessions.get(id);
    if (session !== undefined) session.State = 'closing';
    this.#bus.emitPropertiesChanged(`${ROOT}/session/${id}`, 'org.freedesktop.login1.Session', {}, ['State']);
  }

  remove(id: string): void {
    this.sessions.delete(id);
    this.#bus.unexportInterface(`${ROOT}/session/${id}`);
    this.#signal('SessionRemoved', id);
  }

  async stop(): Promise<void> {
    await this.#bus.close();
  }

  #signal(member: string, id: string): void {
    this.#bus.sendSignal(ROOT, 'org.freedesktop.login1.Manager', member, 'so', [id, `${ROOT}/session/${id}`]);
  }
}

async function startDaemon(): Promise<void> {
  const started = spawn('dbus-daemon', [`--config-file=${join(dir, 'bus.conf')}`, '--nofork', '--print-address'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  daemon = started;
  await new Promise<void>((resolve, reject) => {
    started.once('error', reject);
    started.once('exit', (code) => reject(new Error(`dbus-daemon ended with ${code}`)));
    started.stdout?.once('data', () => resolve());
  });
}

async function stopDaemon(): Promise<void> {
  const running = daemon;
  daemon = undefined;
  if (running === undefined || running.exitCode !== null) return;
  const ended = new Promise((resolve) => running.once('exit', resolve));
  running.kill('SIGKILL');
  await ended;
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'rf-logind-'));
  address = `unix:path=${join(dir, 'bus')}`;
  seen = [];
  writeFileSync(
    join(dir, 'bus.conf'),
    `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
    <busconfig><type>session</type><listen>${address}</listen><auth>EXTERNAL</auth>
    <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`,
  );
  source = new LogindSource({ busAddress: address, timers: systemTimers, random: Math.random });
});
afterEach(async () => {
  await source.stop();
  await logind?.stop();
  logind = undefined;
  await stopDaemon();
  rmSync(dir, { recursive: true, force: true });
});

const until = (users: readonly string[]) => vi.waitFor(() => expect(seen.at(-1)).toEqual(users), { timeout: 10_000 });
const follow = () => source.start((users) => seen.push(users));

test('follows sessions as they come, close and go; greeters and closing sessions are nobody', async () => {
  await startDaemon();
  logind = await FakeLogind.start();
  await logind.add('c1', 'gdm', 'greeter');
  await logind.add('1', 'anna');
  follow();
  await until(['anna']);
  expect(source.problem).toBeUndefined();
  await logind.add('2', 'ben');
  await until(['anna', 'ben']);
  await logind.add('3', 'anna');
  logind.remove('1');
  await vi.waitFor(() => expect(logind?.sessions.size).toBe(3), { timeout: 30_000 });
  logind.close('2');
  await until(['anna']);
  logind.remove('3');
  await until([]);
});

test('a bus that comes late, and one that goes and comes back: what was known stands in between', async () => {
  follow();
  await vi.waitFor(() => expect(source.problem).toMatch(/Cannot follow logins by logind/), { timeout: 10_000 });
  expect(seen).toEqual([]);
  await startDaemon();
  logind = await FakeLogind.start();
  await logind.add('1', 'anna');
  await until(['anna']);
  await logind.stop();
  await stopDaemon();
  await vi.waitFor(() => expect(source.problem).toBeDefined(), { timeout: 10_000 });
  expect(seen.at(-1)).toEqual(['anna']);
  await startDaemon();
  logind = await FakeLogind.start();
  await logind.add('9', 'eve');
  await until(['eve']);
});

test('logind restarted: its sessions are asked for again', async () => {
  await startDaemon();
  logind = await FakeLogind.start();
  await logind.add('1', 'anna');
  follow();
  await until(['anna']);
  await logind.stop();
  logind = await FakeLogind.start();
  await logind.add('1', 'anna');
  await logind.add('2', 'zoe');
  await until(['anna', 'zoe']);
});

test('an answer with rubbish in names is passed over; the source goes on', async () => {
  await startDaemon();
  logind = await FakeLogind.start();
  await logind.add('1', 'anna');
  await logind.add('2', 'x'.repeat(5000));
  await logind.add('3', 'a\nb');
  follow();
  await until(['anna']);
  // A list that names a session which is not there any more.
  logind.listed = [
    ['7', 7, 'ghost', '', `${ROOT}/session/7`],
    ['4', 4, 'late', '', `${ROOT}/session/4`],
  ];
  await logind.add('4', 'late');
  await until(['late']);
});
