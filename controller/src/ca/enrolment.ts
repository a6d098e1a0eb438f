// How a host gets its certificates: the first by a one-time token, the next by its present certificate.
import type { webcrypto } from 'node:crypto';
import type { HostFacts } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { currentCaller } from '../audit/caller.js';
import type { PairingDesk } from '../keys/pairing-desk.js';
import { denialText } from '../pairing/decide.js';
import type { HostRecord } from '../store/records.js';
import type { StateStore, StateTransaction } from '../store/state-store.js';
import { type Authority, HOST_LIFETIME_MS } from './authority.js';
import { newSerial, readSigningRequest } from './certificates.js';
import { factsRecord } from './host-facts.js';
import { FailureLimit } from './rate-limit.js';
import { type NewToken, newToken, parseToken, secretMatches } from './token.js';

/** Why a request was refused, with a stable code. */
export class EnrolmentError extends Error {
  override readonly name = 'EnrolmentError';
  constructor(
    readonly code:
      | 'RF_ENROLL_TOKEN'
      | 'RF_ENROLL_TOKEN_USED'
      | 'RF_ENROLL_TOKEN_EXPIRED'
      | 'RF_ENROLL_REQUEST'
      | 'RF_ENROLL_KEY'
      | 'RF_ENROLL_RATE'
      | 'RF_HOST_UNKNOWN',
    message: string,
  ) {
    super(message);
  }
}

/** What an agent gets. */
export interface SignedHost {
  readonly hostId: string;
  readonly certificatePem: string;
}

export interface TokenRequest {
  readonly ttlMs: number;
  /** Id that the host must get; empty: made from its name. */
  readonly hostId: string;
  readonly note: string;
  readonly author: string;
}

const HOST_ID = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;
/** Tokens that can be outstanding at once. */
export const TOKENS_MAX = 10_000;
/** Hosts of one controller. */
export const HOSTS_MAX = 100_000;
/** Certificates of one host that are good at once; of more the oldest end now: one that is not on record is refused. */
export const CERTIFICATES_MAX = 16;

/** Whether a text can be a host's id: 1 to 63 of a-z, 0-9, ".", "_", "-", beginning and ending with a letter or digit. */
export function isHostId(text: string): boolean {
  return HOST_ID.test(text);
}

/** What decides on hosts that enrol by a pairing key. */
export interface HostKeys {
  readonly desk: Pick<PairingDesk, 'pairIn'>;
  /** Whether an address lies in a prefix. */
  readonly comesFrom: (address: string, prefix: string) => boolean;
}

export class Enrolment {
  readonly #store: StateStore;
  readonly #authority: Authority;
  readonly #now: () => number;
  readonly #keys: HostKeys | undefined;
  readonly #failures = new FailureLimit(10, 3000);
  /** By host: each renewal is a commit and an audit entry, and one in 20 days is what is needed. */
  readonly #renewals = new FailureLimit(20, 600_000);
  /** Over all sources, since anybody may try from any number of addresses: denials that the audit log keeps. */
  readonly #denials = new FailureLimit(100, 10_000);

  constructor(store: StateStore, authority: Authority, now: () => number, keys?: HostKeys) {
    this.#keys = keys;
    this.#store = store;
    this.#authority = authority;
    this.#now = now;
  }

