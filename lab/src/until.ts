import { setTimeout as delay } from 'node:timers/promises';

/** A condition that did not come true in time. The message ends with what was seen last. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** Thrown by a probe when waiting longer is pointless: until() passes it on at once. */
export class HopelessError extends Error {
  override readonly name = 'HopelessError';
}

export interface UntilOptions {
  /** Give up after this long. Default 60 s: a bound for a broken run, not an expectation of speed. */
  timeoutMs?: number;
  /** Between two looks. Default 50 ms. */
  intervalMs?: number;
}

/**
 * Looks until `probe` gives something other than undefined, null or false, and returns it. An error thrown by `probe` counts as
 * "not yet" and becomes the cause when time runs out.
 */
export async function until<T>(
  what: string,
  probe: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  options: UntilOptions = {},
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? 60_000;
  const end = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== null && value !== false) return value;
      last = undefined;
    } catch (error) {
      if (error instanceof HopelessError) throw error;
      last = error;
    }
    if (performance.now() >= end) {
      const seen = last instanceof Error ? `: ${last.message}` : '';
      throw new DeadlineError(`Cannot wait longer for ${what}: not so after ${timeoutMs} ms${seen}`, { cause: last });
    }
    await delay(options.intervalMs ?? 50);
  }
}
