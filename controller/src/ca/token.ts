// One-time enrolment tokens: "rfe1.<id>.<secret>.<SHA-256 of the authority's certificate>", all base64url. The last part lets the
// client pin the authority before it has a certificate. The controller keeps the hash of the secret only.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const FORM = /^rfe1\.([A-Za-z0-9_-]{8,32})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/** A token as handed out, with what is kept of it. */
export interface NewToken {
  readonly text: string;
  readonly id: string;
  readonly secretHash: string;
}

export function newToken(authorityFingerprint: Buffer): NewToken {
  const id = randomBytes(6).toString('base64url');
  const secret = randomBytes(32).toString('base64url');
  return {
    text: `rfe1.${id}.${secret}.${authorityFingerprint.toString('base64url')}`,
    id,
    secretHash: hashSecret(secret).toString('hex'),
  };
}

/** The parts of a token; undefined when the text has not the form of one. */
export function parseToken(text: string): { readonly id: string; readonly secret: string } | undefined {
  const match = FORM.exec(text);
  return match?.[1] === undefined || match[2] === undefined ? undefined : { id: match[1], secret: match[2] };
}

/** True when the secret has this hash. Takes as long whether it has or not. */
export function secretMatches(secret: string, secretHash: string): boolean {
  const wanted = Buffer.from(secretHash, 'hex');
  const found = hashSecret(secret);
  return wanted.length === found.length && timingSafeEqual(found, wanted);
}

function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
