// What the audit log keeps. Pure values.

/** Who does something. */
export interface Actor {
  /** An operator's name, "host:<id>", "enrolment" or "controller". */
  readonly name: string;
  /** Address that the call came from; empty for the controller's own. */
  readonly address: string;
}

/** One entry before it has its place in the log. `detail` is JSON and never holds a secret. */
export interface AuditDraft {
  readonly atMs: number;
  readonly actor: string;
  readonly source: string;
  /** See AuditEntry.action in admin_audit.proto. */
  readonly action: string;
  readonly object: string;
  readonly hostId: string;
  readonly keyId: string;
  /** One line for people. */
  readonly text: string;
  readonly detail: string;
}

export interface AuditEntry extends AuditDraft {
  /** Grows by one. */
  readonly sequence: number;
}

/** What the log holds. */
export interface AuditExtent {
  /** Sequence of the oldest entry that is kept; 0: the log is empty. */
  readonly oldest: number;
  readonly newest: number;
  readonly entries: number;
}

/** Which entries; fields that are set must all hold. */
export interface AuditFilter {
  /** Exact actions, or families that end with a dot; empty: any. */
  readonly actions: readonly string[];
  readonly actor: string;
  readonly object: string;
  readonly hostId: string;
  readonly keyId: string;
  readonly sinceMs: number;
}

export const NO_AUDIT_FILTER: AuditFilter = { actions: [], actor: '', object: '', hostId: '', keyId: '', sinceMs: 0 };

/** Whether an entry passes a filter: the same as the query of a driver. */
export function auditMatches(entry: AuditDraft, filter: AuditFilter): boolean {
  const { actions, actor, object, hostId, keyId, sinceMs } = filter;
  return (
    (actions.length === 0 ||
      actions.some((name) => (name.endsWith('.') ? entry.action.startsWith(name) : entry.action === name))) &&
    (actor === '' || entry.actor === actor) &&
    (object === '' || entry.object === object) &&
    (hostId === '' || entry.hostId === hostId) &&
    (keyId === '' || entry.keyId === keyId) &&
    entry.atMs >= sinceMs
  );
}
