// Containers of one runtime: its events say when to look, a periodic look catches what they missed, and after a lost connection
// everything is looked at again. What was known stays in force while the runtime does not answer: containers run on without it.
import { Backoff } from '../control/backoff.js';
import { codeOf, messageOf } from '../errors.js';
import type { Timers } from '../timers.js';
import type { PlaceFinder } from './container-place.js';
import type { ContainerRuntime } from './container-runtime.js';
import { containerLocalId, containerWorkload } from './container-workload.js';
import type { FoundWorkload, OnFound, WorkloadSource } from './found-workload.js';
import type { PairingKeyPlaces } from './pairing-key.js';

export interface RuntimeSourceOptions {
  readonly runtime: ContainerRuntime;
  readonly places: PlaceFinder;
  readonly pollMs: number;
  /** Where containers carry their pairing keys. */
  readonly pairingKeys: PairingKeyPlaces;
  readonly timers: Timers;
  readonly random: () => number;
}

/** One look for a burst of events. */
const SETTLE_MS = 5;

export class RuntimeSource implements WorkloadSource {
  readonly name: string;
  problem: string | undefined = 'not looked yet';
  readonly #options: RuntimeSourceOptions;
  readonly #backoff: Backoff;
  #onFound: OnFound = () => {};
  #looking = false;
  #again = false;
  #watch: { close(): void } | undefined;
  /** Raised with each connection: what an earlier one still tells is not listened to. */
  #connection = 0;
  #cancelTimer: (() => void) | undefined;
  #cancelSoon: (() => void) | undefined;
  #stopped = false;

  constructor(options: RuntimeSourceOptions) {
    this.name = options.runtime.name;
    this.#options = options;
    this.#backoff = new Backoff({ firstMs: 250, maxMs: 10_000 }, options.random);
  }

  start(onFound: OnFound): void {
    this.#onFound = onFound;
    void this.#connect();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#cancelSoon?.();
    this.#watch?.close();
  }

  /** The key in a file inside a container is read at every look; what the runtime says of these is asked for anew. */
  async lookAgain(localIds: ReadonlySet<string>): Promise<void> {
    const prefix = containerLocalId('');
    const ids = [...localIds].flatMap((id) => (id.startsWith(prefix) ? [id.slice(prefix.length)] : []));
    this.#options.runtime.forget(new Set(ids));
    await this.#look();
  }

  async #connect(): Promise<void> {
    this.#connection += 1;
    const connection = this.#connection;
    let ended: Error | undefined;
    try {
      // Subscribed before the first look, so that nothing falls between the two.
      const watch = await this.#options.runtime.watch({
        onChange: () => this.#lookSoon(),
        onEnd: (error) => {
          ended = error;
          if (connection === this.#connection && this.#watch !== undefined) this.#lost(error);
        },
      });
      // Given up meanwhile, and another connection is on its way.
      if (this.#stopped || connection !== this.#connection) return watch.close();
      this.#watch = watch;
      // It may have ended before this function knew of it.
      if (ended !== undefined) throw ended;
      await this.#look();
      // A look that failed has lost this connection: the next one is waited for, and brings its own polls.
      if (connection !== this.#connection) return;
      if (this.problem === undefined) this.#backoff.reset();
      this.#poll();
    } catch (error) {
      if (connection === this.#connection) this.#lost(error);
    }
  }

  #lost(error: unknown): void {
    if (this.#stopped) return;
    this.#connection += 1;
    this.#watch?.close();
    this.#watch = undefined;
    const found = `${codeOf(error, '')} ${messageOf(error)}`.trim();
    this.problem = `Cannot watch ${this.#options.runtime.title}: ${found}, wanted an answering Engine`;
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.timers.after(this.#backoff.nextMs(), () => void this.#connect());
  }

  #poll(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.timers.after(this.#options.pollMs, () => {
      void this.#look().then(() => {
        if (!this.#stopped && this.#watch) this.#poll();
      });
    });
  }

  #lookSoon(): void {
    this.#cancelSoon ??= this.#options.timers.after(SETTLE_MS, () => {
      this.#cancelSoon = undefined;
      void this.#look();
    });
  }

  /** One look at a time; one more when something changed meanwhile. */
  async #look(): Promise<void> {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    try {
      do {
        this.#again = false;
        const found = await this.#lookOnce();
        if (this.#stopped) return;
        this.problem = undefined;
        this.#onFound(found);
      } while (this.#again);
    } catch (error) {
      this.#lost(error);
    } finally {
      this.#looking = false;
    }
  }

  async #lookOnce(): Promise<FoundWorkload[]> {
    const { runtime, places, pairingKeys } = this.#options;
    const containers = await runtime.list();
    places.refresh();
    return containers.flatMap(
      (facts) => containerWorkload(facts, places.find(facts.pid), this.name, pairingKeys) ?? [],
    );
  }
}
