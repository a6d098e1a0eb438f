// The controller's own certificate authority: made on first start, kept in the state directory, never leaves it.
//
//   ca/ca.pem ca/ca.key             the authority
//   server/server.pem server.key    the controller's certificate, renewed when a third of its life is left
//   operator/…                      the first operator's certificate and the context file that the CLI uses
import { createPrivateKey, type webcrypto, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import {
  createAuthority,
  factsOf,
  fingerprintOf,
  type KeyedCertificate,
  SERVER_NAME,
  Signer,
  type Subject,
} from './certificates.js';
import { makePrivateDirectory, readIfThere, writePrivateFile } from './files.js';

const DAY_MS = 86_400_000;
export const CA_LIFETIME_MS = 3650 * DAY_MS;
export const SERVER_LIFETIME_MS = 90 * DAY_MS;
export const OPERATOR_LIFETIME_MS = 365 * DAY_MS;
export const HOST_LIFETIME_MS = 30 * DAY_MS;

/** Damaged or contradictory key material. */
export class AuthorityError extends Error {
  override readonly name = 'AuthorityError';
  readonly code = 'RF_CA_INVALID';
}

/** Opens or creates everything under `stateDir`. `now` gives Unix milliseconds. */
export class Authority {
  readonly caPem: string;
  /** SHA-256 of the authority's certificate. */
  readonly fingerprint: Buffer;
  readonly notAfterMs: number;
  readonly #stateDir: string;
  readonly #signer: Signer;
  readonly #now: () => number;
  #server: KeyedCertificate;

  private constructor(
    stateDir: string,
    ca: KeyedCertificate,
    signer: Signer,
    server: KeyedCertificate,
    now: () => number,
  ) {
    this.#stateDir = stateDir;
    this.#signer = signer;
    this.#server = server;
    this.#now = now;
    this.caPem = ca.certificatePem;
    this.fingerprint = fingerprintOf(ca.certificatePem);
    this.notAfterMs = factsOf(ca.certificatePem).notAfterMs;
  }

  /** True when an authority was made here before. */
  static existsIn(stateDir: string): boolean {
    return readIfThere(join(stateDir, 'ca', 'ca.pem')) !== undefined;
  }

  static async open(stateDir: string, now: () => number): Promise<Authority> {
    makePrivateDirectory(stateDir);
    const found = readPair(stateDir, 'ca', 'ca');
    const ca = found ?? (await createAuthority('Ringfence authority', now(), CA_LIFETIME_MS));
    if (found === undefined) writePair(stateDir, 'ca', 'ca', ca);
    const signer = await openSigner(stateDir, ca);
    const kept = readPair(stateDir, 'server', 'server');
    const server = kept !== undefined && signedBy(kept, ca) ? kept : await signer.server(now(), SERVER_LIFETIME_MS);
    if (server !== kept) writePair(stateDir, 'server', 'server', server);
    const authority = new Authority(stateDir, ca, signer, server, now);
    // It may have ended while nobody was there to renew it.
    await authority.renewServerIfDue();
    return authority;
  }

  /** The certificate to serve with now. */
  get server(): KeyedCertificate {
    return this.#server;
  }

  /** When the next renewal of the server's certificate is due, Unix milliseconds. */
  serverRenewalMs(): number {
    const { notBeforeMs, notAfterMs } = factsOf(this.#server.certificatePem);
    return notAfterMs - (notAfterMs - notBeforeMs) / 3;
  }

  /** Makes a new server certificate when it is due, or not valid yet: the clock was wrong when it was made. True when it did. */
  async renewServerIfDue(): Promise<boolean> {
    const now = this.#now();
    if (now >= factsOf(this.#server.certificatePem).notBeforeMs && now < this.serverRenewalMs()) return false;
    const server = await this.#signer.server(this.#now(), SERVER_LIFETIME_MS);
    writePair(this.#stateDir, 'server', 'server', server);
    this.#server = server;
    return true;
  }

  /** A certificate, not kept, for a server of this controller that browsers reach by these names and addresses. */
  async issueServer(names: readonly string[]): Promise<KeyedCertificate> {
    return this.#signer.server(this.#now(), SERVER_LIFETIME_MS, names);
  }

  /** Signs a host's key under a serial number that was chosen (and recorded) before. PEM. */
  async signHost(publicKey: webcrypto.CryptoKey, serial: string, hostId: string): Promise<string> {
    const subject: Subject = { role: 'host', name: hostId };
    return this.#signer.clientFor(publicKey, serial, subject, this.#now(), HOST_LIFETIME_MS);
  }

  /**
   * Makes sure that operator/ holds a certificate for `name` that lives for a while, and a context file for `address`. Resolves with
   * the path of the context file.
   */
  async writeOperatorContext(name: string, address: string): Promise<string> {
    const folder = join(this.#stateDir, 'operator');
    const kept = readPair(this.#stateDir, 'operator', 'operator');
    const usable =
      kept !== undefined &&
      signedBy(kept, { certificatePem: this.caPem, keyPem: '' }) &&
      factsOf(kept.certificatePem).notAfterMs - this.#now() > OPERATOR_LIFETIME_MS / 3;
    if (!usable) {
      const made = await this.#signer.client({ role: 'operator', name }, this.#now(), OPERATOR_LIFETIME_MS);
      writePair(this.#stateDir, 'operator', 'operator', made);
    }
    writePrivateFile(join(folder, 'ca.pem'), this.caPem);
    const context = {
      address,
      caFile: join(folder, 'ca.pem'),
      certFile: join(folder, 'operator.pem'),
      keyFile: join(folder, 'operator.key'),
      serverName: SERVER_NAME,
    };
    const file = join(folder, 'context.json');
    writePrivateFile(file, `${JSON.stringify(context, null, 2)}\n`);
    return file;
  }
}

async function openSigner(stateDir: string, ca: KeyedCertificate): Promise<Signer> {
  try {
    return await Signer.open(ca);
  } catch (cause) {
    throw new AuthorityError(`Cannot read ${join(stateDir, 'ca', 'ca.key')}: found no P-256 key in PKCS#8`, { cause });
  }
}

function readPair(stateDir: string, folder: string, name: string): KeyedCertificate | undefined {
  const certificatePem = readIfThere(join(stateDir, folder, `${name}.pem`));
  const keyPem = readIfThere(join(stateDir, folder, `${name}.key`));
  if (certificatePem === undefined || keyPem === undefined) {
    // A certificate is written after its key: a key alone is a start that was cut short, a certificate alone is a loss.
    if (certificatePem !== undefined && folder === 'ca') {
      throw new AuthorityError(
        `Cannot open the authority in ${stateDir}: found ca.pem without ca.key; restore a backup`,
      );
    }
    return undefined;
  }
  const pair = { certificatePem, keyPem };
  if (!isPair(pair)) {
    if (folder !== 'ca') return undefined;
    throw new AuthorityError(
      `Cannot open the authority in ${stateDir}: found ca.pem and ca.key that do not belong together`,
    );
  }
  return pair;
}

function isPair(pair: KeyedCertificate): boolean {
  try {
    return new X509Certificate(pair.certificatePem).checkPrivateKey(createPrivateKey(pair.keyPem));
  } catch {
    return false;
  }
}

function signedBy(pair: KeyedCertificate, ca: KeyedCertificate): boolean {
  return new X509Certificate(pair.certificatePem).verify(new X509Certificate(ca.certificatePem).publicKey);
}

function writePair(stateDir: string, folder: string, name: string, pair: KeyedCertificate): void {
  makePrivateDirectory(join(stateDir, folder));
  writePrivateFile(join(stateDir, folder, `${name}.key`), pair.keyPem);
  writePrivateFile(join(stateDir, folder, `${name}.pem`), pair.certificatePem);
}
