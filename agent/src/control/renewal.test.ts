import { expect, it } from 'vitest';
import { ManualTimers, settle } from '../testing/manual-timers.js';
import { makeAuthority } from '../testing/test-authority.js';
import { type Credentials, checkCredentials } from './credentials.js';
import { CertificateRenewer, renewAtMs } from './renewal.js';

const HOUR = 3_600_000;

/** A clock that begins at the machine's: certificates carry real dates. */
class CertificateClock extends ManualTimers {
  #offset = Date.now() - super.now();
  override now(): number {
    return super.now() + this.#offset;
  }
  /** Somebody sets the wall clock; timers do not notice. */
  set(byMs: number): void {
    this.#offset += byMs;
  }
}

async function rig() {
  const authority = await makeAuthority('ca');
  const timers = new CertificateClock();
  const first = await authority.host('h1', 24 * HOUR);
  let own: Credentials = checkCredentials('h1', 'c:1', first.keyPem, first.certificatePem, authority.pem);
  const state = { signed: 0, fail: 0, foreign: false, failures: [] as string[], renewed: 0 };
  const foreign = await makeAuthority('foreign');
  const renewer = new CertificateRenewer({
    read: () => own,
    write: (next) => {
      own = next;
    },
    sign: async (csrDer) => {
      if (state.fail > 0) {
        state.fail -= 1;
        throw new Error('controller away');
      }
      state.signed += 1;
      const by = state.foreign ? foreign : authority;
      const life = timers.now() - Date.now() + 48 * HOUR;
      const certificatePem = await by.sign(csrDer, 'h1', life);
      return { hostId: 'h1', certificatePem, caPem: authority.pem, syncAddress: '' };
    },
    timers,
    random: () => 1,
    onRenewed: () => {
      state.renewed += 1;
    },
    onFailed: (message) => state.failures.push(message),
  });
  renewer.start();
  /** Signing is real work off this thread: the clock waits for it. */
  const until = async (done: () => boolean) => {
    // Keys are made on other threads, which may take their time on a busy machine.
    for (const end = Date.now() + 20_000; !done() && Date.now() < end; ) await settle();
    expect(done()).toBe(true);
  };
  return { timers, state, renewer, own: () => own, until };
}

it('CertificateRenewer renews at two thirds of the life, with a new key', async () => {
  const { timers, state, renewer, own, until } = await rig();
  const before = own();
  await timers.advance(renewAtMs(before) - timers.now() - 1000);
  expect(state.signed).toBe(0);
  await timers.advance(2000);
  await until(() => state.renewed === 1);
  expect(own().keyPem).not.toBe(before.keyPem);
  expect(own().notAfterMs).toBeGreaterThan(before.notAfterMs);
  renewer.stop();
});

it('CertificateRenewer tries again with backoff until it works', async () => {
  const { timers, state, renewer, own, until } = await rig();
  state.fail = 3;
  await timers.advance(renewAtMs(own()) - timers.now() + 1000);
  for (let failures = 1; failures <= 3; failures++) {
    await until(() => state.failures.length === failures);
    await timers.advance(5_000 * 2 ** (failures - 1));
  }
  await until(() => state.renewed === 1);
  expect(state.failures[0]).toMatch(/Cannot renew the certificate of host h1: controller away/);
  renewer.stop();
});

it('CertificateRenewer keeps the present certificate when the new one does not fit', async () => {
  const { timers, state, renewer, own, until } = await rig();
  const before = own();
  state.foreign = true;
  await timers.advance(renewAtMs(before) - timers.now() + 1000);
  await until(() => state.failures.length === 1);
  expect(state.failures[0]).toMatch(/another authority signed it/);
  expect(own()).toBe(before);
  renewer.stop();
});

it('CertificateRenewer renews once, within the hour, when the wall clock is set past the time for it', async () => {
  const { timers, state, renewer, own, until } = await rig();
  const before = own();
  timers.set(renewAtMs(before) - timers.now() + 1000);
  expect(state.signed).toBe(0);
  await timers.advance(HOUR);
  await until(() => state.renewed === 1);
  await timers.advance(HOUR);
  expect(state.signed).toBe(1);
  renewer.stop();
});

it('CertificateRenewer asks for nothing while the wall clock is behind, and is in time once it is right again', async () => {
  const { timers, state, renewer, own, until } = await rig();
  timers.set(-240 * HOUR);
  await timers.advance(12 * HOUR);
  expect([state.signed, state.failures.length, timers.pending]).toEqual([0, 0, 1]);
  timers.set(240 * HOUR);
  await timers.advance(renewAtMs(own()) - timers.now() + HOUR);
  await until(() => state.renewed === 1);
  renewer.stop();
});

it('CertificateRenewer goes on asking, at most every ten minutes, with a certificate that has ended', async () => {
  const { timers, state, renewer, own, until } = await rig();
  state.fail = Number.POSITIVE_INFINITY; // the controller takes no call under an expired certificate
  timers.set(own().notAfterMs - timers.now() + HOUR);
  await timers.advance(HOUR);
  for (let failures = 1; failures < 12; failures++) {
    await until(() => state.failures.length === failures);
    expect(timers.nextIn).toBeGreaterThanOrEqual(Math.min(600_000, 5_000 * 2 ** (failures - 1)) / 2);
    expect(timers.nextIn).toBeLessThanOrEqual(600_000);
    await timers.advance(timers.nextIn ?? 0);
  }
  expect(own().notAfterMs).toBeLessThan(timers.now());
  // The clock was wrong after all: the same process recovers by itself.
  state.fail = 0;
  timers.set(-5 * HOUR);
  await timers.advance(600_000);
  await until(() => state.renewed === 1);
  renewer.stop();
});

it('CertificateRenewer.checkClock renews at once when the clock was set past the time, and does nothing while it runs on', async () => {
  const { timers, state, renewer, own, until } = await rig();
  renewer.checkClock();
  await timers.advance(HOUR / 2);
  renewer.checkClock();
  expect(state.signed).toBe(0);
  timers.set(renewAtMs(own()) - timers.now() + 1000);
  renewer.checkClock();
  await until(() => state.renewed === 1);
  renewer.checkClock();
  await settle();
  expect(state.signed).toBe(1);
  renewer.stop();
});
