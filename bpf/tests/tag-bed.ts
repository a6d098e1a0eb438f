// For tests of tags: fleet time, keys and counters of a kernel under test.
import { readFileSync } from 'node:fs';
import type { BpfMap } from '@ringfence/native';
import { parseAddress } from '@ringfence/proto/address.js';
import {
  TAG_KEY,
  TAG_KEYS,
  TAG_SLOT_NS,
  TAGS,
  type TagClaim,
  TagCount,
  TagsFlag,
  tagKeyHalves,
  tagOption,
} from '../ts/index.js';
import { type TestKernel, u32 } from './kernel.js';

/** Fleet time of a test begins in the middle of this slot: 2.1 s on either side. */
export const SLOT = 1000;
export const FLEET_NS = BigInt(SLOT) * TAG_SLOT_NS + TAG_SLOT_NS / 2n;
/** The key of an epoch in these tests. */
export const keyOf = (epoch: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, i) => (epoch * 16 + i) & 255);

/** CLOCK_BOOTTIME, nanoseconds, to a hundredth of a second. */
export function bootNs(): bigint {
  const [seconds = '0'] = readFileSync('/proc/uptime', 'utf8').split(' ');
  return BigInt(Math.round(Number(seconds) * 1000)) * 1_000_000n;
}

export interface TagSettings {
  readonly epoch?: number;
  readonly nextEpoch?: number;
  readonly nextFromNs?: bigint;
  readonly flags?: number;
  /** Fleet time now. */
  readonly nowNs?: bigint;
}

/** Switches tags; absent settings: epoch 5, everything on, the middle of SLOT. */
export function setTags(kernel: TestKernel, settings: TagSettings = {}): void {
  const { epoch = 5, nextEpoch = 0, nextFromNs = 0n, nowNs = FLEET_NS } = settings;
  const flags = settings.flags ?? TagsFlag.WRITE | TagsFlag.VERIFY;
  const clockNs = BigInt.asUintN(64, nowNs - bootNs());
  kernel.map('rf_tags').update(u32(0), TAGS.encode({ clockNs, nextFromNs, epoch, nextEpoch, flags }));
}

/** Gives an epoch's key. untilNs: fleet time; 0: no end. */
export function setKey(kernel: TestKernel, epoch: number, untilNs = 0n): void {
  const value = TAG_KEY.encode({ ...tagKeyHalves(keyOf(epoch)), untilNs, epoch });
  kernel.map('rf_tag_keys').update(u32(epoch % TAG_KEYS), value);
}

/** No tags, keys, counts, nor tags seen. */
export function clearTags(kernel: TestKernel): void {
  for (const name of ['rf_tags', 'rf_tag_keys', 'rf_tag_seen'] as const) {
    const keys = kernel.map(name).keys();
    if (keys.length > 0) kernel.map(name).deleteBatch(keys, { missingOk: true });
  }
  const counts = kernel.map('rf_tag_counts');
  const { maxEntries, valueStride } = counts.info;
  counts.updateBatch(
    Buffer.concat(Array.from({ length: maxEntries }, (_, i) => u32(i))),
    new Uint8Array(maxEntries * valueStride),
  );
}

export type TagCounts = Partial<Record<keyof typeof TagCount, number>>;

/** Counters by name, over all CPUs; only what is not zero. */
export function tagCounts(kernel: TestKernel): TagCounts {
  return readTagCounts(kernel.map('rf_tag_counts'));
}

export function readTagCounts(map: BpfMap): TagCounts {
  const counts: TagCounts = {};
  for (const [name, index] of Object.entries(TagCount)) {
    const value = name === 'COUNT' ? undefined : map.lookup(u32(index));
    if (value === undefined) continue;
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    let sum = 0;
    for (let at = 0; at < value.length; at += 8) sum += Number(view.getBigUint64(at, true));
    if (sum > 0) counts[name as keyof typeof TagCount] = sum;
  }
  return counts;
}

/** A tag of this epoch's key. */
export const genuine = (claim: TagClaim): Uint8Array => tagOption(keyOf(claim.epoch), claim);

/** 16 bytes. */
export function mapped(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new RangeError(`Cannot use address: found ${text}`);
  return bytes;
}
