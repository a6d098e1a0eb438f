// Signing in to the web page. An operator who is known by his certificate asks for a link; the link signs one browser in, once, within
// minutes; the browser then holds a cookie. Links and sessions are kept by the hash of their secret, so that the store tells nobody how
// to use them. A session ends with its time, by sign-out, when it was idle too long, and with the certificate that asked for its link.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Peer } from '../api/peer.js';
import type { AuditDraft } from '../store/audit.js';
import type { Records } from '../store/records.js';
import type { StateStore, StateTransaction } from '../store/state-store.js';

export const LINK_TTL_DEFAULT_MS = 5 * 60_000;
export const LINK_TTL_MAX_MS = 60 * 60_000;
const LINKS_MAX = 64;
const SESSION_MS = 12 * 60 * 60_000;
const IDLE_MS = 60 * 60_000;
const SESSIONS_MAX = 128;
const SESSIONS_PER_OPERATOR_MAX = 16;
const AGENT_MAX = 200;
/** How late a finished session may still be in the store. */
const SWEEP_MS = 60_000;

/** Why nobody was signed in. */
export class SignInError extends Error {
  override readonly name = 'SignInError';
  constructor(
    readonly code: 'RF_WEB_LINK' | 'RF_WEB_LINKS_MAX',
    message: string,
  ) {
    super(message);
  }
}

export type SessionRecord = Records['webSession'];

/** A link as handed out. */
export interface NewLink {
  /** `<id>.<secret>`; not kept. */
  readonly text: string;
  readonly expiresMs: number;
}

export interface SignInOptions {
  readonly store: StateStore;
  readonly now: () => number;
  /** Why a certificate is no longer good; undefined while it is. */
  readonly refusal: (peer: Peer) => string | undefined;
}

const LINK_FORM = /^([A-Za-z0-9_-]{8})\.([A-Za-z0-9_-]{43})$/;
const SECRET_FORM = /^[A-Za-z0-9_-]{43}$/;

export class SignIn {
  readonly #options: SignInOptions;
  /** Newest request of each session, Unix milliseconds. After a restart: when it was first asked about. */
  readonly #usedMs = new Map<string, number>();
  readonly #ended = new Set<(sessionId: string) => void>();
  readonly #sweep: NodeJS.Timeout;

  constructor(options: SignInOptions) {
    this.#options = options;
    this.#sweep = setInterval(() => void this.#dropFinished().catch(() => {}), SWEEP_MS);
    this.#sweep.unref();
  }

