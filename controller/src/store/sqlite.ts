// The embedded store. WAL with synchronous=FULL: a commit that was answered is on disk (kill -9 and power cut safe). An exclusive
// lock on the database keeps a second controller out for as long as this one runs.
import { chmodSync, closeSync, existsSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { AuditDraft, AuditEntry, AuditExtent, AuditFilter } from './audit.js';
import {
  type ChangeLine,
  type Committed,
  type DriverStatus,
  type StoreDriver,
  type StoredRecord,
  StoreError,
  type Write,
} from './driver.js';
import { APPLICATION_ID, CHANGES_KEPT, MIGRATIONS } from './migrations.js';

type Sqlite = Database.Database;

/** Opens or creates the database at `path`. Throws StoreError; a database that is refused is left untouched. */
export function openSqlite(path: string): StoreDriver {
  let db: Sqlite | undefined;
  try {
    if (!existsSync(path)) create(path);
    // A new database comes into being whole (see create), so an empty file has lost its content: it is not taken for a new one.
    if (sizeOf(path) === 0) {
      throw new StoreError(
        'RF_STORE_CORRUPT',
        `Cannot open database ${path}: found an empty file, wanted a database; restore a backup`,
      );
    }
    chmodSync(path, 0o600);
    db = new Database(path, { timeout: 0 });
    prepare(db, path);
    return new SqliteDriver(db, path);
  } catch (error) {
    db?.close();
    throw asStoreError(error, `open database ${path}`);
  }
}

/** Makes the database beside its place and renames it, so that a half-made one is never found. Never readable by others. */
function create(path: string): void {
  const draft = `${path}.creating`;
  for (const leftover of [draft, `${draft}-wal`, `${draft}-journal`]) rmSync(leftover, { force: true });
  closeSync(openSync(draft, 'wx', 0o600));
  const db = new Database(draft);
  try {
    prepare(db, draft);
  } finally {
    db.close();
  }
  renameSync(draft, path);
}

function prepare(db: Sqlite, path: string): void {
  // Before the first read: the lock is taken by the first write below and held until close.
  db.pragma('locking_mode = EXCLUSIVE');
  const schema = Number(db.pragma('user_version', { simple: true }));
  const application = Number(db.pragma('application_id', { simple: true }));
  const objects = Number(db.prepare('SELECT count(*) FROM sqlite_master').pluck().get());
  const fresh = schema === 0 && application === 0 && objects === 0;
  if (!fresh && application !== APPLICATION_ID) {
    throw new StoreError(
      'RF_STORE_CORRUPT',
      `Cannot open database ${path}: found a SQLite file of another program, wanted one of Ringfence`,
    );
  }
  if (schema > MIGRATIONS.length) {
    throw new StoreError(
      'RF_STORE_NEWER',
      `Cannot open database ${path}: found schema ${schema}, wanted at most ${MIGRATIONS.length}; a newer controller wrote it`,
    );
  }
  const check = db.pragma('quick_check(1)', { simple: true });
  if (check !== 'ok') {
    throw new StoreError(
      'RF_STORE_CORRUPT',
      `Cannot open database ${path}: found damage (${String(check)}), wanted an intact file; restore a backup`,
    );
  }
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('foreign_keys = ON');
  db.pragma('trusted_schema = OFF');
  db.transaction(() => {
    for (let from = schema; from < MIGRATIONS.length; from++) db.exec(MIGRATIONS[from] ?? '');
    db.pragma(`user_version = ${MIGRATIONS.length}`);
    db.pragma(`application_id = ${APPLICATION_ID}`);
  }).immediate();
}

class SqliteDriver implements StoreDriver {
  readonly #db: Sqlite;
  readonly #path: string;
  readonly #commit: (writes: readonly Write[], audit: readonly AuditDraft[], trimTo?: number) => Committed;

  constructor(db: Sqlite, path: string) {
    this.#db = db;
    this.#path = path;
    const next = db.prepare<[], { revision: number }>('UPDATE head SET revision = revision + 1 RETURNING revision');
    const set = db.prepare('INSERT OR REPLACE INTO records (kind, key, value, revision) VALUES (?, ?, ?, ?)');
    const remove = db.prepare('DELETE FROM records WHERE kind = ? AND key = ?');
    const log = db.prepare('INSERT INTO changes (revision, kind, key, op) VALUES (?, ?, ?, ?)');
    const trim = db.prepare('DELETE FROM changes WHERE rowid <= (SELECT max(rowid) FROM changes) - ?');
    const keep = db.prepare(
      'INSERT INTO audit (at_ms, actor, source, action, object, host_id, key_id, text, detail) ' +
        'VALUES (@atMs, @actor, @source, @action, @object, @hostId, @keyId, @text, @detail)',
    );
    const horizon = db.prepare('UPDATE audit_horizon SET sequence = ?');
    const drop = db.prepare('DELETE FROM audit WHERE sequence <= ?');
    const transaction = db.transaction(
      (writes: readonly Write[], audit: readonly AuditDraft[], trimTo = 0): Committed => {
        const row = next.get();
        if (row === undefined)
          throw new StoreError('RF_STORE_CORRUPT', `Cannot write ${path}: found no head row, wanted one`);
        for (const { kind, key, value } of writes) {
          if (value === undefined) remove.run(kind, key);
          else set.run(kind, key, value, row.revision);
          log.run(row.revision, kind, key, value === undefined ? 'delete' : 'set');
        }
        if (row.revision % 256 === 0) trim.run(CHANGES_KEPT);
        const audited = audit.map((entry) => ({ ...entry, sequence: Number(keep.run(entry).lastInsertRowid) }));
        if (trimTo > 0) {
          horizon.run(trimTo);
          drop.run(trimTo);
        }
        return { revision: row.revision, audited };
      },
    );
    this.#commit = (writes, audit, trimTo) => transaction.immediate(writes, audit, trimTo);
  }

  load(kind: string): StoredRecord[] {
    return this.#guard(`read ${kind} records`, () =>
      this.#db
        .prepare<[string], StoredRecord>('SELECT key, value, revision FROM records WHERE kind = ? ORDER BY key')
        .all(kind),
    );
  }

  async commit(writes: readonly Write[], audit: readonly AuditDraft[] = []): Promise<Committed> {
    if (writes.length === 0 && audit.length === 0) return { revision: this.status().revision, audited: [] };
    return this.#guard('write', () => this.#commit(writes, audit));
  }

  audit(filter: AuditFilter, limit: number, before: number): AuditEntry[] {
    const actions = filter.actions.map((name) => (name.endsWith('.') ? 'substr(action, 1, ?) = ?' : 'action = ?'));
    const where: [boolean, string, readonly (string | number)[]][] = [
      [
        actions.length > 0,
        `(${actions.join(' OR ')})`,
        filter.actions.flatMap((name) => (name.endsWith('.') ? [name.length, name] : [name])),
      ],
      [filter.actor !== '', 'actor = ?', [filter.actor]],
      [filter.object !== '', 'object = ?', [filter.object]],
      [filter.hostId !== '', 'host_id = ?', [filter.hostId]],
      [filter.keyId !== '', 'key_id = ?', [filter.keyId]],
      [filter.sinceMs > 0, 'at_ms >= ?', [filter.sinceMs]],
      [before > 0, 'sequence < ?', [before]],
    ];
    const wanted = where.filter(([holds]) => holds);
    const clause = wanted.length === 0 ? '' : `WHERE ${wanted.map(([, sql]) => sql).join(' AND ')}`;
    return this.#guard('read the audit log of', () =>
      this.#db
        .prepare<(string | number)[], AuditEntry>(
          'SELECT sequence, at_ms AS atMs, actor, source, action, object, host_id AS hostId, key_id AS keyId, text, detail ' +
            `FROM audit ${clause} ORDER BY sequence DESC LIMIT ?`,
        )
        .all(...wanted.flatMap(([, , values]) => values), limit),
    );
  }

  auditExtent(): AuditExtent {
    return this.#guard('read the extent of the audit log of', () => {
      const row = this.#db
        .prepare<[], AuditExtent>(
          'SELECT coalesce(min(sequence), 0) AS oldest, coalesce(max(sequence), 0) AS newest, count(*) AS entries FROM audit',
        )
        .get();
      return row ?? { oldest: 0, newest: 0, entries: 0 };
    });
  }

  auditAgedTo(sinceMs: number): number {
    return this.#guard('read the audit log of', () => {
      const young = this.#db
        .prepare('SELECT sequence FROM audit WHERE at_ms >= ? ORDER BY sequence LIMIT 1')
        .pluck()
        .get(sinceMs);
      return young === undefined ? this.auditExtent().newest : Number(young) - 1;
    });
  }

  async trimAudit(upTo: number, entry: AuditDraft): Promise<Committed> {
    return this.#guard('trim the audit log of', () => this.#commit([], [entry], upTo));
  }

  changes(after: number, limit: number): ChangeLine[] {
    return this.#guard('read changes', () =>
      this.#db
        .prepare<[number, number], ChangeLine>(
          'SELECT revision, kind, key, op FROM changes WHERE revision > ? ORDER BY revision, rowid LIMIT ?',
        )
        .all(after, limit),
    );
  }

  status(): DriverStatus {
    return this.#guard('read status of', () => ({
      path: this.#path,
      schema: MIGRATIONS.length,
      revision: Number(this.#db.prepare('SELECT revision FROM head').pluck().get()),
      bytes: sizeOf(this.#path) + sizeOf(`${this.#path}-wal`),
    }));
  }

  async backup(file: string): Promise<void> {
    try {
      closeSync(openSync(file, 'wx', 0o600));
      await this.#db.backup(file);
    } catch (error) {
      throw asStoreError(error, `back up database ${this.#path} to ${file}`);
    }
  }

  close(): void {
    this.#db.close();
  }

  #guard<T>(action: string, body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw asStoreError(error, `${action} database ${this.#path}`);
    }
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function asStoreError(error: unknown, action: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const text = error instanceof Error ? error.message : String(error);
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) {
    return new StoreError(
      'RF_STORE_CORRUPT',
      `Cannot ${action}: found damage (${text}), wanted an intact file; restore a backup`,
      { cause: error },
    );
  }
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    return new StoreError(
      'RF_STORE_LOCKED',
      `Cannot ${action}: another process has it open, wanted it for this one alone`,
      { cause: error },
    );
  }
  return new StoreError('RF_STORE_IO', `Cannot ${action}: ${code === '' ? text : `${code}: ${text}`}`, {
    cause: error,
  });
}
