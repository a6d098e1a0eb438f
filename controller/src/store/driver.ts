// What the controller asks of a database: typed records by (kind, key), one atomic commit at a time, each with a revision and a
// line per changed key. Small on purpose: SQLite is the embedded implementation, a server database is another.

import type { AuditDraft, AuditEntry, AuditExtent, AuditFilter } from './audit.js';

/** One record as stored. `value` is JSON text. */
export interface StoredRecord {
  readonly key: string;
  readonly value: string;
  /** Revision of the commit that wrote it. */
  readonly revision: number;
}

/** One write inside a commit. `value` undefined deletes. */
export interface Write {
  readonly kind: string;
  readonly key: string;
  readonly value: string | undefined;
}

/** One line of the change log. */
export interface ChangeLine {
  readonly revision: number;
  readonly kind: string;
  readonly key: string;
  readonly op: 'set' | 'delete';
}

/** What a commit did. */
export interface Committed {
  readonly revision: number;
  readonly audited: readonly AuditEntry[];
}

/** How the database is doing. */
export interface DriverStatus {
  /** Where it is, for people. */
  readonly path: string;
  readonly schema: number;
  /** Revision of the newest commit; 0 before the first. */
  readonly revision: number;
  /** Bytes on disk, logs included. */
  readonly bytes: number;
}

/**
 * A durable store. One process writes at a time.
 *
 * Promise of `commit`: when it resolves, all writes and their change lines are on disk and survive a kill or a power cut; when it
 * rejects, none of them is there. Errors are StoreError.
 */
export interface StoreDriver {
  /** Every record of a kind, by key. */
  load(kind: string): Iterable<StoredRecord>;
  /**
   * Writes all or nothing, audit entries included. Resolves with the revision of the commit and the entries as kept. An empty commit
   * changes nothing.
   */
  commit(writes: readonly Write[], audit?: readonly AuditDraft[]): Promise<Committed>;
  /** Entries that pass the filter, newest first: at most `limit`, with sequences below `before` (0: the newest). */
  audit(filter: AuditFilter, limit: number, before: number): AuditEntry[];
  auditExtent(): AuditExtent;
  /** Sequence of the last entry before the first that is not older than an instant (Unix milliseconds); 0: there is none. */
  auditAgedTo(sinceMs: number): number;
  /**
   * Removes entries up to a sequence, and adds one that says so in the same commit. Resolves with the entries as kept. Nothing else removes
   * entries, and nothing changes them.
   */
  trimAudit(upTo: number, entry: AuditDraft): Promise<Committed>;
  /** Change lines above `after`, oldest first, at most `limit`. */
  changes(after: number, limit: number): ChangeLine[];
  status(): DriverStatus;
  /** Copies a consistent snapshot to `file` while the store stays in use. */
  backup(file: string): Promise<void>;
  /** Idempotent. Any call after it throws. */
  close(): void;
}

/** Codes of StoreError. */
export type StoreErrorCode =
  /** The file is no database, is damaged, or holds a record that cannot be read. */
  | 'RF_STORE_CORRUPT'
  /** A newer program wrote it. */
  | 'RF_STORE_NEWER'
  /** Another process has it open. */
  | 'RF_STORE_LOCKED'
  /** A read or write failed: disk full, permission, removed file. */
  | 'RF_STORE_IO';

/** A failure of the store. Nothing of the failed call took effect. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  constructor(
    readonly code: StoreErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
