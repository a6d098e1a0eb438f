// How sure a record is of who its peer is.
import { Confidence } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { EVENT_FLAG } from './event-layout.js';

/** Nobody in particular may stand behind a shared address: that it is shared is known all the same. */
export function confidenceOf(identity: number, flags: number): Confidence {
  if (identity === 0) {
    return flags & EVENT_FLAG.SHARED ? Confidence.CONFIDENCE_SHARED : Confidence.CONFIDENCE_UNKNOWN;
  }
  if (flags & EVENT_FLAG.TAGGED) return Confidence.CONFIDENCE_TAGGED;
  if (flags & EVENT_FLAG.MAPPED) return Confidence.CONFIDENCE_MAPPED;
  return flags & EVENT_FLAG.SHARED ? Confidence.CONFIDENCE_SHARED : Confidence.CONFIDENCE_EXACT;
}
