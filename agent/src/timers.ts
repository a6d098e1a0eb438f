// Time as something that is handed in: tests move it, processes use the machine's.

/** Wall clock and timers. */
export interface Timers {
  /** Unix milliseconds. */
  now(): number;
  /** Milliseconds since some fixed instant; nobody can set it. */
  steady(): number;
  /** Calls fn once after delayMs; the result cancels it, also after it fired. */
  after(delayMs: number, fn: () => void): () => void;
}

const LONGEST_MS = 2 ** 31 - 1;

/** The machine's. Timers keep the process alive unless told not to. */
export const systemTimers: Timers = {
  now: () => Date.now(),
  steady: () => performance.now(),
  after(delayMs, fn) {
    // Node fires timers beyond 2^31 ms at once.
    let timer = setTimeout(step, Math.min(delayMs, LONGEST_MS));
    let left = delayMs - LONGEST_MS;
    function step() {
      if (left <= 0) return fn();
      timer = setTimeout(step, Math.min(left, LONGEST_MS));
      left -= LONGEST_MS;
    }
    return () => clearTimeout(timer);
  },
};
