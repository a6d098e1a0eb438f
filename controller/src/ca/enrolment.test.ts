import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostFacts } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { NO_AUDIT_FILTER } from '../store/audit.js';
import { openSqlite } from '../store/sqlite.js';
import { StateStore } from '../store/state-store.js';
import { Authority, SERVER_LIFETIME_MS } from './authority.js';
import { createSigningRequest, factsOf } from './certificates.js';
import { Enrolment } from './enrolment.js';

let dir: string;
let store: StateStore;
let authority: Authority;
let enrolment: Enrolment;
let nowMs = Date.parse('2026-01-01T00:00:00Z');
const now = () => nowMs;
const ask = { ttlMs: 60_000, hostId: '', note: '', author: 'test' };
const facts = HostFacts.fromPartial({ hostname: 'web1.example.org' });

beforeEach(async () => {
  nowMs = Date.parse('2026-01-01T00:00:00Z');
  dir = mkdtempSync(join(tmpdir(), 'rf-ca-'));
  store = new StateStore(openSqlite(join(dir, 'db')));
  authority = await Authority.open(join(dir, 'state'), now);
  enrolment = new Enrolment(store, authority, now);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

test('enroll gives a certificate of the authority that names the host, and the token is used up', async () => {
  const token = await enrolment.createToken(ask);
  const { der } = await createSigningRequest();
  const signed = await enrolment.enroll(token.text, der, facts, '10.0.0.1');
  expect(signed.hostId).toBe('web1');
  const certificate = new X509Certificate(signed.certificatePem);
  expect(certificate.verify(new X509Certificate(authority.caPem).publicKey)).toBe(true);
  expect(certificate.subjectAltName).toBe('URI:ringfence://host/web1');
  expect(store.get('host', 'web1')?.certificates.map((c) => c.serial)).toEqual([factsOf(signed.certificatePem).serial]);
  await expect(enrolment.enroll(token.text, der, facts, '10.0.0.1')).rejects.toMatchObject({
    code: 'RF_ENROLL_TOKEN_USED',
  });
  const stored = JSON.stringify([...store.table('token').values()]);
  expect(stored).not.toContain(token.text.split('.')[2]);
});

test('of 50 requests at once on one token one succeeds', async () => {
  const token = await enrolment.createToken(ask);
  const requests = await Promise.all(Array.from({ length: 50 }, createSigningRequest));
  const results = await Promise.allSettled(
    requests.map(({ der }, i) => enrolment.enroll(token.text, der, facts, `10.0.0.${i}`)),
  );
  expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
  expect([...store.table('host').keys()]).toEqual(['web1']);
});

test('expired, unknown, malformed and altered tokens are refused with their code', async () => {
  const { der } = await createSigningRequest();
  const token = await enrolment.createToken(ask);
  const [version, id, secret, pin] = token.text.split('.');
  const altered = `${version}.${id}.${(secret ?? '').replace(/^./, (c) => (c === 'A' ? 'B' : 'A'))}.${pin}`;
  for (const bad of ['', 'rfe1.x', altered, `${version}.AAAAAAAA.${secret}.${pin}`]) {
    await expect(enrolment.enroll(bad, der, facts, 'a'), bad).rejects.toMatchObject({ code: 'RF_ENROLL_TOKEN' });
  }
  nowMs += 60_000;
  await expect(enrolment.enroll(token.text, der, facts, 'b')).rejects.toMatchObject({
    code: 'RF_ENROLL_TOKEN_EXPIRED',
  });
});

test('a request that is none does not use the token up', async () => {
  const token = await enrolment.createToken(ask);
  const { der } = await createSigningRequest();
  const broken = Buffer.from(der);
  broken[broken.length - 3] = (broken[broken.length - 3] ?? 0) ^ 0xff;
  for (const bad of [Buffer.alloc(0), Buffer.from('hello'), broken, Buffer.alloc(9000)]) {
    await expect(enrolment.enroll(token.text, bad, facts, 'a')).rejects.toMatchObject({ code: 'RF_ENROLL_REQUEST' });
  }
  expect((await enrolment.enroll(token.text, der, facts, 'a')).hostId).toBe('web1');
});

test('a source that failed ten times is refused for a while, others are not', async () => {
  const { der } = await createSigningRequest();
  for (let i = 0; i < 10; i++) {
    await expect(enrolment.enroll('x', der, facts, 'bad')).rejects.toMatchObject({ code: 'RF_ENROLL_TOKEN' });
  }
  const token = await enrolment.createToken(ask);
  await expect(enrolment.enroll(token.text, der, facts, 'bad')).rejects.toMatchObject({ code: 'RF_ENROLL_RATE' });
  await expect(enrolment.enroll(token.text, der, facts, 'good')).resolves.toMatchObject({ hostId: 'web1' });
  nowMs += 3000;
  await expect(enrolment.enroll('x', der, facts, 'bad')).rejects.toMatchObject({ code: 'RF_ENROLL_TOKEN' });
});

test('hosts of one name get different ids; a token that names a host revokes its older certificates', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 2; i++) {
    const { text } = await enrolment.createToken(ask);
    ids.push((await enrolment.enroll(text, (await createSigningRequest()).der, facts, 'a')).hostId);
  }
  expect(ids).toEqual(['web1', 'web1-2']);
  const { text } = await enrolment.createToken({ ...ask, hostId: 'web1' });
  const again = await enrolment.enroll(text, (await createSigningRequest()).der, facts, 'a');
  expect(again.hostId).toBe('web1');
  expect(store.get('host', 'web1')?.certificates.map((c) => c.revokedMs !== 0)).toEqual([true, false]);
});

