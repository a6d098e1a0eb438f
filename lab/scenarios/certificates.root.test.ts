// Issue 4, must show 6: certificates of real processes whose wall clock is moved (lab/src/moved-clock.ts). The agent's lives 30 days and is
// renewed at two thirds, the controller's 90 days. Nothing that is verified here is verified by another clock than the processes' own.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../src/exec.js';
import { Fleet, type Member } from '../src/fleet.js';
import { MovedClock } from '../src/moved-clock.js';
import { repository } from '../src/paths.js';
import type { Place } from '../src/place.js';
import { until } from '../src/until.js';

const policy = `
rules:
  - {id: web-to-db, service: tcp/80, providedBy: role=db, usedBy: role=web}
modes:
  - {id: all, match: {label: role, exists: true}, mode: enforce}
`;

interface ShownHost {
  connected: boolean;
  revoked: boolean;
  certificate: { serial: string; notAfter: string };
  conditions: { code: string }[];
}

describe('certificates under a moved clock', () => {
  let fleet: Fleet;
  let alpha: Member;
  let clock: MovedClock;
  let web: Place;
  let db: Place;

  const host = async () => JSON.parse(await fleet.controller.cli(['-o', 'json', 'host', 'show', 'alpha'])) as ShownHost;
  const certificate = () => new X509Certificate(readFileSync(join(alpha.agent.stateDir, 'cert.pem')));
  const connected = (what: string) =>
    until(`alpha to be connected ${what}`, async () => (await host()).connected, { timeoutMs: 60_000 });
  const renewed = (before: X509Certificate) =>
    until('a new certificate', () => certificate().serialNumber !== before.serialNumber, { timeoutMs: 60_000 });
  /** This run of the controller has turned the agent away. */
  const refused = (why: string) =>
    until(
      `the controller to refuse the certificate ${why}`,
      () => {
        const log = fleet.controller.log;
        return log.slice(log.lastIndexOf('controller serves')).includes('found no valid client certificate');
      },
      { timeoutMs: 60_000 },
    );
  /** What policy allows passes and what it forbids does not: the kernel enforces it. */
  const enforced = async () => {
    const [allowed, forbidden] = await Promise.all([
      web.probe('tcp', db.addresses.ip4, 80, 5000),
      web.probe('tcp', db.addresses.ip4, 81, 300),
    ]);
    return [allowed.ok, forbidden.ok];
  };

  beforeAll(async () => {
    fleet = await Fleet.start([
      { name: 'alpha', services: ['web'] },
      { name: 'beta', services: ['db'] },
    ]);
    alpha = fleet.member('alpha');
    [web, db] = [fleet.place('web'), fleet.place('db')];
    await db.serve('tcp:80', 'tcp:81');
    await fleet.label('web', { role: 'web' });
    await fleet.label('db', { role: 'db' });
    await fleet.provision([{ name: 'policy.yaml', content: policy }]);
    // From here on alpha and the controller live by a clock of their own; beta stands for the peers and is not looked at.
    await fleet.member('beta').agent.stop();
    clock = await MovedClock.create(alpha.host.file('clock'));
    fleet.controller.environment = clock.environment;
    alpha.agent.environment = clock.environment;
    await alpha.agent.stop();
    await fleet.controller.stop();
    await fleet.controller.start();
    await alpha.agent.start();
    await connected('before anything');
  }, 180_000);
  afterAll(() => fleet?.close());

  it('a clock that is set three weeks ahead: the agent renews within seconds, connected all the while', async () => {
    const before = certificate();
    clock.set(21);
    await renewed(before);
    const after = certificate();
    // By the moved clock: from 21 days on, for 30.
    const days = (Date.parse(after.validTo) - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(50.9);
    expect(days).toBeLessThan(51.1);
    const shown = await host();
    expect(shown).toMatchObject({ connected: true, revoked: false });
    expect(shown.certificate.serial).toBe(after.serialNumber.toLowerCase());
    expect(await fleet.controller.cli(['audit', 'list', '--action', 'host.renew'])).toContain(
      'certificate of alpha renewed',
    );
    expect(await enforced()).toEqual([true, false]);
  }, 120_000);

  it('a controller that was restarted, and whose own certificate was due, renews for the agent', async () => {
    const before = certificate();
    const own = () => new X509Certificate(readFileSync(join(fleet.controller.stateDir, 'server', 'server.pem')));
    const serverBefore = own();
    await fleet.controller.stop();
    // Two thirds of the agent's second certificate are over; it ends at day 51.
    clock.set(45);
    await fleet.controller.start();
    await connected('to the restarted controller');
    await renewed(before);
    // Two thirds of the controller's own are over, and of the agent's third one not yet.
    clock.set(64);
    await fleet.controller.stop();
    await fleet.controller.start();
    expect(own().serialNumber).not.toBe(serverBefore.serialNumber);
    await connected('to a controller with a new certificate');
    expect(await enforced()).toEqual([true, false]);
  }, 120_000);

  it('a certificate that ended while the controller was away: refused, told, the kernel enforces on; a token brings it back', async () => {
    const ended = certificate().serialNumber;
    await fleet.controller.stop();
    clock.set(200);
    await fleet.controller.start();
    const told = await until('the agent to say so', () => /RF_CERT_EXPIRED/.test(alpha.agent.log), {
      timeoutMs: 60_000,
    });
    expect(told).toBe(true);
    await refused('that has ended');
    expect((await host()).connected).toBe(false);
    expect(await enforced()).toEqual([true, false]);
    // Nor can it renew: that is for the same mutual TLS.
    expect(certificate().serialNumber).toBe(ended);
    // Restarted without any right: the kernel and the state on disk are enough.
    await alpha.agent.stop();
    await alpha.agent.start();
    await alpha.agent.ready();
    expect(await enforced()).toEqual([true, false]);
    const token = alpha.host.file('token');
    await writeFile(token, await fleet.controller.cli(['host', 'token', '--host-id', 'alpha']), { mode: 0o600 });
    const main = join(repository, 'cli', 'dist', 'main.js');
    await run('nsenter', [
      ...[`--net=${alpha.host.netns.path}`, 'env', ...Object.entries(clock.environment).map(([k, v]) => `${k}=${v}`)],
      ...[process.execPath, main, 'enroll', '--controller', fleet.controller.enrollAddress],
      ...['--token-file', token, '--state-dir', alpha.agent.stateDir],
    ]);
    await connected('again, under its id');
    const { workloads } = JSON.parse(
      await fleet.controller.cli(['-o', 'json', 'workload', 'list', '--host', 'alpha']),
    ) as {
      workloads: { name: string; labels: Record<string, string> }[];
    };
    expect(workloads.find(({ name }) => name === 'web')?.labels).toEqual({ role: 'web' });
    expect(await enforced()).toEqual([true, false]);
  }, 120_000);

  it('a clock set back: what was certified later is refused, the kernel enforces on, and set right all is as before', async () => {
    clock.set(199);
    await fleet.controller.stop();
    await fleet.controller.start();
    await refused('that is not valid yet');
    expect((await host()).connected).toBe(false);
    expect(await enforced()).toEqual([true, false]);
    clock.set(200.1);
    await connected('by the right clock');
    expect(await enforced()).toEqual([true, false]);
  }, 150_000);
});
