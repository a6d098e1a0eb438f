import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Server, status } from '@grpc/grpc-js';
import { EnrollmentService, type EnrollRequest, HostFacts } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeAuthority, type TestAuthority } from '../testing/test-authority.js';
import { finishPending, readCredentials } from './credentials.js';
import { enrollHost } from './enroll.js';
import { parseToken } from './token.js';

const directories: string[] = [];
function stateDir(): string {
  const directory = mkdtempSync(join(tmpdir(), 'rfag-enroll-'));
  directories.push(directory);
  return directory;
}

let authority: TestAuthority;
let foreign: TestAuthority;
let server: Server;
let address: string;
let seen: EnrollRequest[] = [];
let answerWithForeignCa = false;

beforeAll(async () => {
  authority = await makeAuthority('ringfence-ca');
  foreign = await makeAuthority('somebody-else');
  const enroll = (call: { request: EnrollRequest }, reply: (error: object | null, value?: object) => void) => {
    seen.push(call.request);
    if (call.request.token.includes('.used.')) {
      reply({ code: status.PERMISSION_DENIED, details: 'found a token that was used, wanted a fresh one' });
      return;
    }
    void authority.sign(call.request.csrDer, 'host-7').then((certificatePem) => {
      const caPem = answerWithForeignCa ? foreign.pem : authority.pem;
      reply(null, { hostId: 'host-7', certificatePem, caPem, syncAddress: '0.0.0.0:7443' });
    });
  };
  ({ server, address } = await authority.serve([[EnrollmentService, { enroll }]], false));
});

afterAll(() => {
  server.forceShutdown();
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

const pin = (der: Uint8Array) => createHash('sha256').update(der).digest('base64url');
const facts = HostFacts.create({ hostname: 'test' });

describe('enrollHost', () => {
  it('writes key, certificate, authority and host record that belong together', async () => {
    const directory = stateDir();
    const token = `rfe1.id1.secret.${pin(authority.der)}`;
    const enrolled = await enrollHost({ controller: address, token, stateDir: directory, facts });
    expect(enrolled).toMatchObject({ hostId: 'host-7', syncAddress: '127.0.0.1:7443' });
    const credentials = readCredentials(directory);
    expect(credentials?.hostId).toBe('host-7');
    expect(new X509Certificate(credentials?.certificatePem ?? '').subjectAltName).toContain('ringfence://host/host-7');
    expect(readdirSync(directory).sort()).toEqual(['ca.pem', 'cert.pem', 'host.json', 'key.pem']);
    expect(statSync(join(directory, 'key.pem')).mode & 0o777).toBe(0o600);
  });

  it('refuses a controller of another authority before the secret is sent', async () => {
    seen = [];
    const directory = stateDir();
    const token = `rfe1.id1.secret.${pin(foreign.der)}`;
    await expect(enrollHost({ controller: address, token, stateDir: directory, facts })).rejects.toMatchObject({
      code: 'RF_CA_MISMATCH',
    });
    expect(seen).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('refuses an answer that names another authority', async () => {
    answerWithForeignCa = true;
    const token = `rfe1.id1.secret.${pin(authority.der)}`;
    const directory = stateDir();
    await expect(enrollHost({ controller: address, token, stateDir: directory, facts })).rejects.toMatchObject({
      code: 'RF_CA_MISMATCH',
    });
    answerWithForeignCa = false;
    expect(readCredentials(directory)).toBeUndefined();
  });

  it('passes on why the controller refused, without the secret', async () => {
    const token = `rfe1.id2.used.${pin(authority.der)}`;
    const failure = enrollHost({ controller: address, token, stateDir: stateDir(), facts });
    await expect(failure).rejects.toMatchObject({ code: 'RF_ENROLL' });
    await expect(failure).rejects.toThrow(/token id2.*token that was used/);
    await expect(failure).rejects.not.toThrow(/\.used\./);
  });

  it('names the address when nothing listens there', async () => {
    const token = `rfe1.id1.secret.${pin(authority.der)}`;
    await expect(enrollHost({ controller: '127.0.0.1:1', token, stateDir: stateDir(), facts })).rejects.toThrow(
      /Cannot reach the controller at 127\.0\.0\.1:1/,
    );
  });
});

describe('parseToken', () => {
  it('takes a pairing key that carries the fingerprint, and no other', () => {
    const key = `rfk1_0123456789_${'a'.repeat(52)}_bbbbbbb`;
    const pin = Buffer.alloc(32, 7).toString('base64url');
    expect(parseToken(`${key}.${pin}\n`)).toMatchObject({ text: `${key}.${pin}`, id: '0123456789' });
    expect(() => parseToken(key)).toThrow(/no fingerprint of the controller.*--for-hosts/);
    expect(() => parseToken(`${key}.short`)).toThrow(/a fingerprint of/);
  });

  it.each([
    ['', 'it is empty'],
    ['abc', 'does not start with rfe1'],
    ['rfe1.a.b', '3 parts'],
    ['rfe1.a.b.c.d', '5 parts'],
    [`rfe1.a.b.${Buffer.alloc(31).toString('base64url')}`, 'fingerprint of 31 bytes'],
    ['rfe1.a..zz', '4 parts'],
  ])('refuses %j', (text, found) => expect(() => parseToken(text)).toThrow(found));
});

describe('readCredentials', () => {
  it('finishes a write that a crash interrupted, and refuses a key that does not fit', async () => {
    const directory = stateDir();
    await enrollHost({ controller: address, token: `rfe1.i.s.${pin(authority.der)}`, stateDir: directory, facts });
    const before = readCredentials(directory);
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    });
    writeFileSync(join(directory, 'key.pem'), other); // as if the crash came between two files
    expect(() => readCredentials(directory)).toThrow(/certifies another key/);
    writeFileSync(join(directory, 'pending.json'), JSON.stringify(before));
    finishPending(directory);
    expect(readCredentials(directory)).toEqual(before);
  });
});
