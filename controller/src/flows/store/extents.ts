// How far the records of a batch reach, and what that makes of the hour that they go to.
import type { StoreBatch } from './messages.js';
import type { Partition } from './partitions.js';

/** The hour holds this batch from now on. */
export function extend(part: Partition, batch: StoreBatch): void {
  const { count, firstId, columns } = batch;
  if (count === 0) return;
  const [first, last] = [extent(columns.first_us), extent(columns.last_us)];
  const empty = part.rows === 0;
  part.minId = empty ? firstId : Math.min(part.minId, firstId);
  part.maxId = Math.max(part.maxId, firstId + count - 1);
  part.minFirstUs = empty ? first.min : Math.min(part.minFirstUs, first.min);
  part.maxFirstUs = empty ? first.max : Math.max(part.maxFirstUs, first.max);
  part.minLastUs = empty ? last.min : Math.min(part.minLastUs, last.min);
  part.maxLastUs = empty ? last.max : Math.max(part.maxLastUs, last.max);
  part.rows += liveCount(batch);
}

/** Least and largest of whole numbers of 8 bytes. */
export function extent(bytes: Uint8Array = new Uint8Array(0)): { min: number; max: number } {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  let [min, max] = [Number.POSITIVE_INFINITY, 0];
  for (let at = 0; at < words.length; at += 2) {
    const value = (words[at] as number) + (words[at + 1] as number) * 0x1_0000_0000;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max };
}

/** Records of a batch that are to be stored. */
export function liveCount({ count, live }: StoreBatch): number {
  return live?.length ?? count;
}
