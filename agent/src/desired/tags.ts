// In-band tags: what the controller told of them, as the content of the kernel's two small tables. Pure.
import { TAG_KEYS, type TagKey, type Tags, TagsFlag, tagKeyHalves } from '@ringfence/bpf';
import { type TagKeys as TagKeysMessage, TagMode } from '@ringfence/proto/gen/ringfence/v1/agent.js';

/** One epoch's key. Times are fleet time, Unix milliseconds. */
export interface TagEpoch {
  readonly epoch: number;
  /** 16 bytes. A secret: never logged. */
  readonly key: Uint8Array;
  readonly fromMs: number;
  /** 0: no end yet. */
  readonly untilMs: number;
}

export interface TagSettings {
  readonly mode: TagMode;
  /** By epoch, ascending. */
  readonly epochs: readonly TagEpoch[];
}

/** Content of rf_tags and rf_tag_keys. */
export interface TagTables {
  /** undefined: tags are off, and both tables are empty. */
  readonly tags: Tags | undefined;
  readonly keys: readonly TagKey[];
  /** The program that writes tags is attached. */
  readonly writes: boolean;
}

/** Reads the controller's message. Throws RangeError ("Cannot …: found …, wanted …"), which names no key. */
export function tagSettingsFromWire(wire: TagKeysMessage): TagSettings {
  if (![TagMode.TAG_MODE_OFF, TagMode.TAG_MODE_PEERS, TagMode.TAG_MODE_ANYWHERE].includes(wire.mode)) {
    throw new RangeError(`Cannot read tag keys: found mode ${wire.mode}, wanted off, peers or anywhere`);
  }
  if (wire.keys.length >= TAG_KEYS) {
    throw new RangeError(`Cannot read tag keys: found ${wire.keys.length}, wanted fewer than ${TAG_KEYS}`);
  }
  const epochs = wire.keys.map(({ epoch, key, fromMs, untilMs }) => {
    if (key.length !== 16)
      throw new RangeError(`Cannot read key of tag epoch ${epoch}: found ${key.length} bytes, wanted 16`);
    return { epoch, key: Uint8Array.from(key), fromMs: Number(fromMs), untilMs: Number(untilMs) };
  });
  for (const [i, { epoch, fromMs, untilMs }] of epochs.entries()) {
    const before = epochs[i - 1]?.epoch;
    // One after the other: the kernel keeps them by epoch modulo the table's size.
    if (epoch < 1 || (before !== undefined && epoch !== before + 1)) {
      throw new RangeError(
        `Cannot read tag keys: found epoch ${epoch} after ${before ?? 'none'}, wanted one after another`,
      );
    }
    if (!(fromMs >= 0 && untilMs >= 0))
      throw new RangeError(`Cannot read tag epoch ${epoch}: found times ${fromMs} and ${untilMs}, wanted none below 0`);
  }
  return { mode: wire.mode, epochs };
}

/**
 * What the kernel holds from now on. fleetMs: fleet time now; bootMs: CLOCK_BOOTTIME now. The kernel goes on to the next epoch by
 * itself when its time comes.
 */
export function tagTables(settings: TagSettings | undefined, fleetMs: number, bootMs: number): TagTables {
  if (settings === undefined || settings.mode === TagMode.TAG_MODE_OFF) return OFF;
  const begun = settings.epochs.filter(({ fromMs }) => fromMs <= fleetMs).at(-1);
  const next = settings.epochs.find(({ fromMs }) => fromMs > fleetMs);
  const anywhere = settings.mode === TagMode.TAG_MODE_ANYWHERE ? TagsFlag.ANYWHERE : 0;
  return {
    tags: {
      clockNs: BigInt.asUintN(64, nanoseconds(fleetMs - bootMs)),
      nextFromNs: nanoseconds(next?.fromMs ?? 0),
      epoch: begun?.epoch ?? 0,
      nextEpoch: next?.epoch ?? 0,
      flags: TagsFlag.WRITE | TagsFlag.VERIFY | anywhere,
    },
    keys: settings.epochs.map(({ epoch, key, untilMs }) => ({
      ...tagKeyHalves(key),
      untilNs: nanoseconds(untilMs),
      epoch,
    })),
    writes: true,
  };
}

const OFF: TagTables = { tags: undefined, keys: [], writes: false };

function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms)) * 1_000_000n;
}