  /** Makes a token. The text is not kept. Throws EnrolmentError RF_ENROLL_REQUEST when there are too many. */
  async createToken(request: TokenRequest): Promise<NewToken & { readonly expiresMs: number }> {
    const token = newToken(this.#authority.fingerprint);
    const createdMs = this.#now();
    const expiresMs = createdMs + request.ttlMs;
    await this.#store.update((tx) => {
      let live = 0;
      for (const [id, kept] of tx.entries('token')) {
        if (kept.expiresMs <= createdMs) tx.delete('token', id);
        else live += 1;
      }
      if (live >= TOKENS_MAX) {
        throw new EnrolmentError(
          'RF_ENROLL_REQUEST',
          `Cannot create token: found ${live} that are not expired, wanted fewer than ${TOKENS_MAX}`,
        );
      }
      const { hostId, note, author } = request;
      const { id, secretHash } = token;
      tx.set('token', id, { id, secretHash, hostId, note, author, createdMs, expiresMs, usedMs: 0 });
    });
    return { ...token, expiresMs };
  }

  /**
   * Exchanges a token and a signing request for a certificate. A token is used up before its certificate is signed: of many
   * requests at once one succeeds. `source` is the caller's address. Throws EnrolmentError.
   */
  async enroll(
    tokenText: string,
    csrDer: Uint8Array,
    facts: HostFacts | undefined,
    source: string,
  ): Promise<SignedHost> {
    if (this.#failures.exceeded(source, this.#now())) {
      throw new EnrolmentError(
        'RF_ENROLL_RATE',
        'Cannot enrol: too many failed requests from this address; try again in a minute',
      );
    }
    try {
      if (tokenText.startsWith('rfk1_')) return await this.#enrollByKey(tokenText, csrDer, facts, source);
      return await this.#enroll(tokenText, csrDer, facts);
    } catch (error) {
      if (error instanceof EnrolmentError) this.#failures.failed(source, this.#now());
      throw error;
    }
  }

  async #enroll(tokenText: string, csrDer: Uint8Array, facts: HostFacts | undefined): Promise<SignedHost> {
    const parsed = parseToken(tokenText);
    const token = parsed === undefined ? undefined : this.#store.get('token', parsed.id);
    // The comparison runs for unknown ids too, so that time does not tell an id that exists.
    if (!secretMatches(parsed?.secret ?? '', token?.secretHash ?? '00'.repeat(32)) || token === undefined) {
      throw new EnrolmentError(
        'RF_ENROLL_TOKEN',
        'Cannot enrol: found no such token, wanted one made by `ringfence enroll token`',
      );
    }
    const key = await this.#readRequest(csrDer, 'enrol');
    const serial = newSerial();
    const hostId = await this.#store.update((tx) => this.#consume(tx, token.id, serial, facts));
    return { hostId, certificatePem: await this.#authority.signHost(key, serial, hostId) };
  }

  /** A pairing key, with or without the fingerprint that the host pinned us by. Its profile labels the host itself; the id is a new one. */
  async #enrollByKey(text: string, csrDer: Uint8Array, facts: HostFacts | undefined, source: string) {
    const keys = this.#keys;
    if (keys === undefined) throw new EnrolmentError('RF_ENROLL_KEY', 'Cannot enrol: pairing keys are not taken here');
    const csr = await this.#readRequest(csrDer, 'enrol');
    const serial = newSerial();
    const [keyText = ''] = text.trim().split('.');
    const name = (facts?.hostname ?? '').slice(0, 255);
    const { hostId, decision } = await this.#store.update((tx) => {
      const id = freeHostId(tx, name);
      demandRoom(tx);
      const outcome = keys.desk.pairIn(tx, {
        workloadId: `${id}/host`,
        hostId: id,
        keyText,
        requested: {},
        fromPrefix: (prefix) => keys.comesFrom(source, prefix),
      });
      const { decision: made, keyId = '', profileId = '' } = outcome;
      const unpairedByProfile = tx.get('pairingProfile', profileId)?.hostUnpaired;
      if (made.paired) {
        const host = this.#enrolled(id, name, facts, [], serial);
        tx.set('host', id, { ...host, ...(unpairedByProfile && { unpairedByProfile }) });
      } else if (!this.#denials.exceeded('', this.#now())) {
        this.#denials.failed('', this.#now());
        const { name: actor, address } = currentCaller();
        const text = `host ${JSON.stringify(name)} denied: ${made.denial}`;
        const detail = JSON.stringify({ hostname: name, denial: made.denial, detail: made.detail });
        tx.audit({
          atMs: this.#now(),
          actor,
          source: address,
          action: 'pairing.deny',
          object: name,
          hostId: '',
          keyId,
          text,
          detail,
        });
      }
      return { hostId: id, decision: made };
    });
    if (!decision.paired)
      throw new EnrolmentError('RF_ENROLL_KEY', `Cannot enrol: ${decision.denial}: ${denialText[decision.denial]}`);
    return { hostId, certificatePem: await this.#authority.signHost(csr, serial, hostId) };
  }

  #enrolled(
    id: string,
    name: string,
    facts: HostFacts | undefined,
    certificates: HostRecord['certificates'],
    serial: string,
  ): HostRecord {
    const now = this.#now();
    const host = { id, name: name === '' ? id : name, enrolledMs: now, certificates, facts: factsRecord(facts) };
    return withCertificate(host, serial, now);
  }

  /** Signs a new key for the host whose certificate the caller showed. Its older certificates stay good until they expire. */
  async renew(hostId: string, csrDer: Uint8Array): Promise<SignedHost> {
    if (this.#renewals.exceeded(hostId, this.#now())) {
      throw new EnrolmentError(
        'RF_ENROLL_RATE',
        `Cannot renew: host ${hostId} has renewed too often, wanted at most once in 10 minutes; try again then`,
      );
    }
    const key = await this.#readRequest(csrDer, 'renew');
    const serial = newSerial();
    await this.#store.update((tx) => {
      const host = tx.get('host', hostId);
      if (host === undefined)
        throw new EnrolmentError('RF_HOST_UNKNOWN', `Cannot renew: found no host ${hostId}, wanted an enrolled one`);
      tx.set('host', hostId, withCertificate(host, serial, this.#now()));
    });
    this.#renewals.failed(hostId, this.#now());
    return { hostId, certificatePem: await this.#authority.signHost(key, serial, hostId) };
  }

  #consume(tx: StateTransaction, tokenId: string, serial: string, facts: HostFacts | undefined): string {
    const now = this.#now();
    const token = tx.get('token', tokenId);
    if (token === undefined || token.usedMs !== 0) {
      throw new EnrolmentError(
        'RF_ENROLL_TOKEN_USED',
        'Cannot enrol: found a token that was used or revoked, wanted a fresh one',
      );
    }
    if (token.expiresMs <= now) {
      throw new EnrolmentError(
        'RF_ENROLL_TOKEN_EXPIRED',
        'Cannot enrol: found a token that has expired, wanted a fresh one',
      );
    }
    tx.set('token', tokenId, { ...token, usedMs: now });
    const name = (facts?.hostname ?? '').slice(0, 255);
    const hostId = token.hostId === '' ? freeHostId(tx, name) : token.hostId;
    const known = tx.get('host', hostId);
    if (known === undefined) demandRoom(tx);
    const revoked = (known?.certificates ?? []).map((c) =>
      c.revokedMs === 0 ? { ...c, revokedMs: now, reason: 'enrolled again' } : c,
    );
    const { unpairedByOperator, unpairedByProfile } = known ?? {};
    tx.set('host', hostId, {
      ...this.#enrolled(hostId, name, facts, revoked, serial),
      ...(unpairedByOperator && { unpairedByOperator }),
      ...(unpairedByProfile && { unpairedByProfile }),
    });
    return hostId;
  }

  async #readRequest(der: Uint8Array, action: string): Promise<webcrypto.CryptoKey> {
    const key = await readSigningRequest(der);
    if ('problem' in key) {
      throw new EnrolmentError(
        'RF_ENROLL_REQUEST',
        `Cannot ${action}: found ${key.problem}, wanted a signing request over a P-256 key`,
      );
    }
    return key;
  }
}

