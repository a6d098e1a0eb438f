/**
 * The text form of a pairing key: `rfk1_<id>_<secret>_<check>`.
 *
 * `id` (10 characters) names the key in lists, logs and the audit trail; it is no secret. `secret` (52 characters) carries 256
 * bits. `check` (7 characters) is a CRC-32 over everything before it, so that a typing error is told from a wrong key without
 * a look into the store. The alphabet is Crockford's base 32 in lower case: no character is mistaken for another, and a
 * double click selects the whole key.
 */

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
const prefix = 'rfk1';
const idLength = 10;
const secretLength = 52;
const checkLength = 7;

/** Bytes of randomness that {@link formatKey} wants for the id. */
export const keyIdBytes = 6;
/** Bytes of randomness that {@link formatKey} wants for the secret: 256 bits. */
export const keySecretBytes = 32;

/** A key taken apart. `secret` is sensitive: never logged, never stored as it is. */
export interface ParsedKey {
  id: string;
  secret: string;
}

/** Why a text is no key. */
export type KeyTextProblem = 'wrong-prefix' | 'wrong-length' | 'wrong-character' | 'wrong-checksum';

/**
 * Writes a key.
 * @param idBytes {@link keyIdBytes} random bytes
 * @param secretBytes {@link keySecretBytes} random bytes
 */
export function formatKey(idBytes: Uint8Array, secretBytes: Uint8Array): string {
  if (idBytes.length !== keyIdBytes || secretBytes.length !== keySecretBytes) {
    throw new RangeError(
      `Cannot format pairing key: found ${idBytes.length} and ${secretBytes.length} bytes, wanted ${keyIdBytes} and ${keySecretBytes}`,
    );
  }
  const body = `${prefix}_${encode(idBytes, idLength)}_${encode(secretBytes, secretLength)}`;
  return `${body}_${checksum(body)}`;
}

/** Reads a key; says what is wrong with it without repeating any of it. Surrounding white space is no error. */
export function parseKey(text: string): { ok: true; key: ParsedKey } | { ok: false; problem: KeyTextProblem } {
  const trimmed = text.trim();
  if (!trimmed.startsWith(`${prefix}_`)) return { ok: false, problem: 'wrong-prefix' };
  const parts = trimmed.split('_');
  const [, id = '', secret = '', check = ''] = parts;
  if (parts.length !== 4 || id.length !== idLength || secret.length !== secretLength || check.length !== checkLength) {
    return { ok: false, problem: 'wrong-length' };
  }
  for (const character of id + secret + check) {
    if (!alphabet.includes(character)) return { ok: false, problem: 'wrong-character' };
  }
  if (checksum(`${prefix}_${id}_${secret}`) !== check) return { ok: false, problem: 'wrong-checksum' };
  return { ok: true, key: { id, secret } };
}

/** Replaces every pairing key in a text by its prefix and id, for logs and error messages. */
export function redactKeys(text: string): string {
  return text.replace(/rfk1_([0-9a-z]{1,10})_[0-9a-z]*(?:_[0-9a-z]*)?/g, 'rfk1_$1_…');
}

function encode(bytes: Uint8Array, length: number): string {
  let text = '';
  let pending = 0;
  let bits = 0;
  for (const byte of bytes) {
    pending = (pending << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(pending >>> bits) & 31];
      pending &= (1 << bits) - 1;
    }
  }
  if (bits > 0) text += alphabet[(pending << (5 - bits)) & 31];
  return text.padEnd(length, '0');
}

function checksum(text: string): string {
  const crc = crc32(text);
  return encode(Uint8Array.of(crc >>> 24, (crc >>> 16) & 255, (crc >>> 8) & 255, crc & 255), checkLength);
}

function crc32(text: string): number {
  let crc = 0xffffffff;
  for (let i = 0; i < text.length; i += 1) {
    crc ^= text.charCodeAt(i);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
