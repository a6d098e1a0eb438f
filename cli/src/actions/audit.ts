import { AuditService } from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import { faultOf, isServiceError } from '../api/fault.js';
import { messages } from '../api/messages.js';
import type { Action } from '../app.js';
import { parseWhole } from '../filter/numbers.js';
import { parseTime } from '../filter/time.js';
import type { Invocation } from '../invocation.js';
import { jsonLine } from '../text/json.js';
import { sanitize } from '../text/sanitize.js';
import { auditColumns, auditJson, auditLine } from '../views/audit.js';

interface FilterOptions {
  action?: string[];
  actor?: string;
  object?: string;
  host?: string;
  keyId?: string;
  since?: string;
}

/** `audit list`. */
export const listAudit: Action<[], FilterOptions & { limit: string }> = async (invocation, options) => {
  const limit = parseWhole(options.limit, '--limit', 1, 1000);
  const filter = filterOf(invocation, options);
  const connection = await invocation.connect();
  const request = { filter, limit, before: 0n };
  const { entries, oldest } = await connection.call('read the audit log', AuditService.list, request);
  await invocation.printer.list({
    name: 'entries',
    rows: entries,
    columns: auditColumns,
    json: auditJson,
    extra: { oldest },
    empty: 'No entries match.',
  });
  if (entries.length < limit && oldest > 1n && !invocation.printer.forPrograms)
    await invocation.printer.note(`Entries before ${oldest} were trimmed: ringfence audit list --action audit.trim`);
};

/** `audit tail`: until interrupted. JSON is one object per line, in both JSON formats. */
export const tailAudit: Action<[], FilterOptions & { backlog: string }> = async (invocation, options) => {
  const backlog = parseWhole(options.backlog, '--backlog', 0, 1000);
  const filter = filterOf(invocation, options);
  const { printer } = invocation;
  const connection = await invocation.connect();
  const signal = invocation.io.interruption();
  try {
    for await (const entry of messages(connection.stream(AuditService.follow, { filter, backlog }), signal)) {
      await printer.out(printer.forPrograms ? `${jsonLine(auditJson(entry))}\n` : `${sanitize(auditLine(entry))}\n`);
    }
  } catch (error) {
    if (signal.aborted) return;
    throw isServiceError(error) ? faultOf(error, 'follow the audit log', connection.address) : error;
  }
};

function filterOf(invocation: Invocation, options: FilterOptions) {
  const since = options.since === undefined ? 0n : parseTime(options.since, '--since', invocation.io.now());
  return {
    actions: options.action ?? [],
    actor: options.actor ?? '',
    object: options.object ?? '',
    hostId: options.host ?? '',
    keyId: options.keyId ?? '',
    sinceMs: since / 1000n,
  };
}
