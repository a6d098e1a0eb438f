// In-band tags: what the controller told of them, as the content of the kernel's two small tables. Pure.
import { type TagKey, type Tags, TagsFlag, tagKeyHalves } from '@ringfence/bpf';

/** One epoch's key. Times are fleet time, Unix milliseconds. */
export interface TagEpoch {
  readonly epoch: number;
  /** 16 bytes. A secret: never logged. */
  readonly key: Uint8Array;
  readonly fromMs: number;
  /** 0: no end yet. */
  readonly untilMs: number;
}

/** Which SYNs are given a tag. */
export type TagMode = 'off' | 'peers' | 'anywhere';

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

/**
 * What the kernel holds from now on. fleetMs: fleet time now; bootMs: CLOCK_BOOTTIME now. The kernel goes on to the next epoch by
 * itself when its time comes.
 */
export function tagTables(settings: TagSettings | undefined, fleetMs: number, bootMs: number): TagTables {
  if (settings === undefined || settings.mode === 'off') return OFF;
  const begun = settings.epochs.filter(({ fromMs }) => fromMs <= fleetMs).at(-1);
  const next = settings.epochs.find(({ fromMs }) => fromMs > fleetMs);
  const anywhere = settings.mode === 'anywhere' ? TagsFlag.ANYWHERE : 0;
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
