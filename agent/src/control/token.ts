// What a host enrols with: a pairing key followed by "." and the fingerprint below (`ringfence key create --for-hosts`), or a one-time
// token. The one-time enrolment token: rfe1.<id>.<secret>.<SHA-256 of the controller's CA certificate (DER), base64url>. The last part
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
  const byKey = /^rfk1_([0-9a-z]+)_[0-9a-z]+_[0-9a-z]+$/.exec(version ?? '');
  if (byKey) {
    if (parts.length !== 2) {
      throw new AgentError(
        'RF_TOKEN',
        'Cannot read the pairing key: found no fingerprint of the controller after it, wanted one made by `ringfence key create --for-hosts`',
      );
    }
    return { text: trimmed, id: byKey[1] ?? '', caFingerprint: fingerprintText(id ?? '', fail) };
  }
  if (version !== 'rfe1') throw fail(trimmed === '' ? 'it is empty' : 'it does not start with rfe1.');
  if (parts.length !== 4 || !id || !secret || !pin) throw fail(`${parts.length} parts`);
  return { text: trimmed, id, caFingerprint: fingerprintText(pin, fail) };
}

function fingerprintText(text: string, fail: (found: string) => AgentError): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length !== 32 || bytes.toString('base64url') !== text) throw fail(`a fingerprint of ${bytes.length} bytes`);
  return bytes;
}

/** SHA-256 of a certificate in DER, as tokens pin it. */
export function fingerprintOf(certificateDer: Uint8Array): Buffer {
  return createHash('sha256').update(certificateDer).digest();
}
