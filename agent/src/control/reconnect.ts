// Keeps one connection to the controller: connect, wait until it ends, wait a jittered while, connect again. What a connection is
// stands in `connect`; that it worked (and the backoff may begin anew) is reported by it through `established`.
import type { Timers } from '../timers.js';
import { Backoff, type BackoffOptions } from './backoff.js';

export interface ReconnectOptions {
  /**
   * Makes a connection and resolves or rejects when it has ended. established is called once it has proved to work. The signal
   * says stop.
   */
  readonly connect: (established: () => void, signal: AbortSignal) => Promise<void>;
  /** Told of every end, with the error if there was one and the wait before the next try. The one place that logs it. */
  readonly onEnd: (error: unknown, waitMs: number, attempt: number) => void;
  readonly backoff: BackoffOptions;
  readonly timers: Timers;
  readonly random: () => number;
}

export class Reconnector {
  readonly #options: ReconnectOptions;
  readonly #backoff: Backoff;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #cancelWait: (() => void) | undefined;

  constructor(options: ReconnectOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.backoff, options.random);
  }

  /** Begins; once. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Tries at once instead of at the end of the wait (new address, new certificate). */
  hurry(): void {
    this.#cancelWait?.();
  }

  /** Ends the connection and resolves when it is gone. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#cancelWait?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      let problem: unknown;
      try {
        await this.#options.connect(() => this.#backoff.reset(), this.#abort.signal);
      } catch (error) {
        problem = error;
      }
      if (this.#abort.signal.aborted) return;
      const waitMs = this.#backoff.nextMs();
      this.#options.onEnd(problem, waitMs, this.#backoff.attempts);
      await new Promise<void>((resolve) => {
        const cancel = this.#options.timers.after(waitMs, resolve);
        this.#cancelWait = () => {
          cancel();
          resolve();
        };
        if (this.#abort.signal.aborted) this.#cancelWait();
      });
      this.#cancelWait = undefined;
    }
  }
}
