// The kernel's tables of tags: a few entries, each replaced as a whole, so they need no flush. Not part of a policy revision.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TAG_KEY, TAG_KEYS, TAGS, TagCount } from '@ringfence/bpf';
import { BpfMap, possibleCpus } from '@ringfence/native';
import { bytesOf, packU32 } from '../desired/pack.js';
import type { TagTables } from '../desired/tags.js';

/** Writes both tables: keys before what refers to them, and the reverse when they go. Throws NativeError. */
export function writeTagTables(tags: BpfMap, keys: BpfMap, tables: TagTables): void {
  if (tables.tags === undefined) tags.delete(number(0));
  const wanted = new Set(tables.keys.map(({ epoch }) => epoch % TAG_KEYS));
  for (const key of tables.keys) keys.update(number(key.epoch % TAG_KEYS), TAG_KEY.encode(key));
  if (tables.tags !== undefined) tags.update(number(0), TAGS.encode(tables.tags));
  for (let slot = 0; slot < TAG_KEYS; slot += 1) if (!wanted.has(slot)) keys.delete(number(slot));
}

/** Takes keys and switch out of the maps pinned in a directory, without loading anything. What writes tags then writes none. */
export function clearTagPins(directory: string): void {
  // Maps of a build that knew no tags.
  if (!existsSync(join(directory, 'rf_tags')) || !existsSync(join(directory, 'rf_tag_keys'))) return;
  using tags = BpfMap.fromPin(join(directory, 'rf_tags'));
  using keys = BpfMap.fromPin(join(directory, 'rf_tag_keys'));
  writeTagTables(tags, keys, { tags: undefined, keys: [], writes: false });
}

const number = (value: number): Uint8Array => bytesOf(packU32(value));

/** Index of rf_tag_counts, by the name that status and metrics use. */
const COUNTED = {
  written: TagCount.WRITTEN,
  noRoom: TagCount.NO_ROOM,
  noKey: TagCount.NO_KEY,
  valid: TagCount.VALID,
  absent: TagCount.ABSENT,
  invalid: TagCount.INVALID,
  expired: TagCount.EXPIRED,
  unknownEpoch: TagCount.EPOCH,
  replayed: TagCount.REPLAYED,
  notBehind: TagCount.NOT_BEHIND,
  foreign: TagCount.FOREIGN,
} as const;

/** What became of tags since the maps were made; see agent.proto TagTallies. */
export type TagTally = Readonly<Record<keyof typeof COUNTED, bigint>>;

/** rf_tag_counts, summed over CPUs. */
export function readTagTally(map: BpfMap): TagTally {
  const { keys, values } = map.dump();
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  const index = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
  const sums = new Map<number, bigint>();
  for (let i = 0; i < keys.length / 4; i += 1) {
    let sum = 0n;
    for (let cpu = 0; cpu < possibleCpus(); cpu += 1)
      sum += view.getBigUint64(i * map.info.valueStride + cpu * 8, true);
    sums.set(index.getUint32(4 * i, true), sum);
  }
  return Object.fromEntries(Object.entries(COUNTED).map(([name, at]) => [name, sums.get(at) ?? 0n])) as TagTally;
}
