// X.509 as Ringfence uses it: P-256 throughout, one URI in the subject alternative name that says who the holder is.
import 'reflect-metadata';
import { createHash, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** Clocks of hosts may be this far behind the controller's. */
const BACKDATE_MS = 10 * 60_000;

/** Name that every client expects in the controller's certificate, whatever address it dials. */
export const SERVER_NAME = 'ringfence-controller';

/** A certificate with its private key, both PEM. */
export interface KeyedCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** Who a certificate speaks for. */
export interface Subject {
  readonly role: 'host' | 'operator';
  readonly name: string;
}

/** What is in a certificate that the authority signed. */
export interface CertificateFacts {
  /** Lower-case hexadecimal without leading zeros. */
  readonly serial: string;
  readonly notAfterMs: number;
  readonly notBeforeMs: number;
}

/** A serial number: 127 random bits, lower-case hexadecimal. */
export function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** As written in certificates, logs and revocations. */
export function normalSerial(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, '');
}

export function factsOf(certificatePem: string): CertificateFacts {
  const certificate = new X509Certificate(certificatePem);
  return {
    serial: normalSerial(certificate.serialNumber),
    notAfterMs: Date.parse(certificate.validTo),
    notBeforeMs: Date.parse(certificate.validFrom),
  };
}

/** SHA-256 over the DER form. */
export function fingerprintOf(certificatePem: string): Buffer {
  return createHash('sha256').update(new X509Certificate(certificatePem).raw).digest();
}

/** Makes a self-signed authority. */
export async function createAuthority(name: string, nowMs: number, lifetimeMs: number): Promise<KeyedCertificate> {
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: `CN=${name}`,
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(nowMs + lifetimeMs),
    signingAlgorithm: SIGNING,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: certificate.toString('pem'), keyPem: await exportKey(keys.privateKey) };
}

/** Signs certificates. `keyPem` is PKCS#8. */
export class Signer {
  readonly #certificate: x509.X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(certificate: x509.X509Certificate, key: webcrypto.CryptoKey) {
    this.#certificate = certificate;
    this.#key = key;
  }

  static async open(authority: KeyedCertificate): Promise<Signer> {
    const der = Buffer.from(authority.keyPem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    const key = await webcrypto.subtle.importKey('pkcs8', der, P256, false, ['sign']);
    return new Signer(new x509.X509Certificate(authority.certificatePem), key);
  }

  /** A certificate for the controller itself, with a fresh key. `more`: addresses and names that it also answers to. */
  async server(nowMs: number, lifetimeMs: number, more: readonly string[] = []): Promise<KeyedCertificate> {
    const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
    const names = new x509.SubjectAlternativeNameExtension(
      [SERVER_NAME, ...more].map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
    );
    const pem = await this.#sign(keys.publicKey, newSerial(), SERVER_NAME, SERVER_AUTH, names, nowMs, lifetimeMs);
    return { certificatePem: pem, keyPem: await exportKey(keys.privateKey) };
  }

  /** A client certificate with a fresh key. */
  async client(subject: Subject, nowMs: number, lifetimeMs: number): Promise<KeyedCertificate> {
    const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
    const pem = await this.clientFor(keys.publicKey, newSerial(), subject, nowMs, lifetimeMs);
    return { certificatePem: pem, keyPem: await exportKey(keys.privateKey) };
  }

  /** A client certificate, PEM, over somebody's public key. */
  async clientFor(
    publicKey: webcrypto.CryptoKey,
    serial: string,
    subject: Subject,
    nowMs: number,
    lifetimeMs: number,
  ): Promise<string> {
    const names = new x509.SubjectAlternativeNameExtension([
      { type: 'url', value: `ringfence://${subject.role}/${subject.name}` },
    ]);
    return this.#sign(publicKey, serial, subject.name, CLIENT_AUTH, names, nowMs, lifetimeMs);
  }

  async #sign(
    publicKey: webcrypto.CryptoKey,
    serialNumber: string,
    commonName: string,
    usage: string,
    names: x509.SubjectAlternativeNameExtension,
    nowMs: number,
    lifetimeMs: number,
  ): Promise<string> {
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber,
      subject: `CN=${commonName}`,
      issuer: this.#certificate.subject,
      notBefore: new Date(nowMs - BACKDATE_MS),
      notAfter: new Date(Math.min(nowMs + lifetimeMs, this.#certificate.notAfter.getTime())),
      signingAlgorithm: SIGNING,
      publicKey,
      signingKey: this.#key,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        names,
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
      ],
    });
    return certificate.toString('pem');
  }
}

/**
 * The public key of a signing request (PKCS#10, DER) whose signature holds and whose key is P-256, else a sentence fragment that
 * completes "found …". Nothing else of the request is used: what a certificate says is the authority's to decide.
 */
export async function readSigningRequest(der: Uint8Array): Promise<webcrypto.CryptoKey | { readonly problem: string }> {
  if (der.length > 8192) return { problem: `${der.length} bytes, more than a request over one key has` };
  try {
    const request = new x509.Pkcs10CertificateRequest(new Uint8Array(der));
    const key = await request.publicKey.export(webcrypto);
    const algorithm = key.algorithm as { name: string; namedCurve?: string };
    if (algorithm.name !== 'ECDSA' || algorithm.namedCurve !== 'P-256') {
      return { problem: `a key of ${algorithm.name} ${algorithm.namedCurve ?? ''}`.trim() };
    }
    if (!(await request.verify())) return { problem: 'a signature that does not fit its key' };
    return key;
  } catch {
    return { problem: 'no PKCS#10 request in DER' };
  }
}

/** A signing request, DER, over a fresh key: what an agent sends. */
export async function createSigningRequest(): Promise<{ readonly der: Buffer; readonly keyPem: string }> {
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=agent',
    keys,
    signingAlgorithm: SIGNING,
  });
  return { der: Buffer.from(request.rawData), keyPem: await exportKey(keys.privateKey) };
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`;
}
