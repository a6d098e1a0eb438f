// The one-time enrolment token: rfe1.<id>.<secret>.<SHA-256 of the controller's CA certificate (DER), base64url>. The last part
// lets a host that knows nothing else be sure whom it talks to before the secret leaves it.
import { createHash } from 'node:crypto';
import { AgentError } from '../errors.js';

export interface EnrollToken {
  /** The whole token as the controller wants it. Never logged. */
  readonly text: string;
  /** Public part, for messages. */
  readonly id: string;
  /** SHA-256 of the CA certificate in DER. */
  readonly caFingerprint: Buffer;
}

/** Throws RF_TOKEN, without a word of the secret. */
export function parseToken(text: string): EnrollToken {
  const trimmed = text.trim();
  const parts = trimmed.split('.');
  const [version, id, secret, pin] = parts;
  const fail = (found: string) =>
    new AgentError('RF_TOKEN', `Cannot read the enrolment token: ${found}, wanted rfe1.<id>.<secret>.<fingerprint>`);
  if (version !== 'rfe1') throw fail(trimmed === '' ? 'it is empty' : 'it does not start with rfe1.');
  if (parts.length !== 4 || !id || !secret || !pin) throw fail(`${parts.length} parts`);
  const caFingerprint = Buffer.from(pin, 'base64url');
  if (caFingerprint.length !== 32 || caFingerprint.toString('base64url') !== pin) {
    throw fail(`a fingerprint of ${caFingerprint.length} bytes`);
  }
  return { text: trimmed, id, caFingerprint };
}

/** SHA-256 of a certificate in DER, as tokens pin it. */
export function fingerprintOf(certificateDer: Uint8Array): Buffer {
  return createHash('sha256').update(certificateDer).digest();
}