/** The record with one more certificate, without those that have expired. */
function withCertificate(host: HostRecord, serial: string, nowMs: number): HostRecord {
  const kept = host.certificates.filter((c) => c.notAfterMs > nowMs);
  const made = { serial, notAfterMs: nowMs + HOST_LIFETIME_MS, issuedMs: nowMs, revokedMs: 0, reason: '' };
  return { ...host, certificates: [...kept, made].slice(-CERTIFICATES_MAX) };
}

function demandRoom(tx: StateTransaction): void {
  let hosts = 0;
  for (const _ of tx.entries('host')) hosts += 1;
  if (hosts < HOSTS_MAX) return;
  throw new EnrolmentError('RF_ENROLL_REQUEST', `Cannot enrol: found ${hosts} hosts, wanted fewer than ${HOSTS_MAX}`);
}

/** An id made from a host's name that no host has: an enrolling host can never take the id of another. */
function freeHostId(tx: StateTransaction, name: string): string {
  const short = name.toLowerCase().split('.')[0] ?? '';
  const base =
    short
      .replace(/[^a-z0-9-]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 50)
      .replace(/-+$/, '') || 'host';
  for (let n = 1; ; n += 1) {
    const id = n === 1 ? base : `${base}-${n}`;
    if (tx.get('host', id) === undefined) return id;
  }
}
