import { Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Tone } from '../text/style.js';

/** Colour of a verdict. The word itself always says the same. */
export function verdictTone(verdict: Verdict): Tone | undefined {
  switch (verdict) {
    case Verdict.VERDICT_ALLOWED:
      return 'good';
    case Verdict.VERDICT_BLOCKED:
      return 'bad';
    case Verdict.VERDICT_WOULD_BLOCK:
      return 'warn';
    default:
      return undefined;
  }
}
