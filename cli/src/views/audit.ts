import type { AuditEntry } from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import type { Column } from '../text/table.js';
import { isoFromMs } from '../text/time.js';

/** An audit entry in JSON. */
export function auditJson(entry: AuditEntry): object {
  return {
    sequence: Number(entry.sequence),
    at: isoFromMs(entry.atMs),
    actor: entry.actor,
    source: entry.source || null,
    action: entry.action,
    object: entry.object,
    hostId: entry.hostId || null,
    keyId: entry.keyId || null,
    text: entry.text,
    detail: detailOf(entry.detailJson),
  };
}

function detailOf(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return {};
  }
}

/** Columns of `audit list`. */
export const auditColumns: readonly Column<AuditEntry>[] = [
  { title: 'WHEN', cell: (e) => isoFromMs(e.atMs) ?? '' },
  { title: 'WHO', cell: (e) => e.actor, tone: () => 'strong' },
  { title: 'FROM', cell: (e) => e.source || '-' },
  { title: 'ACTION', cell: (e) => e.action, tone: () => 'accent' },
  { title: 'OBJECT', cell: (e) => e.object, shrinkTo: 16 },
  { title: 'WHAT', cell: (e) => e.text, shrinkTo: 20 },
];

/** One entry in one line. */
export function auditLine(entry: AuditEntry): string {
  const from = entry.source === '' ? '' : ` from ${entry.source}`;
  return `${isoFromMs(entry.atMs)}  ${entry.action}  ${entry.text}  (${entry.object})  by ${entry.actor}${from}`;
}
