// Issue 4: what a host does while it belongs to a fleet and when it leaves, with the system's own processes. Labels follow who is logged in
// (utmp), the controller says how unpaired containers are treated, and a host that leaves keeps, opens or removes what it enforces.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../src/exec.js';
import { Fleet, type Member } from '../src/fleet.js';
import { repository } from '../src/paths.js';
import type { Place } from '../src/place.js';
import { until } from '../src/until.js';

const policy = `
userGroups:
  - {id: administrators, value: ops, groups: root}
rules:
  - {id: ops-to-db, service: tcp/22, providedBy: role=db, usedBy: user-group=ops}
  - {id: web-to-db, service: tcp/80, providedBy: role=db, usedBy: role=web}
modes:
  - {id: enforced, match: {any: [role=web, role=front]}, mode: enforce}
`;

/** A record of glibc's utmp: a session of this user, whose leader is this very process. */
function session(user: string): Buffer {
  const bytes = Buffer.alloc(process.arch === 'arm64' ? 400 : 384);
  bytes.writeInt16LE(7, 0);
  bytes.writeInt32LE(process.pid, 4);
  bytes.write(user, 44, 32);
  return bytes;
}

describe('the life of a host', () => {
  let fleet: Fleet;
  let alpha: Member;
  let self: Place;
  let web: Place;
  let free: Place;
  let db: Place;
  let utmp: string;

  const cli = (...args: string[]) => fleet.controller.cli(args);
  const reaches = async (from: Place, port: number, timeoutMs = 1000) =>
    (await from.probe('tcp', db.addresses.ip4, port, timeoutMs)).ok;
  /** What policy allows, and what it forbids. */
  const served = async () => [await reaches(web, 80, 5000), await reaches(web, 81)];
  const ENFORCED = [true, false];
  const OPEN = [true, true];
  const shown = async () => JSON.parse(await cli('-o', 'json', 'host', 'show', 'alpha')) as { connected: boolean };
  const enrol = async () => {
    const token = alpha.host.file('token');
    await writeFile(token, await cli('host', 'token', '--host-id', 'alpha'), { mode: 0o600 });
    const args = ['--controller', fleet.controller.enrollAddress, '--token-file', token];
    const main = join(repository, 'cli', 'dist', 'main.js');
    const enter = [`--net=${alpha.host.netns.path}`, process.execPath, main, 'enroll'];
    await run('nsenter', [...enter, ...args, '--state-dir', alpha.agent.stateDir]);
  };
  /** The host belongs to the fleet again, with its labels: they went when it was removed. */
  const belongs = async () => {
    await until('alpha to be connected', async () => (await shown()).connected, { timeoutMs: 60_000 });
    await fleet.known(['alpha', 'web']);
    await fleet.label('web', { role: 'web' });
    await fleet.label('alpha', { role: 'front' });
    await fleet.converged();
    expect(await served()).toEqual(ENFORCED);
  };
  const left = () => until('its identity to be gone', () => !existsSync(join(alpha.agent.stateDir, 'key.pem')));

  beforeAll(async () => {
    fleet = await Fleet.start([
      { name: 'alpha', containers: ['free'], services: ['web'] },
      { name: 'beta', services: ['db'] },
    ]);
    alpha = fleet.member('alpha');
    [web, free, db, self] = [fleet.place('web'), fleet.place('free'), fleet.place('db'), await alpha.host.self()];
    await db.serve('tcp:22', 'tcp:80', 'tcp:81');
    utmp = alpha.host.file('utmp');
    await alpha.agent.stop();
    await alpha.agent.writeConfig({ logins: { follow: 'utmp', utmpFile: utmp } });
    await alpha.agent.start();
    await fleet.label('db', { role: 'db' });
    await fleet.provision([{ name: 'policy.yaml', content: policy }]);
    await belongs();
  }, 240_000);
  afterAll(() => fleet?.close());

  it('a login on the host gives its label and lets it in; a logout takes both away; rubbish in utmp changes nothing else', async () => {
    expect(await reaches(self, 22)).toBe(false);
    await writeFile(utmp, Buffer.concat([Buffer.alloc(1000, 0xee), session('nobody-here')]));
    await writeFile(utmp, session('root'));
    await until('the host to be let in', () => reaches(self, 22));
    const text = await cli('workload', 'show', 'alpha/alpha');
    expect(text).toMatch(/user-group=ops +\(login: rule administrators: root of group root is logged in\)/);
    expect(await cli('workload', 'why', 'alpha/alpha', 'user-group')).toContain('administrators');
    expect(await cli('host', 'show', 'alpha')).toMatch(/logged in +root \(.*root/);
    // Of the host itself only: its services are not the user's.
    expect(await reaches(web, 22)).toBe(false);
    rmSync(utmp);
    await until('the host to be shut out', async () => !(await reaches(self, 22)));
    expect(await cli('workload', 'show', 'alpha/alpha')).not.toContain('user-group');
  }, 60_000);

  it('the controller has unpaired containers cut off, from their first instruction on, also while nobody is there to see them', async () => {
    expect(await reaches(free, 80)).toBe(true);
    await cli('host', 'set', 'alpha', '--unpaired', 'isolate');
    await until('what runs to be cut off', async () => !(await reaches(free, 80)));
    expect(await cli('host', 'show', 'alpha')).toMatch(/unpaired +isolate \(by operator\)/);
    // The start gap, closed by the controller's word: it connects in its first instruction.
    const first = await alpha.host.docker.client.createContainer({
      ...{ name: 'first-act', Image: 'rflab:latest' },
      Cmd: ['/rflab', 'probe', db.addresses.ip4, '80', '--timeout-ms', '300'],
    });
    await first.start();
    await first.wait();
    const log = (await first.logs({ stdout: true, stderr: true })).toString();
    expect(log).toContain('"event"');
    expect(log).toContain('"ok":false');
    await fleet.controller.stop();
    await alpha.agent.kill();
    const late = await alpha.host.container('late');
    expect(await reaches(late, 80)).toBe(false);
    // What the controller said last is on disk.
    await alpha.agent.start();
    await alpha.agent.ready();
    expect([await reaches(free, 80), await reaches(late, 80)]).toEqual([false, false]);
    await fleet.controller.start();
    await until('alpha to be connected', async () => (await shown()).connected, { timeoutMs: 60_000 });
    await cli('host', 'set', 'alpha', '--unpaired', 'default');
    await until('both to be let in', async () => (await reaches(free, 80)) && reaches(late, 80));
  }, 120_000);

  it('removed with --leave keep: without an identity it enforces on, over a restart of the agent; enrolled again it belongs', async () => {
    expect(await cli('host', 'remove', 'alpha', '--leave', 'keep', '--yes')).toContain('its agent was told: keep');
    await left();
    expect(await served()).toEqual(ENFORCED);
    await alpha.agent.stop();
    await alpha.agent.start();
    await alpha.agent.ready();
    expect(await served()).toEqual(ENFORCED);
    await enrol();
    await belongs();
  }, 120_000);

  it('removed with --leave open: nothing is blocked, over a restart of the agent; enrolled again it is enforced', async () => {
    expect(await cli('host', 'remove', 'alpha', '--leave', 'open', '--yes')).toContain('its agent was told: open');
    await left();
    await until('nothing to be blocked', async () => (await served()).every(Boolean));
    await alpha.agent.stop();
    await alpha.agent.start();
    await alpha.agent.ready();
    expect(await served()).toEqual(OPEN);
    await enrol();
    await belongs();
  }, 120_000);

  it('removed with --leave remove: nothing stays in the kernel, the agent ends and stays away until the host is enrolled', async () => {
    expect(await cli('host', 'remove', 'alpha', '--leave', 'remove', '--yes')).toContain('its agent was told: remove');
    expect(await alpha.agent.exited).toMatchObject({ code: 0 });
    expect(existsSync(alpha.host.pinPath) ? readdirSync(alpha.host.pinPath) : []).toEqual([]);
    expect(existsSync(join(alpha.agent.stateDir, 'state.cbor'))).toBe(false);
    expect(await served()).toEqual(OPEN);
    await alpha.agent.start();
    expect(await alpha.agent.exited).toMatchObject({ code: 0 });
    expect(existsSync(alpha.host.pinPath) ? readdirSync(alpha.host.pinPath) : []).toEqual([]);
    await enrol();
    await alpha.agent.start();
    await belongs();
  }, 180_000);

  it('without a controller the host leaves by itself: keep, open, remove; not while its agent runs', async () => {
    await fleet.controller.stop();
    await expect(alpha.agent.command('unenroll', '--outcome', 'open')).rejects.toThrow(/RF_LOCKED/);
    await alpha.agent.stop();
    expect(await alpha.agent.command('unenroll', '--outcome', 'keep')).toContain('the last good policy stays in force');
    await left();
    expect(await served()).toEqual(ENFORCED);
    expect(await alpha.agent.command('unenroll', '--outcome', 'open')).toContain('nothing is blocked');
    expect(await served()).toEqual(OPEN);
    expect(await alpha.agent.command('unenroll', '--outcome', 'remove')).toContain('removed everything under');
    expect(await served()).toEqual(OPEN);
    expect(existsSync(alpha.host.pinPath) ? readdirSync(alpha.host.pinPath) : []).toEqual([]);
    await expect(alpha.agent.command('unenroll', '--outcome', 'burn')).rejects.toThrow(/it ended with 2, wanted 0/);
  }, 60_000);
});
