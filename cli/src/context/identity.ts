import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CliError, ExitCode } from '../errors.js';

/** Credentials for mutual TLS, PEM. */
export interface Identity {
  caPem: Buffer;
  certificatePem: Buffer;
  keyPem: Buffer;
  /** Subject of the certificate, for messages. */
  subject: string;
  /** End of the certificate, Unix milliseconds. */
  notAfterMs: number;
}

const renew = 'get a fresh operator folder from the controller (<state dir>/operator)';

/**
 * Reads the three files and checks, before anything is sent, what would otherwise fail later as a bare TLS alert: that each can be
 * parsed, that certificate and key belong together, that an authority in the file issued the certificate, and that both are valid at
 * `now`.
 */
export async function readIdentity(caFile: string, certFile: string, keyFile: string, now: number): Promise<Identity> {
  const caPem = await readPart('authority', caFile);
  const certificatePem = await readPart('certificate', certFile);
  const keyPem = await readPart('key', keyFile);
  const authorities = splitPem(caPem).map((pem) => parseCertificate('authority', caFile, pem));
  const certificate = parseCertificate('certificate', certFile, certificatePem);
  const key = parseKey(keyFile, keyPem);
  if (!certificate.checkPrivateKey(key)) {
    throw identityError('a key that belongs to another certificate', `the key of ${certFile}`, keyFile, renew);
  }
  checkValidity('certificate', certificate, certFile, now);
  const issuer = authorities.find((ca) => certificate.checkIssued(ca) && certificate.verify(ca.publicKey));
  if (issuer === undefined) {
    throw identityError(
      `a certificate issued by ${oneLine(certificate.issuer)}`,
      `one issued by the authority in ${caFile} (${authorities.map(({ subject }) => oneLine(subject)).join('; ')})`,
      certFile,
      renew,
    );
  }
  checkValidity('authority', issuer, caFile, now);
  return {
    caPem,
    certificatePem,
    keyPem,
    subject: oneLine(certificate.subject),
    notAfterMs: Date.parse(certificate.validTo),
  };
}

async function readPart(part: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const found = code === 'ENOENT' ? 'no such file' : code;
    const next = code === 'EACCES' ? 'run as the user that owns it' : 'correct the path in the context file';
    throw identityError(found, `the ${part} in PEM`, file, next);
  }
}

/** The certificates of a PEM file, one each; the whole file where it has none, so that the error speaks of it. */
function splitPem(pem: Buffer): Buffer[] {
  const found = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
  return (found ?? [pem.toString('latin1')]).map((text) => Buffer.from(text, 'latin1'));
}

function parseCertificate(part: string, file: string, pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw identityError('text that is no certificate', `the ${part} in PEM`, file, renew);
  }
}

function parseKey(file: string, pem: Buffer) {
  try {
    return createPrivateKey(pem);
  } catch {
    // The cause is left out: it may quote the key.
    throw identityError('text that is no private key', 'an unencrypted private key in PEM', file, renew);
  }
}

function checkValidity(part: string, certificate: X509Certificate, file: string, now: number): void {
  const from = Date.parse(certificate.validFrom);
  const to = Date.parse(certificate.validTo);
  if (now > to) {
    throw identityError(`the ${part} expired at ${new Date(to).toISOString()}`, 'a valid one', file, renew);
  }
  if (now < from) {
    const found = `the ${part} is valid only from ${new Date(from).toISOString()}; it is ${new Date(now).toISOString()} here`;
    throw identityError(found, 'a valid one', file, 'set the clock of this machine');
  }
}

function oneLine(name: string): string {
  return name.replace(/\n/g, ', ');
}

function identityError(found: string, wanted: string, where: string, next: string): CliError {
  return new CliError({
    code: 'RF_CLI_CERTIFICATE',
    what: 'Cannot use the certificates of this context',
    found: found.startsWith('the ') ? found : `found ${found}`,
    wanted,
    where,
    next,
    exit: ExitCode.connection,
  });
}
