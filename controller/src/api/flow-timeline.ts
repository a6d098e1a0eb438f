// Flows.Timeline: what it accepts, and its answer.
import type {
  FlowTimeline,
  FlowTimelineRequest,
  FlowTimelineStep,
} from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowArchive } from '../flows/store/archive.js';
import { invalid } from './errors.js';
import { type FilterNames, resolveFilter } from './flow-filter.js';

const STEPS_DEFAULT = 60;
const STEPS_MAX = 500;
const SECOND_US = 1_000_000;
const HOUR_US = 3600 * SECOND_US;
/** Timelines longer than this have steps of whole hours, which rollups can tell. */
const COARSE_US = 72 * HOUR_US;

/** Throws ApiError RF_FILTER, RF_SELECTOR, RF_TIMELINE. */
export async function flowTimeline(
  request: FlowTimelineRequest,
  archive: FlowArchive,
  names: FilterNames,
  nowMs: number,
): Promise<FlowTimeline> {
  const wanted = request.steps || STEPS_DEFAULT;
  const refuse = (found: string, want: string) =>
    invalid('RF_TIMELINE', `Cannot make a timeline: found ${found}, wanted ${want}`);
  if (wanted > STEPS_MAX) throw refuse(`${wanted} steps`, `at most ${STEPS_MAX}`);
  const filter = resolveFilter(request.filter, names);
  const oldestUs = await archive.oldestUs();
  const untilUs = Number(filter?.untilUs ?? 0n) || nowMs * 1000;
  const sinceUs = Number(filter?.sinceUs ?? 0n) || oldestUs || untilUs - HOUR_US;
  if (sinceUs >= untilUs) throw refuse('an end before the begin', 'since before until');
  const unitUs = untilUs - sinceUs > COARSE_US ? HOUR_US : SECOND_US;
  const stepUs = Math.max(unitUs, Math.ceil((untilUs - sinceUs) / wanted / unitUs) * unitUs);
  const fromUs = Math.floor(sinceUs / stepUs) * stepUs;
  const steps = Math.ceil((untilUs - fromUs) / stepUs);
  const all: FlowTimelineStep[] = Array.from({ length: steps }, () => ({
    allowed: 0n,
    wouldBlock: 0n,
    blocked: 0n,
    bytes: 0n,
  }));
  for (const { step, verdict, attempts, bytes } of await archive.timeline({ filter, fromUs, stepUs, steps })) {
    const place = all[step];
    if (place === undefined) continue;
    place.bytes += whole(bytes);
    const count = whole(attempts);
    if (verdict === Verdict.VERDICT_BLOCKED) place.blocked += count;
    else if (verdict === Verdict.VERDICT_WOULD_BLOCK) place.wouldBlock += count;
    else place.allowed += count;
  }
  return { fromUs: BigInt(fromUs), stepUs: BigInt(stepUs), steps: all, oldestUs: BigInt(oldestUs) };
}

/** Sums travel as 64 bits: a few of these fit together. */
function whole(sum: number): bigint {
  return BigInt(Math.round(Math.min(sum, 2 ** 60)));
}