test('renew adds a certificate and drops expired ones', async () => {
  const { text } = await enrolment.createToken(ask);
  await enrolment.enroll(text, (await createSigningRequest()).der, facts, 'a');
  nowMs += 20 * 86_400_000;
  await enrolment.renew('web1', (await createSigningRequest()).der);
  expect(store.get('host', 'web1')?.certificates).toHaveLength(2);
  nowMs += 20 * 86_400_000;
  await enrolment.renew('web1', (await createSigningRequest()).der);
  expect(store.get('host', 'web1')?.certificates).toHaveLength(2);
  await expect(enrolment.renew('nobody', (await createSigningRequest()).der)).rejects.toMatchObject({
    code: 'RF_HOST_UNKNOWN',
  });
});

test('authority is the same after a restart, its key is private, and the server certificate is renewed when due', async () => {
  const again = await Authority.open(join(dir, 'state'), now);
  expect(again.caPem).toBe(authority.caPem);
  expect(again.server.certificatePem).toBe(authority.server.certificatePem);
  expect(statSync(join(dir, 'state', 'ca', 'ca.key')).mode & 0o777).toBe(0o600);
  expect(statSync(join(dir, 'state', 'ca')).mode & 0o777).toBe(0o700);
  expect(await again.renewServerIfDue()).toBe(false);
  nowMs += SERVER_LIFETIME_MS * 0.7;
  expect(await again.renewServerIfDue()).toBe(true);
  expect(factsOf(again.server.certificatePem).notAfterMs).toBeGreaterThan(nowMs + SERVER_LIFETIME_MS * 0.9);
});

test('an authority whose key is gone or foreign is refused', async () => {
  const key = join(dir, 'state', 'ca', 'ca.key');
  rmSync(key);
  await expect(Authority.open(join(dir, 'state'), now)).rejects.toMatchObject({ code: 'RF_CA_INVALID' });
  await Authority.open(join(dir, 'other'), now);
  writeFileSync(key, readFileSync(join(dir, 'other', 'ca', 'ca.key')));
  await expect(Authority.open(join(dir, 'state'), now)).rejects.toThrow(/do not belong together/);
});

test('operator context names files that exist and a certificate with the operator role', async () => {
  const file = await authority.writeOperatorContext('admin', '127.0.0.1:7444');
  const context = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  expect(context).toMatchObject({ address: '127.0.0.1:7444', serverName: 'ringfence-controller' });
  const certificate = readFileSync(context.certFile ?? '', 'utf8');
  expect(new X509Certificate(certificate).subjectAltName).toBe('URI:ringfence://operator/admin');
  await authority.writeOperatorContext('admin', '127.0.0.1:9');
  expect(readFileSync(context.certFile ?? '', 'utf8')).toBe(certificate);
});

test('a controller that was away while its server certificate ended starts with a new one', async () => {
  const before = factsOf(authority.server.certificatePem);
  nowMs += SERVER_LIFETIME_MS * 1.5;
  const again = await Authority.open(join(dir, 'state'), now);
  const { serial, notAfterMs } = factsOf(again.server.certificatePem);
  expect(serial).not.toBe(before.serial);
  expect(notAfterMs).toBeGreaterThan(nowMs);
  expect(again.caPem).toBe(authority.caPem);
  // A clock that ran ahead and was set right: what was made meanwhile is not valid yet.
  nowMs -= SERVER_LIFETIME_MS;
  expect(await again.renewServerIfDue()).toBe(true);
  expect(factsOf(again.server.certificatePem).notBeforeMs).toBeLessThan(nowMs);
  expect(await again.renewServerIfDue()).toBe(false);
});

test('denials by key from any number of addresses leave a bounded number of audit entries, and more with time', async () => {
  const decision = { paired: false as const, denial: 'unknown' as const, detail: '' };
  const keyed = new Enrolment(store, authority, now, {
    desk: { pairIn: () => ({ decision, again: false }) },
    comesFrom: () => false,
  });
  const { der } = await createSigningRequest();
  const tryFrom = (source: string) =>
    expect(keyed.enroll('rfk1_nothing', der, facts, source)).rejects.toMatchObject({ code: 'RF_ENROLL_KEY' });
  const kept = () => store.driver().audit({ ...NO_AUDIT_FILTER, actions: ['pairing.deny'] }, 1000, 0).length;
  for (let i = 0; i < 150; i += 1) await tryFrom(`10.0.1.${i}`);
  expect(kept()).toBe(100);
  nowMs += 20_000;
  for (let i = 0; i < 10; i += 1) await tryFrom(`10.0.2.${i}`);
  expect(kept()).toBe(102);
});
