// When the open rollout's window ends.
import type { Rollout } from './policy-rollout.js';

export interface ReturnTimerOptions {
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Calls once after a while; the result cancels it. */
  readonly after: (delayMs: number, fn: () => void) => () => void;
  /** A rollout could not be taken back; it is tried again. */
  readonly onError: (error: unknown) => void;
}

const RETRY_MS = 1000;
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Counts real time, whatever is done to the clock meanwhile. */
export class ReturnTimer {
  readonly #options: ReturnTimerOptions;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: ReturnTimerOptions) {
    this.#options = options;
  }

  /** Calls when the window of this rollout ends, and again while that fails; forgets any other. */
  watch(rollout: Rollout | undefined, onEnd: () => Promise<void>): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (rollout === undefined || rollout.deadlineMs === 0 || this.#stopped) return;
    const left = Math.min(rollout.windowMs, Math.max(0, rollout.deadlineMs - this.#options.now()));
    this.#wait(left, onEnd);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #wait(ms: number, onEnd: () => Promise<void>): void {
    if (this.#stopped) return;
    const cancel = this.#options.after(Math.min(TIMER_MAX_MS, ms), () => {
      onEnd().catch((error: unknown) => {
        this.#options.onError(error);
        // Another rollout has a timer of its own by now.
        if (this.#cancel === cancel) this.#wait(RETRY_MS, onEnd);
      });
    });
    this.#cancel = cancel;
  }
}
