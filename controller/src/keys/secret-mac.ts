// The keyed hash under which pairing keys are stored: without this file's key, a copied database cannot be searched for secrets.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

const keyBytes = 32;

/** Makes and checks keyed hashes of pairing secrets. */
export class SecretMac {
  readonly #key: Buffer;

  constructor(key: Uint8Array) {
    if (key.length !== keyBytes) {
      throw new RangeError(`Cannot use key for hashing: found ${key.length} bytes, wanted ${keyBytes}`);
    }
    this.#key = Buffer.from(key);
  }

  /** Hexadecimal HMAC-SHA256 of a secret. */
  of(secret: string): string {
    return createHmac('sha256', this.#key).update(secret).digest('hex');
  }

  /** Whether the secret has this hash, in constant time. */
  matches(secret: string, mac: string): boolean {
    const found = Buffer.from(this.of(secret), 'hex');
    const wanted = Buffer.from(mac, 'hex');
    return found.length === wanted.length && timingSafeEqual(found, wanted);
  }
}

/**
 * Reads the key from a file, making it on first use: mode 0600, in a folder of mode 0700, durable before it is used.
 * Throws when the file has another length or can be read by others, or is missing although keys were hashed with it (`inUse`).
 */
export function loadSecretMac(file: string, inUse = false): SecretMac {
  let key: Buffer;
  try {
    key = readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    if (inUse)
      throw new Error(
        `Cannot use ${file}: found none, wanted the one that pairing keys were hashed with; restore a backup`,
      );
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const fresh = `${file}.new`;
    const fd = openSync(fresh, 'w', 0o600);
    try {
      writeSync(fd, randomBytes(keyBytes));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, file);
    key = readFileSync(file);
  }
  const mode = statSync(file).mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw new Error(`Cannot use ${file}: found mode ${mode.toString(8)}, wanted 600; run chmod 600 ${file}`);
  }
  return new SecretMac(key);
}
