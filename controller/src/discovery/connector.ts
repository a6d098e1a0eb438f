// Sources of spaces and workloads beyond agents, the API and declared files: each is asked again and again, and what it says last counts.
// A source that fails leaves what was known in force, and is asked again, later each time.
import type { Logger } from 'pino';
import type { StateStore } from '../store/state-store.js';
import { type Findings, publish } from './findings.js';

/** A source of findings, level-triggered. */
export interface DiscoverySource {
  /** Distinct among connectors: 1 to 32 of a-z, 0-9, dash. */
  readonly name: string;
  /** Everything that it knows now. Rejects with a ConnectorError, or anything else, when it cannot tell all of it. */
  look(signal: AbortSignal): Promise<Findings>;
}

/** A source could not be asked. The message holds no secrets. */
export class ConnectorError extends Error {
  override readonly name = 'ConnectorError';
  readonly code: string;

  /** `code`: stable, RF_CONNECTOR_…; `cause` is never logged. */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface ConnectorOptions {
  readonly source: DiscoverySource;
  readonly store: StateStore;
  /** Between the end of a look and the next. */
  readonly intervalMs: number;
  /** Whether a label may be given. */
  readonly permits: (dimension: string, value: string) => boolean;
  readonly now: () => number;
  /** Calls back once; gives the way to cancel. */
  readonly after: (delayMs: number, fn: () => void) => () => void;
  readonly random: () => number;
  readonly log: Logger;
}

/** How a connector stands. */
export interface ConnectorStanding {
  readonly name: string;
  /** Unix milliseconds of the last look that succeeded; 0: none has yet. */
  readonly lookedMs: number;
  /** Why the last one did not; empty when it did. */
  readonly problem: string;
  /** What the last look told but could not be used, one sentence each. */
  readonly notes: readonly string[];
  readonly spaces: number;
  readonly workloads: number;
}

const BACKOFF_MAX_MS = 15 * 60_000;
const NOTES_MAX = 20;

export class Connector {
  readonly #options: ConnectorOptions;
  readonly #stop = new AbortController();
  #standing: ConnectorStanding;
  #failures = 0;
  #cancel: () => void = () => {};
  #running: Promise<void> = Promise.resolve();

  constructor(options: ConnectorOptions) {
    this.#options = options;
    const { name } = options.source;
    this.#standing = { name, lookedMs: 0, problem: '', notes: [], spaces: 0, workloads: 0 };
  }

  get standing(): ConnectorStanding {
    return this.#standing;
  }

  /** Looks at once, and from then on until stopped. */
  start(): void {
    this.#running = this.#round();
  }

  /** Resolves when nothing of it runs any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#cancel();
    await this.#running;
  }

  /** One look. Resolves when what it told is in the store, or its problem in `standing`. */
  async look(): Promise<void> {
    const { source, store, permits, now, log } = this.#options;
    const { name } = source;
    try {
      const findings = await source.look(this.#stop.signal);
      const outcome = await publish(store, name, findings, permits, now());
      if (this.#standing.problem !== '' || this.#standing.lookedMs === 0)
        log.info({ connector: name, ...outcome.counts }, 'connector works');
      if (outcome.notes.length > 0 && outcome.notes.join() !== this.#standing.notes.join())
        log.warn({ connector: name, notes: outcome.notes.slice(0, 5) }, 'a connector told what cannot be used');
      const notes = outcome.notes.slice(0, NOTES_MAX);
      this.#standing = { name, lookedMs: now(), problem: '', notes, ...outcome.counts };
      this.#failures = 0;
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#failures += 1;
      const problem = wordsOf(error);
      if (problem !== this.#standing.problem) log.warn({ connector: name, problem }, 'connector failed; trying again');
      this.#standing = { ...this.#standing, problem };
    }
  }

  async #round(): Promise<void> {
    await this.look();
    if (this.#stop.signal.aborted) return;
    this.#cancel = this.#options.after(this.#waitMs(), () => {
      this.#running = this.#round();
    });
  }

  /** The interval; after failures twice as long each time, and never the same for two controllers. */
  #waitMs(): number {
    const { intervalMs, random } = this.#options;
    const ceiling = Math.min(intervalMs * 2 ** Math.min(this.#failures, 10), Math.max(intervalMs, BACKOFF_MAX_MS));
    return Math.round(ceiling * (0.9 + 0.2 * random()));
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof ConnectorError) return `${error.code}: ${error.message}`;
  return `RF_CONNECTOR: ${error instanceof Error ? error.message : String(error)}`;
}
