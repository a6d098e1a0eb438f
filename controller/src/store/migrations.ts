// Schema of the embedded database. Append-only: a migration that has shipped never changes.

/** Steps from schema n (index) to n + 1. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE records (
    kind     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    value    TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
  ) WITHOUT ROWID;
  CREATE TABLE changes (
    revision INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    op       TEXT    NOT NULL CHECK (op IN ('set', 'delete'))
  );
  CREATE INDEX changes_revision ON changes (revision);
  CREATE TABLE head (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    revision INTEGER NOT NULL
  );
  INSERT INTO head VALUES (1, 0);
  `,
  // The audit log. Entries are never changed nor removed, whoever tries.
  `
  CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms    INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    source   TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    object   TEXT    NOT NULL,
    host_id  TEXT    NOT NULL,
    key_id   TEXT    NOT NULL,
    text     TEXT    NOT NULL,
    detail   TEXT    NOT NULL
  );
  CREATE INDEX audit_object ON audit (object, sequence);
  CREATE INDEX audit_key ON audit (key_id, sequence) WHERE key_id <> '';
  CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'audit entries are kept'); END;
  CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'audit entries are final'); END;
  `,
  // Retention: the oldest entries may go, up to a horizon that only an entry which says so can raise.
  `
  CREATE TABLE audit_horizon (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    sequence INTEGER NOT NULL
  );
  INSERT INTO audit_horizon VALUES (1, 0);
  CREATE TRIGGER audit_horizon_is_told BEFORE UPDATE ON audit_horizon
    WHEN NEW.sequence < OLD.sequence OR NEW.sequence IS NOT
      (SELECT CAST(object AS INTEGER) FROM audit WHERE action = 'audit.trim' ORDER BY sequence DESC LIMIT 1)
    BEGIN SELECT raise(ABORT, 'an audit.trim entry tells the horizon'); END;
  CREATE TRIGGER audit_horizon_is_kept BEFORE DELETE ON audit_horizon BEGIN SELECT raise(ABORT, 'the horizon is kept'); END;
  DROP TRIGGER audit_is_kept;
  CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit WHEN OLD.sequence > (SELECT sequence FROM audit_horizon)
    BEGIN SELECT raise(ABORT, 'audit entries are kept'); END;
  `,
];

/** Marks the file as ours (SQLite's application_id): "RFCT". */
export const APPLICATION_ID = 0x52464354;

/** Change lines that are kept; older ones are dropped in passing. A watcher that lags more loads everything again. */
export const CHANGES_KEPT = 100_000;
