// How long the audit log is kept: by age, and by count whatever the age. What goes is told by an entry of its own, in the same commit;
// the database removes nothing that no such entry names.
import type { AuditDraft, AuditExtent } from '../store/audit.js';
import type { StateStore } from '../store/state-store.js';
import { currentCaller } from './caller.js';

export interface AuditRetention {
  /** Entries older than so many days go. */
  readonly days: number;
  /** So many at most: of more the oldest go, with a hundredth besides. */
  readonly entries: number;
}

export const DAY_MS = 86_400_000;
/** Entries removed in one commit at most: nothing else is written meanwhile. */
export const TRIM_MAX = 20_000;
/** The bound is looked at after so many entries, and every hour: the log may be longer by as many in between. */
const LOOK_EVERY = 1000;
const LOOK_MS = 3_600_000;

/** What is to go now; undefined: nothing. `agedTo`: sequence of the last entry that is too old, with all before it. Pure. */
export function planTrim(
  extent: AuditExtent,
  agedTo: number,
  { days, entries }: AuditRetention,
): { readonly upTo: number; readonly why: string } | undefined {
  if (extent.entries === 0) return undefined;
  // To a little below the bound, or each further entry would be a trim, with an entry of its own, for ever.
  const countedTo = extent.entries > entries ? extent.newest - entries + Math.ceil(entries / 100) : 0;
  const upTo = Math.min(Math.max(agedTo, countedTo), extent.oldest + TRIM_MAX - 1);
  if (upTo < extent.oldest) return undefined;
  return { upTo, why: agedTo >= countedTo ? `older than ${days} days` : `more than ${entries}` };
}

export interface AuditTrimmerOptions {
  readonly store: StateStore;
  readonly retention: AuditRetention;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** It failed; it is tried again at the next look. */
  readonly onError: (error: unknown) => void;
}

/** Keeps the log within its bounds. */
export class AuditTrimmer {
  readonly #options: AuditTrimmerOptions;
  readonly #stop: () => void;
  #since = 0;
  #running: Promise<void> | undefined;

  /** Looks at once, then as said above. */
  constructor(options: AuditTrimmerOptions) {
    this.#options = options;
    const timer = setInterval(() => void this.look(), LOOK_MS);
    timer.unref();
    const unsubscribe = options.store.onAudit((entries) => {
      this.#since += entries.length;
      if (this.#since >= LOOK_EVERY) void this.look();
    });
    this.#stop = () => {
      clearInterval(timer);
      unsubscribe();
    };
    void this.look();
  }

  /** Trims what is to go; resolves when that is done. One at a time. */
  look(): Promise<void> {
    this.#since = 0;
    this.#running ??= this.#trim().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stop();
    await this.#running;
  }

  async #trim(): Promise<void> {
    const { store, retention, now, onError } = this.#options;
    try {
      for (;;) {
        const driver = store.driver();
        const extent = driver.auditExtent();
        const plan = planTrim(extent, driver.auditAgedTo(now() - retention.days * DAY_MS), retention);
        if (plan === undefined) return;
        await store.trimAudit(plan.upTo, trimEntry(extent, plan, retention, now()));
        if (plan.upTo - extent.oldest + 1 < TRIM_MAX) return;
      }
    } catch (error) {
      onError(error);
    }
  }
}

function trimEntry(
  { oldest }: AuditExtent,
  { upTo, why }: { readonly upTo: number; readonly why: string },
  retention: AuditRetention,
  atMs: number,
): AuditDraft {
  const { name, address } = currentCaller();
  const removed = upTo - oldest + 1;
  return {
    atMs,
    actor: name,
    source: address,
    action: 'audit.trim',
    object: String(upTo),
    hostId: '',
    keyId: '',
    text: `${removed} audit entries removed, ${oldest} to ${upTo}: ${why}`,
    detail: JSON.stringify({ from: oldest, to: upTo, removed, retention }),
  };
}
