import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);
const keys = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signing = { name: 'ECDSA', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;

/** A certificate and its key, PEM. */
export interface Pair {
  cert: string;
  key: string;
}

/** An authority of one test. */
export interface TestAuthority {
  ca: string;
  /** Issues a certificate; times in days from now. */
  issue(name: string, options?: { dns?: string; fromDays?: number; toDays?: number }): Promise<Pair>;
}

/** Makes an authority with its own key. */
export async function testAuthority(name = 'test authority'): Promise<TestAuthority> {
  const now = Date.now();
  const own = await webcrypto.subtle.generateKey(keys, true, ['sign', 'verify']);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${name}`,
    notBefore: new Date(now - 400 * dayMs),
    notAfter: new Date(now + 400 * dayMs),
    keys: own,
    signingAlgorithm: signing,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
  });
  let serial = 1;
  return {
    ca: ca.toString('pem'),
    async issue(subject, { dns, fromDays = -1, toDays = 30 } = {}) {
      const pair = await webcrypto.subtle.generateKey(keys, true, ['sign', 'verify']);
      serial += 1;
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serial.toString(16).padStart(2, '0'),
        subject: `CN=${subject}`,
        issuer: ca.subject,
        notBefore: new Date(now + fromDays * dayMs),
        notAfter: new Date(now + toDays * dayMs),
        publicKey: pair.publicKey,
        signingKey: own.privateKey,
        signingAlgorithm: signing,
        extensions: dns === undefined ? [] : [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: dns }])],
      });
      const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64');
      const key = `-----BEGIN PRIVATE KEY-----\n${(pkcs8.match(/.{1,64}/g) ?? []).join('\n')}\n-----END PRIVATE KEY-----\n`;
      return { cert: certificate.toString('pem'), key };
    },
  };
}

/** Writes a context with its three files into a folder; gives the path of the context file. */
export async function writeContext(folder: string, address: string, ca: string, operator: Pair): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'ca.pem'), ca);
  await writeFile(join(folder, 'cert.pem'), operator.cert);
  await writeFile(join(folder, 'key.pem'), operator.key, { mode: 0o600 });
  const file = join(folder, 'context.json');
  const context = {
    address,
    caFile: 'ca.pem',
    certFile: 'cert.pem',
    keyFile: 'key.pem',
    serverName: 'ringfence-controller',
  };
  await writeFile(file, JSON.stringify(context));
  return file;
}
