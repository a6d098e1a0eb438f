import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { plural } from '../text/plural.js';
import { duration } from '../text/time.js';
import { verdictWords } from '../views/words.js';

/** What a tail has seen. */
export class TailSummary {
  readonly #startedMs: number;
  readonly #byVerdict = new Map<string, number>();
  flows = 0;
  missing = 0n;
  reconnects = 0;

  /** `startedMs`: any clock in milliseconds, the same as for text() and json(). */
  constructor(startedMs: number) {
    this.#startedMs = startedMs;
  }

  count(flow: Flow): void {
    this.flows += 1;
    const word = verdictWords.of(flow.verdict);
    this.#byVerdict.set(word, (this.#byVerdict.get(word) ?? 0) + 1);
  }

  json(nowMs: number): object {
    return {
      flows: this.flows,
      byVerdict: Object.fromEntries(this.#byVerdict),
      missing: this.missing,
      reconnects: this.reconnects,
      durationMs: Math.round(nowMs - this.#startedMs),
    };
  }

  /** "12 flows in 2m5s: 10 allowed, 2 blocked; 3 missing; 1 reconnect". */
  text(nowMs: number): string {
    const verdicts = [...this.#byVerdict].map(([word, count]) => `${count} ${word}`).join(', ');
    const parts = [
      `${plural(this.flows, 'flow')} in ${duration(nowMs - this.#startedMs)}${verdicts === '' ? '' : `: ${verdicts}`}`,
    ];
    if (this.missing > 0n) parts.push(`${this.missing} missing`);
    if (this.reconnects > 0) parts.push(plural(this.reconnects, 'reconnect'));
    return parts.join('; ');
  }
}
