// Reports of who is logged in, as agents send them, taken into the store no faster than a host may change its mind.
import type { Logins } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { FailureLimit } from '../ca/rate-limit.js';
import type { WorkloadRecord } from '../store/records.js';
import type { StateStore, StateTransaction } from '../store/state-store.js';
import type { WorkloadIndex } from '../store/workload-index.js';
import { loginsFromWire } from './logins.js';

export interface LoginIntakeOptions {
  readonly store: StateStore;
  readonly index: Pick<WorkloadIndex, 'ofHost'>;
  /** Brings labels that follow logins up to date. */
  readonly relabel: (tx: StateTransaction, records: readonly WorkloadRecord[]) => void;
  readonly now: () => number;
}

/** Changes that a host may report at once, and how often one more: labels follow, and each is kept in the audit log. */
const CHANGES = { burst: 20, refillMs: 30_000 };

export class LoginIntake {
  readonly #options: LoginIntakeOptions;
  /** Per host, so that a new stream is no new allowance. */
  readonly #pace = new FailureLimit(CHANGES.burst, CHANGES.refillMs);
  /** The newest report of each host that is held back. */
  readonly #waiting = new Map<string, Logins>();

  constructor(options: LoginIntakeOptions) {
    this.#options = options;
  }

  /** Takes a report while the host's allowance lasts; else keeps it, and only it, for `retry`. */
  async take(hostId: string, wire: Logins): Promise<void> {
    const { store, index, relabel, now } = this.#options;
    if (this.#pace.exceeded(hostId, now())) {
      this.#waiting.set(hostId, wire);
      return;
    }
    this.#waiting.delete(hostId);
    const logins = loginsFromWire(wire);
    const changed = await store.update((tx) => {
      const record = tx.get('host', hostId);
      if (record === undefined || JSON.stringify(record.logins) === JSON.stringify(logins)) return false;
      tx.set('host', hostId, { ...record, logins });
      relabel(tx, index.ofHost(hostId));
      return true;
    });
    if (changed) this.#pace.failed(hostId, now());
  }

  /** Whether a report of the host is held back. */
  waits(hostId: string): boolean {
    return this.#waiting.has(hostId);
  }

  /** Takes what was held back, if it may be by now. */
  async retry(hostId: string): Promise<void> {
    const wire = this.#waiting.get(hostId);
    if (wire !== undefined) await this.take(hostId, wire);
  }

  /** The host's stream has ended: it tells everything anew when it is back. */
  forget(hostId: string): void {
    this.#waiting.delete(hostId);
  }
}
