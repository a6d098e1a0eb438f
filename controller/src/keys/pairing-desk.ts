// Profiles, keys and pairing decisions over the durable store. The decision itself is pairing/decide.ts; here it becomes one
// transaction with the count of uses, so that expiry and maximum uses hold exactly however many requests arrive at once.
import { decidePairing, type PairingDecision, type PresentedKey } from '../pairing/decide.js';
import { formatKey, keyIdBytes, keySecretBytes, parseKey } from '../pairing/key-text.js';
import { type PairingProfile, profileProblems } from '../pairing/profile.js';
import type { PairingRecord, Records } from '../store/records.js';
import type { StateStore, StateTransaction } from '../store/state-store.js';
import type { SecretMac } from './secret-mac.js';

type KeyRecord = Records['pairingKey'];
type Presented = Exclude<PresentedKey, { found: 'key' }> | { found: 'key'; key: KeyRecord; profile: PairingProfile };

/** A refused call; the message says what was found and what was wanted. */
export class PairingDeskError extends Error {
  override readonly name = 'PairingDeskError';
  constructor(
    readonly code: 'RF_PROFILE' | 'RF_PROFILE_UNKNOWN' | 'RF_PROFILE_IN_USE' | 'RF_KEY_UNKNOWN',
    message: string,
  ) {
    super(message);
  }
}

/** One workload that asks to be paired. */
export interface PairingAttempt {
  workloadId: string;
  hostId: string;
  /** The key's text as found; sensitive. Empty: none. */
  keyText: string;
  requested: Readonly<Record<string, string>>;
  fromPrefix: (prefix: string) => boolean;
}

/** The outcome, and which key it was (its id is no secret; absent when the text named none of ours). */
export interface PairingOutcome {
  decision: PairingDecision;
  keyId?: string;
  profileId?: string;
  profileName?: string;
  /** True when the workload was paired by this key before and nothing was counted. */
  again: boolean;
}

export interface PairingDeskOptions {
  state: StateStore;
  mac: SecretMac;
  nowMs: () => number;
  /** Bytes from the system's random source. */
  randomBytes: (length: number) => Uint8Array;
  permittedValues: (dimension: string) => ReadonlySet<string> | 'any' | undefined;
  /** Whether a text can be a label's value at all. */
  isValue?: (text: string) => boolean;
}

export class PairingDesk {
  readonly #options: PairingDeskOptions;

  constructor(options: PairingDeskOptions) {
    this.#options = options;
  }

  profiles(): PairingProfile[] {
    return this.#options.state.sorted('pairingProfile');
  }

