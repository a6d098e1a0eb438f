import { binding } from './binding.js';
import { NativeError } from './error.js';
import type { BpfMap } from './map.js';

export interface RingOptions {
  /** lanes[i] are the ring buffers whose records are delivered as lane i, e.g. one per CPU. Handles may be closed afterwards. */
  lanes: readonly (readonly BpfMap[])[];
  /** Every record has exactly this many bytes; others are counted as malformed and dropped. Default 128. */
  recordBytes?: number;
  /** Records in one batch. Default 4096. */
  batchRecords?: number;
  /** Batches per lane that may be out (delivered, not released) or filling at once. Default 16. */
  batchesPerLane?: number;
  /** Drain period while records flow. At most 500, the default: the rings are sized for it. */
  drainIntervalUs?: number;
  /** Longest a record waits in a half-full batch while batches go. The first one after as long without any goes at once. Default 10. */
  maxDelayMs?: number;
  /**
   * Longest sleep when nothing flows, for producers that do not wake (BPF_RB_NO_WAKEUP). One that wakes (flags 0 or
   * FORCE_WAKEUP) is heard at once. Default 50: about 20 short wake-ups a second on an idle host.
   */
  maxIdleMs?: number;
  /** Records of one lane that repeat what an earlier one said are folded. Default: none are. */
  fold?: RingFold;
}

/** Bytes of a record, as pairs of offset and length, one pair after the other. */
export type RecordFields = readonly number[];

/**
 * For lanes of cumulative records: of two records about one thing the later one says all that the earlier one said. The thread keeps the
 * latest of `kind` and hands it over after maxHeldMs (later while no batch is free: it is never dropped for want of one), so that a thing that
 * is told of often costs JavaScript as little as one that is told of seldom. All other kinds are handed over as ever, and take the place
 * of what is held about the same thing. Records about one thing keep their order.
 */
export interface RingFold {
  readonly lane: number;
  /** Things at once; with more of them, records are handed over unfolded. Each costs recordBytes (a multiple of 8) and 20 to 36 bytes. */
  readonly entries: number;
  readonly maxHeldMs: number;
  /** Of a u64 that tells which of two records is the later one. */
  readonly timeOffset: number;
  /** Of the byte that must be `kind` in a record that may be folded. */
  readonly kindOffset: number;
  readonly kind: number;
  /** What a record is about. */
  readonly key: RecordFields;
  /** Records that differ here are handed over both. */
  readonly same: RecordFields;
}

export interface RingLaneCounters {
  /** Records taken out of the kernel's rings. */
  consumed: bigint;
  /** Records handed to onBatch. */
  delivered: bigint;
  /** Records lost here: no free batch (JavaScript too slow to release), or malformed. */
  dropped: bigint;
  /** Of dropped: those with a wrong length. */
  malformed: bigint;
  /** Records that a later one took the place of. */
  folded: bigint;
  /** consumed - delivered - dropped - folded: held, or in batches not yet handed over. 0 after close(). */
  pending: bigint;
}

/** Packed records, oldest first per ring. The buffer is reused after release(): read or copy before. */
export interface RingBatch {
  readonly buffer: ArrayBuffer;
  readonly recordCount: number;
  readonly lane: number;
  /** Gives the buffer back. Idempotent. A batch never released is memory lost to its lane until close(). */
  release(): void;
}

const MAX_DRAIN_US = 500;

/**
 * One native thread that empties ring buffers and hands over packed batches. Exact: for every lane
 * consumed = delivered + dropped + folded + pending, at any time; pending is 0 after close(). onBatch runs on the thread that made the
 * consumer; what it throws is an uncaught exception, as from any event handler, and the batch counts as released. An open
 * consumer keeps the event loop alive.
 */
export class RingConsumer {
  readonly #native;
  #closing: Promise<void> | undefined;

  /** Throws RF_ARGUMENT, RF_RING (not a ring buffer, or its memory cannot be mapped). */
  constructor(options: RingOptions, onBatch: (batch: RingBatch) => void) {
    const drainIntervalUs = options.drainIntervalUs ?? MAX_DRAIN_US;
    if (drainIntervalUs < 1 || drainIntervalUs > MAX_DRAIN_US) {
      throw new NativeError({
        code: 'RF_ARGUMENT',
        message: `Cannot consume rings: found drainIntervalUs ${drainIntervalUs}, wanted 1 to ${MAX_DRAIN_US}`,
      });
    }
    const native = binding().createRing(
      options.lanes.map((lane) => lane.map((map) => map.fd)),
      options.recordBytes ?? 128,
      options.batchRecords ?? 4096,
      options.batchesPerLane ?? 16,
      drainIntervalUs,
      options.maxDelayMs ?? 10,
      options.maxIdleMs ?? 50,
      options.fold ?? null,
      (buffer, recordCount, lane, slot) => {
        let held = true;
        const release = (): void => {
          if (held) native.release(lane, slot);
          held = false;
        };
        try {
          onBatch({ buffer, recordCount, lane, release });
        } catch (error) {
          // Nobody is left to release it.
          release();
          throw error;
        }
      },
    );
    this.#native = native;
  }

  /** Per lane, readable at any time, also after close(). */
  counters(): RingLaneCounters[] {
    return this.#native.counters();
  }

  /** Stops taking records; the kernel's rings fill up and count their own drops. Batches already filled are delivered. */
  pause(): void {
    this.#native.pause();
  }

  resume(): void {
    this.#native.resume();
  }

  /**
   * Takes everything committed so far (nothing while paused) and hands it over, with all that a fold holds; resolves when onBatch has seen it.
   */
  flush(): Promise<void> {
    return this.#native.flush();
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Drains the rings once more (also when paused), hands over what is left, ends the thread, unmaps the rings. Resolves after the
   * last onBatch. What a fold holds and no batch is free for counts as dropped: flush() before. Idempotent: the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#native.close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
