// What could not be stored, and what batches tell to be missing, as gaps.
import type { Gap, KeptGap } from '../gaps.js';
import { extent } from './extents.js';
import type { StoreBatch } from './messages.js';
import type { Partition } from './partitions.js';

/** What batches tell to be missing, and what could not be stored before them, at their places. */
export function gapsOf(missed: readonly Gap[], batches: readonly StoreBatch[], open: Partition): KeptGap[] {
  let place = open.maxId + 1;
  return [
    ...missed.map((gap) => ({ ...gap, beforeId: batches.find(({ count }) => count > 0)?.firstId ?? place })),
    ...batches.flatMap(({ gaps, count, firstId }) => {
      const beforeId = count > 0 ? firstId : place;
      if (count > 0) place = firstId + count;
      return gaps.map((gap) => ({ ...gap, beforeId }));
    }),
  ];
}

/** A batch that could not be stored, as what is missing. */
export function lostWith({ count, hostId, columns }: StoreBatch): Gap[] {
  if (count === 0) return [];
  return [{ hop: 'store', hostId, count, fromUs: extent(columns.last_us).min, untilUs: extent(columns.last_us).max }];
}
