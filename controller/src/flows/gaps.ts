// What is missing among flow records: how many, where they were lost, when, on which host.
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { aligned32, WHOLE_MAX } from './decode.js';

export interface Gap {
  /** "subscriber": this reader was slow. "store": could not be kept. Else the hop before the controller that lost them. */
  readonly hop: string;
  /** Empty for the controller. */
  readonly hostId: string;
  /** Events (before the agent made records of them) or records, as the hop counts. */
  readonly count: number;
  /** They were lost in between, Unix microseconds; both 0: it is not known when. */
  readonly fromUs: number;
  readonly untilUs: number;
}

/** A gap that is kept: it stands before the records from this id on. */
export interface KeptGap extends Gap {
  readonly beforeId: number;
}

/** When the packets were that a batch tells of last: what was lost since the batch before was lost about then. */
export function timesOf(columns: FlowColumns | undefined): Pick<Gap, 'fromUs' | 'untilUs'> {
  if (columns === undefined || columns.count === 0) return { fromUs: 0, untilUs: 0 };
  const words = aligned32(columns.lastSeenUs);
  let [fromUs, untilUs] = [Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < words.length; i += 2) {
    const us = (words[i] as number) + (words[i + 1] as number) * 0x1_0000_0000;
    if (us < fromUs) fromUs = us;
    if (us > untilUs) untilUs = us;
  }
  return { fromUs: Math.min(fromUs, WHOLE_MAX), untilUs: Math.min(untilUs, WHOLE_MAX) };
}

/** One gap for both: the counts together, in the time that holds both. */
export function joined(a: Gap, b: Gap): Gap {
  return {
    ...a,
    count: Math.min(WHOLE_MAX, a.count + b.count),
    fromUs: a.fromUs === 0 ? b.fromUs : b.fromUs === 0 ? a.fromUs : Math.min(a.fromUs, b.fromUs),
    untilUs: Math.max(a.untilUs, b.untilUs),
  };
}

/** One gap for each host and hop. */
export function byHop(gaps: Iterable<Gap>): Gap[] {
  const sums = new Map<string, Gap>();
  for (const gap of gaps) {
    const key = `${gap.hop}|${gap.hostId}`;
    const known = sums.get(key);
    sums.set(key, known === undefined ? gap : joined(known, gap));
  }
  return [...sums.values()];
}

/** Whether a gap may hold records that a filter with these times and reporters asks for. */
export function gapMatters(
  gap: Gap,
  filter: { readonly sinceUs: bigint; readonly untilUs: bigint; readonly reporters: readonly string[] } | undefined,
): boolean {
  if (filter === undefined) return true;
  if (filter.sinceUs > 0n && gap.untilUs > 0 && gap.untilUs < Number(filter.sinceUs)) return false;
  if (filter.untilUs > 0n && gap.fromUs >= Number(filter.untilUs)) return false;
  return filter.reporters.length === 0 || gap.hostId === '' || filter.reporters.includes(gap.hostId);
}
