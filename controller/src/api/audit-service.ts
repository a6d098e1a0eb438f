// The Audit service: the log as it was written, and as it is being written.
import type { ServerWritableStream } from '@grpc/grpc-js';
import type {
  AuditServer,
  FollowAuditRequest,
  AuditEntry as WireEntry,
  AuditFilter as WireFilter,
} from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import type { Logger } from 'pino';
import { type AuditEntry, type AuditFilter, auditMatches, NO_AUDIT_FILTER } from '../store/audit.js';
import type { StateStore } from '../store/state-store.js';
import { invalid, unary, wireError } from './errors.js';
import { writer } from './write.js';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const ACTIONS_MAX = 64;
const PAGE = 500;

export function auditService(options: { readonly store: StateStore; readonly log: Logger }): AuditServer {
  const { store, log } = options;
  return {
    list: unary(log, ({ filter, limit, before }) => {
      const most = Math.min(limit || LIMIT_DEFAULT, LIMIT_MAX);
      const driver = store.driver();
      const entries = driver.audit(filterFromWire(filter), most, Number(before)).map(entryToWire);
      return { entries, oldest: BigInt(driver.auditExtent().oldest) };
    }),
    follow: (call) => {
      follow(store, call).catch((error: unknown) => call.emit('error', wireError(error, log)));
    },
  };
}

/**
 * Sends the newest entries and then each new one, none missing and none twice. A reader that is slow reads on from disk at its own pace:
 * nothing gathers here but the position.
 */
async function follow(store: StateStore, call: ServerWritableStream<FollowAuditRequest, WireEntry>): Promise<void> {
  const filter = filterFromWire(call.request.filter);
  const stream = writer(call);
  let wake = () => {};
  const stop = store.onAudit(() => wake());
  try {
    const newest = store.driver().audit(NO_AUDIT_FILTER, 1, 0)[0]?.sequence ?? 0;
    const backlog = Math.min(call.request.backlog, LIMIT_MAX);
    const known =
      backlog === 0
        ? []
        : store
            .driver()
            .audit(filter, backlog, newest + 1)
            .reverse();
    for (const entry of known) await stream.write(entryToWire(entry));
    let sent = newest;
    while (!stream.isEnded()) {
      const entries = newerThan(store, sent);
      const last = entries.at(-1);
      if (last === undefined) {
        await Promise.race([new Promise<void>((resolve) => (wake = resolve)), stream.ended]);
        continue;
      }
      for (const entry of entries) if (auditMatches(entry, filter)) await stream.write(entryToWire(entry));
      sent = last.sequence;
    }
  } finally {
    stop();
  }
}

/** The next entries after a sequence, oldest first, at most a page. */
function newerThan(store: StateStore, sequence: number): AuditEntry[] {
  const entries = store.driver().audit(NO_AUDIT_FILTER, PAGE, sequence + PAGE + 1);
  return entries.filter((entry) => entry.sequence > sequence).reverse();
}

function filterFromWire(filter: WireFilter | undefined): AuditFilter {
  if (filter === undefined) return NO_AUDIT_FILTER;
  if (filter.actions.length > ACTIONS_MAX)
    throw invalid(
      'RF_FILTER',
      `Cannot read filter: found ${filter.actions.length} actions, wanted at most ${ACTIONS_MAX}`,
    );
  return { ...filter, sinceMs: Number(filter.sinceMs) };
}

function entryToWire({ sequence, atMs, detail, ...entry }: AuditEntry): WireEntry {
  return { ...entry, sequence: BigInt(sequence), atMs: BigInt(atMs), detailJson: detail };
}