  /** Creates or replaces a profile, by id. Live keys keep the expiry and maximum uses that they were created with. */
  async putProfile(profile: PairingProfile): Promise<void> {
    const problems = profileProblems(profile, this.#options.permittedValues);
    if (problems.length > 0) {
      throw new PairingDeskError('RF_PROFILE', `Cannot save profile ${profile.name}: ${problems.join('; ')}`);
    }
    await this.#options.state.update((tx) => {
      for (const [id, other] of tx.entries('pairingProfile')) {
        if (id !== profile.id && other.name === profile.name) {
          throw new PairingDeskError('RF_PROFILE', `Cannot save profile: the name ${profile.name} is taken`);
        }
      }
      tx.set('pairingProfile', profile.id, {
        ...profile,
        dimensions: profile.dimensions.map(({ permitted, ...rest }) => ({
          ...rest,
          ...(permitted && { permitted: [...permitted] }),
        })),
        sources: [...profile.sources],
      });
    });
  }

  /** Deletes a profile. Refused while one of its keys has paired a workload that is still paired. */
  async deleteProfile(id: string): Promise<void> {
    await this.#options.state.update((tx) => {
      if (!tx.get('pairingProfile', id)) throw unknownProfile(id);
      for (const [, paired] of tx.entries('pairing')) {
        if (paired.profileId === id) {
          throw new PairingDeskError(
            'RF_PROFILE_IN_USE',
            `Cannot delete profile ${id}: it paired ${paired.workloadId}, which is still paired; unpair it, or disable the profile`,
          );
        }
      }
      for (const [keyId, key] of tx.entries('pairingKey')) if (key.profileId === id) tx.delete('pairingKey', keyId);
      tx.delete('pairingProfile', id);
    });
  }

  /** Issues a key. The text is returned here and nowhere else, ever. */
  async createKey(profileId: string, author: string, note = ''): Promise<{ text: string; id: string }> {
    const { state, mac, nowMs, randomBytes } = this.#options;
    const text = formatKey(randomBytes(keyIdBytes), randomBytes(keySecretBytes));
    const parsed = parseKey(text);
    if (!parsed.ok) throw new Error(`A formatted key does not parse: ${parsed.problem}`);
    const { id, secret } = parsed.key;
    await state.update((tx) => {
      const profile = tx.get('pairingProfile', profileId);
      if (!profile) throw unknownProfile(profileId);
      if (tx.get('pairingKey', id)) throw new Error(`Cannot create pairing key: the random id ${id} is taken`);
      const createdAtMs = nowMs();
      tx.set('pairingKey', id, {
        id,
        profileId,
        secretMac: mac.of(secret),
        note,
        author,
        createdAtMs,
        ...(profile.lifespanMs !== undefined && { expiresAtMs: createdAtMs + profile.lifespanMs }),
        ...(profile.usesMax !== undefined && { usesMax: profile.usesMax }),
        uses: 0,
      });
    });
    return { text, id };
  }

  keys(): Omit<KeyRecord, 'secretMac'>[] {
    return this.#options.state.sorted('pairingKey').map(({ secretMac: _secret, ...key }) => key);
  }

  /** Revokes a key: it pairs nothing more. What it paired stays paired. Idempotent. */
  async revokeKey(id: string): Promise<void> {
    await this.#options.state.update((tx) => this.revokeKeyIn(tx, id));
  }

  /** The same in the caller's transaction. */
  revokeKeyIn(tx: StateTransaction, id: string): void {
    const key = tx.get('pairingKey', id);
    if (!key) throw new PairingDeskError('RF_KEY_UNKNOWN', `Cannot revoke pairing key ${id}: there is no such key`);
    if (key.revokedAtMs === undefined) tx.set('pairingKey', id, { ...key, revokedAtMs: this.#options.nowMs() });
  }

  /** Workloads that a key paired and that are still paired. */
  pairedBy(keyId: string): PairingRecord[] {
    return this.#options.state.sorted('pairing').filter((record) => record.keyId === keyId);
  }

  pairingOf(workloadId: string): PairingRecord | undefined {
    return this.#options.state.get('pairing', workloadId);
  }

  pair(attempt: PairingAttempt): Promise<PairingOutcome> {
    return this.#options.state.update((tx) => this.pairIn(tx, attempt));
  }

  /**
   * Decides and, when it pairs, counts the use and stores the pairing, all in the caller's transaction.
   *
   * A pairing is decided once and then lasts as long as its workload: neither the end of its key nor a change of its profile takes it
   * away (RevokeKey with unpair does). A workload that this key has paired already is not counted again, whether its agent reconnects,
   * restarts, or has not read the key again yet and presents none. One that asks for other labels is decided anew, uncounted.
   */
  pairIn(tx: StateTransaction, attempt: PairingAttempt): PairingOutcome {
    const before = tx.get('pairing', attempt.workloadId);
    const own = before?.hostId === attempt.hostId ? before : undefined;
    if (own !== undefined && isSameRequest(own, attempt)) return this.#lasting(tx, own);
    const presented = this.#present(tx, attempt.keyText);
    if (presented.found !== 'key') {
      if (before) tx.delete('pairing', attempt.workloadId);
      return { decision: this.#decide(presented, attempt), again: false };
    }
    return this.#decideOn(tx, presented, attempt);
  }

  /**
   * Decides again for a workload that was denied although its key is one of ours: its profile has changed since. `attempt.keyText` is not
   * looked at. Undefined when the key is gone.
   */
  reconsiderIn(tx: StateTransaction, keyId: string, attempt: PairingAttempt): PairingOutcome | undefined {
    const key = tx.get('pairingKey', keyId);
    const profile = key && tx.get('pairingProfile', key.profileId);
    return key && profile && this.#decideOn(tx, { found: 'key', key, profile }, attempt);
  }

  #lasting(tx: StateTransaction, own: PairingRecord): PairingOutcome {
    const { labels, how = {}, startingMode, keyId, profileId } = own;
    return {
      decision: { paired: true, labels, how, startingMode, overridden: [] },
      keyId,
      profileId,
      profileName: tx.get('pairingProfile', profileId)?.name ?? profileId,
      again: true,
    };
  }

  #decideOn(
    tx: StateTransaction,
    presented: Extract<Presented, { found: 'key' }>,
    attempt: PairingAttempt,
  ): PairingOutcome {
    const { nowMs } = this.#options;
    const { key, profile } = presented;
    const named = { keyId: key.id, profileId: profile.id, profileName: profile.name };
    const before = tx.get('pairing', attempt.workloadId);
    if (before && before.keyId === key.id && before.hostId === attempt.hostId && key.revokedAtMs === undefined) {
      const lasting: PresentedKey = {
        found: 'key',
        key: { ...key, expiresAtMs: undefined, usesMax: undefined },
        profile,
      };
      const decision = this.#decide(lasting, attempt);
      if (decision.paired) this.#store(tx, attempt, key.id, profile, decision, before.pairedMs);
      else tx.delete('pairing', attempt.workloadId);
      return { decision, ...named, again: true };
    }
    const decision = this.#decide(presented, attempt);
    if (decision.paired) {
      tx.set('pairingKey', key.id, { ...key, uses: key.uses + 1 });
      this.#store(tx, attempt, key.id, profile, decision, nowMs());
    } else if (before) tx.delete('pairing', attempt.workloadId);
    return { decision, ...named, again: false };
  }

  /**
   * Tells one presentation of a text from another without keeping the text: a keyed hash over it and the address that it came from.
   */
  fingerprint(keyText: string, fromAddress: string): string {
    return this.#options.mac.of(`${fromAddress}\n${keyText}`).slice(0, 32);
  }

  /** Takes a workload's pairing away, not its labels. Idempotent. */
  async unpair(workloadIds: readonly string[]): Promise<void> {
    await this.#options.state.update((tx) => {
      for (const id of workloadIds) tx.delete('pairing', id);
    });
  }

  #present(tx: StateTransaction, text: string): Presented {
    if (text.trim() === '') return { found: 'missing' };
    const parsed = parseKey(text);
    if (!parsed.ok) return { found: 'malformed' };
    const record = tx.get('pairingKey', parsed.key.id);
    if (!record || !this.#options.mac.matches(parsed.key.secret, record.secretMac)) return { found: 'unknown' };
    const profile = tx.get('pairingProfile', record.profileId);
    return profile ? { found: 'key', key: record, profile } : { found: 'unknown' };
  }

  #decide(presented: PresentedKey, attempt: PairingAttempt): PairingDecision {
    return decidePairing(presented, {
      requested: attempt.requested,
      fromPrefix: attempt.fromPrefix,
      permits: (dimension, value) => this.#permits(dimension, value),
      nowMs: this.#options.nowMs(),
    });
  }

  #store(
    tx: StateTransaction,
    attempt: PairingAttempt,
    keyId: string,
    profile: PairingProfile,
    decision: Extract<PairingDecision, { paired: true }>,
    pairedMs: number,
  ): void {
    tx.set('pairing', attempt.workloadId, {
      workloadId: attempt.workloadId,
      hostId: attempt.hostId,
      keyId,
      profileId: profile.id,
      labels: { ...decision.labels },
      how: { ...decision.how },
      startingMode: decision.startingMode,
      pairedMs,
      requested: { ...attempt.requested },
    });
  }

  #permits(dimension: string, value: string): boolean {
    const { permittedValues, isValue = () => true } = this.#options;
    const known = permittedValues(dimension);
    return known !== undefined && isValue(value) && (known === 'any' || known.has(value));
  }
}

/** It presents the key that paired it, or none, and asks for nothing else. By its id: it has shown the secret before. */
function isSameRequest(own: PairingRecord, { keyText, requested }: PairingAttempt): boolean {
  if (keyText.trim() === '') return true;
  const parsed = parseKey(keyText);
  return parsed.ok && parsed.key.id === own.keyId && sameLabels(own.requested, requested);
}

function sameLabels(a: Readonly<Record<string, string>> | undefined, b: Readonly<Record<string, string>>): boolean {
  const known = Object.entries(a ?? {});
  return known.length === Object.keys(b).length && known.every(([dimension, value]) => b[dimension] === value);
}

function unknownProfile(id: string): PairingDeskError {
  return new PairingDeskError('RF_PROFILE_UNKNOWN', `Cannot use profile ${id}: there is no such profile`);
}
