// What a guest says: one JSON object a line, to its second serial port.
import { writeSync } from 'node:fs';

export interface CheckLine {
  readonly kind: 'check';
  readonly check: string;
  /** fallback: this kernel lacks something and Ringfence does with less, as `detail` says. */
  readonly status: 'ok' | 'fallback' | 'failed';
  readonly detail: string;
  readonly ms: number;
}

export type Line =
  | { readonly kind: 'start'; readonly release: string; readonly node: string }
  | CheckLine
  | { readonly kind: 'end' };

/** Thrown (or returned) by a check that found less than the best, which is no failure. */
export class Fallback {
  readonly detail: string;

  constructor(detail: string) {
    this.detail = detail;
  }
}

type Outcome = Fallback | undefined;

export class Report {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(line: Line): void {
    writeSync(this.#fd, `${JSON.stringify(line)}\n`);
  }

  /** Runs one check; whatever it throws is its failure. False when it failed. */
  async check(check: string, body: () => Outcome | Promise<Outcome>): Promise<boolean> {
    const started = performance.now();
    const say = (status: CheckLine['status'], detail: string) =>
      this.write({ kind: 'check', check, status, detail, ms: Math.round(performance.now() - started) });
    try {
      const outcome = await body();
      if (outcome instanceof Fallback) say('fallback', outcome.detail);
      else say('ok', '');
      return true;
    } catch (error) {
      say('failed', textOf(error));
      return false;
    }
  }
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const log =
    'log' in error && typeof error.log === 'string' ? ` | ${error.log.split('\n').slice(-12).join(' | ')}` : '';
  return `${error.message}${log}`.replaceAll('\n', ' | ').slice(0, 3000);
}