  stop(): void {
    clearInterval(this.#sweep);
  }

  /** Called with the id of each session that ends. Returns the way to stop. */
  onEnded(listener: (sessionId: string) => void): () => void {
    this.#ended.add(listener);
    return () => this.#ended.delete(listener);
  }

  /** A link that signs one browser in as `peer`. Throws SignInError RF_WEB_LINKS_MAX. */
  async createLink(peer: Peer, ttlMs: number): Promise<NewLink> {
    const { store, now } = this.#options;
    const [id, secret] = [randomBytes(6).toString('base64url'), randomBytes(32).toString('base64url')];
    const expiresMs = now() + ttlMs;
    await store.update((tx) => {
      for (const [key, link] of tx.entries('webLink')) if (link.expiresMs <= now()) tx.delete('webLink', key);
      if ([...tx.entries('webLink')].length >= LINKS_MAX)
        throw new SignInError(
          'RF_WEB_LINKS_MAX',
          `Cannot make a link: found ${LINKS_MAX} that were not used, wanted fewer; they end by themselves`,
        );
      const { name: operator, serial, notAfterMs } = peer;
      tx.set('webLink', id, { id, secretHash: hashOf(secret), operator, serial, notAfterMs, expiresMs });
      tx.audit(this.#entry('web.link', peer.name, peer.address, id, `link for the web page made`));
    });
    return { text: `${id}.${secret}`, expiresMs };
  }

  /**
   * Uses a link up and begins a session. Of several that use one link at once a single one succeeds. Throws SignInError RF_WEB_LINK,
   * which does not say whether the link never was, was used or has ended.
   */
  async redeem(text: string, address: string, userAgent: string): Promise<{ secret: string; session: SessionRecord }> {
    const { store, now } = this.#options;
    const [, id = '', linkSecret = ''] = LINK_FORM.exec(text) ?? [];
    const secret = randomBytes(32).toString('base64url');
    const dropped: string[] = [];
    const session = await store.update((tx) => {
      const link = tx.get('webLink', id);
      if (!matches(linkSecret, link?.secretHash ?? '') || link === undefined || link.expiresMs <= now())
        throw unknownLink();
      const { operator, serial, notAfterMs } = link;
      const peer = peerOfSession({ operator, serial, notAfterMs, address });
      if (this.#options.refusal(peer) !== undefined) throw unknownLink();
      tx.delete('webLink', id);
      dropped.push(...this.#makeRoom(tx, operator));
      const createdMs = now();
      const made: SessionRecord = {
        id: hashOf(secret),
        operator,
        serial,
        notAfterMs,
        address,
        userAgent: userAgent.slice(0, AGENT_MAX),
        createdMs,
        expiresMs: Math.min(createdMs + SESSION_MS, notAfterMs),
      };
      tx.set('webSession', made.id, made);
      tx.audit(this.#entry('web.sign-in', operator, address, shortId(made.id), 'signed in to the web page'));
      return made;
    });
    for (const sessionId of dropped) this.#tellEnded(sessionId);
    this.#usedMs.set(session.id, now());
    return { secret, session };
  }

  /** The session that a cookie's secret belongs to; undefined when it is none, or none any more. Counts as use. */
  session(secret: string): SessionRecord | undefined {
    if (!SECRET_FORM.test(secret)) return undefined;
    // Looked up by hash: what is compared is not secret, and how long it takes says nothing of the secret.
    const session = this.#options.store.get('webSession', hashOf(secret));
    if (session === undefined || this.#finished(session)) return undefined;
    this.#usedMs.set(session.id, this.#options.now());
    return session;
  }

  /** Whether a session still holds; does not count as use. */
  holds(id: string): boolean {
    const session = this.#options.store.get('webSession', id);
    return session !== undefined && !this.#finished(session);
  }

  /** Sessions that hold, newest first. */
  sessions(): SessionRecord[] {
    const all = [...this.#options.store.table('webSession').values()];
    return all.filter((session) => !this.#finished(session)).sort((a, b) => b.createdMs - a.createdMs);
  }

  /** Ends sessions in somebody's name. Resolves with how many there were. */
  async end(ids: readonly string[], by: { readonly name: string; readonly address: string }): Promise<number> {
    const ended = await this.#options.store.update((tx) => {
      const known = ids.filter((id) => tx.get('webSession', id) !== undefined);
      for (const id of known) {
        const { operator = '' } = tx.get('webSession', id) ?? {};
        tx.delete('webSession', id);
        const text = operator === by.name ? 'signed out of the web page' : `session of ${operator} ended`;
        tx.audit(this.#entry('web.sign-out', by.name, by.address, shortId(id), text));
      }
      return known;
    });
    for (const id of ended) this.#tellEnded(id);
    return ended.length;
  }

  #makeRoom(tx: StateTransaction, operator: string): string[] {
    const all = [...tx.entries('webSession')].map(([, session]) => session);
    const oldest = all.filter((session) => !this.#finished(session)).sort((a, b) => a.createdMs - b.createdMs);
    const own = oldest.filter((session) => session.operator === operator);
    const dropped = [
      ...all.filter((session) => this.#finished(session)),
      ...own.slice(0, Math.max(0, own.length - SESSIONS_PER_OPERATOR_MAX + 1)),
      ...oldest.slice(0, Math.max(0, oldest.length - SESSIONS_MAX + 1)),
    ].map(({ id }) => id);
    for (const id of dropped) tx.delete('webSession', id);
    return dropped;
  }

  async #dropFinished(): Promise<void> {
    const { store } = this.#options;
    const finished = [...store.table('webSession').values()].filter((session) => this.#finished(session));
    if (finished.length === 0) return;
    await store.update((tx) => {
      for (const { id } of finished) tx.delete('webSession', id);
    });
    for (const { id } of finished) this.#tellEnded(id);
  }

  #finished(session: SessionRecord): boolean {
    const nowMs = this.#options.now();
    let usedMs = this.#usedMs.get(session.id);
    if (usedMs === undefined) {
      usedMs = nowMs;
      this.#usedMs.set(session.id, nowMs);
    }
    if (session.expiresMs <= nowMs || usedMs + IDLE_MS <= nowMs) return true;
    return this.#options.refusal(peerOfSession(session)) !== undefined;
  }

  #tellEnded(id: string): void {
    this.#usedMs.delete(id);
    for (const listener of [...this.#ended]) listener(id);
  }

  #entry(action: string, actor: string, source: string, object: string, text: string): AuditDraft {
    return { atMs: this.#options.now(), actor, source, action, object, hostId: '', keyId: '', text, detail: '{}' };
  }
}

/** Who stands behind a session, as if he called by his certificate. */
export function peerOfSession(session: Pick<SessionRecord, 'operator' | 'serial' | 'notAfterMs' | 'address'>): Peer {
  const { operator: name, serial, notAfterMs, address } = session;
  return { role: 'operator', name, serial, notAfterMs, address };
}

/** What names a session to people. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

function unknownLink(): SignInError {
  return new SignInError(
    'RF_WEB_LINK',
    'Cannot sign in: found a link that was used or has ended, wanted a fresh one; `ringfence web` makes it',
  );
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

function matches(secret: string, hash: string): boolean {
  const [found, wanted] = [Buffer.from(hashOf(secret), 'hex'), Buffer.from(hash.padEnd(64, '0'), 'hex')];
  return timingSafeEqual(found, wanted) && hash !== '';
}
