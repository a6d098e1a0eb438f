// When denied pairings are decided again although nothing is known to have changed: a key may have been put right where only the agent can
// see it, or a store restored. Rarely, and ever more rarely. Pure.
import type { PairingDenial } from './decide.js';

export interface RetryOptions {
  /** Ceiling of the first wait; each further one doubles, up to maxMs. Milliseconds. */
  readonly firstMs: number;
  readonly maxMs: number;
  /** Yields [0, 1): a wait is between half its ceiling and the ceiling, so that a fleet's retries do not come at once. */
  readonly random: () => number;
}

export const RETRY: Omit<RetryOptions, 'random'> = { firstMs: 60_000, maxMs: 3_600_000 };

interface Entry {
  attempts: number;
  atMs: number;
  /** Asked for: the next report is decided whatever it says. */
  open: boolean;
}

/** One entry per denied workload that is present. */
export class RetrySchedule {
  readonly #options: RetryOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: RetryOptions) {
    this.#options = options;
  }

  /** How a workload stands: `denial` undefined when it is not denied, or is gone. Level-triggered; the first denial begins the wait. */
  set(workloadId: string, denial: PairingDenial | undefined, nowMs: number): void {
    if (denial === undefined) this.#entries.delete(workloadId);
    else if (!this.#entries.has(workloadId))
      this.#entries.set(workloadId, { attempts: 0, atMs: nowMs + this.#waitMs(0), open: false });
  }

  /** Workloads whose wait is over. */
  due(nowMs: number): string[] {
    return [...this.#entries].filter(([, { atMs }]) => atMs <= nowMs).map(([id]) => id);
  }

  /** The agent is asked about it now: its next report is decided, and the next wait begins. */
  asked(workloadId: string, nowMs: number): void {
    const entry = this.#entries.get(workloadId);
    if (entry === undefined) return;
    entry.attempts += 1;
    entry.atMs = nowMs + this.#waitMs(entry.attempts);
    entry.open = true;
  }

  /** Whether this report is to be decided although it says nothing new; once per `asked`. */
  take(workloadId: string): boolean {
    const entry = this.#entries.get(workloadId);
    if (!entry?.open) return false;
    entry.open = false;
    return true;
  }

  /** When it is decided again at the latest, Unix milliseconds; 0: it is not denied. */
  atMs(workloadId: string): number {
    return this.#entries.get(workloadId)?.atMs ?? 0;
  }

  get size(): number {
    return this.#entries.size;
  }

  #waitMs(attempts: number): number {
    const { firstMs, maxMs, random } = this.#options;
    const ceiling = Math.min(maxMs, firstMs * 2 ** Math.min(attempts, 30));
    return Math.round(ceiling / 2 + (random() * ceiling) / 2);
  }
}
