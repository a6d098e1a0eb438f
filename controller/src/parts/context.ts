// What every part of a controller is given.
import type { Logger } from 'pino';
import type { ControllerConfig } from '../config.js';

export interface Context {
  readonly config: ControllerConfig;
  readonly log: Logger;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** How often open streams are checked for expired certificates. */
  readonly recheckMs: number;
  /** What ends the parts; called in reverse. */
  readonly closers: (() => Promise<void> | void)[];
}

/** As setTimeout, for those that are handed their clock: the result cancels it. Keeps no process alive. */
export function after(delayMs: number, fn: () => void): () => void {
  const timer = setTimeout(fn, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}
