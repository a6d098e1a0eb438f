// Epochs of tag keys: which there are at a moment. Pure.
//
//   the one before   still taken for overlapMs after the present one began
//   the present one  written by every host
//   the next one     known to every host ahead of its time, so that all change at once and a host that loses its controller goes on

/** One epoch. Times are the controller's clock, Unix milliseconds. */
export interface Epoch {
  /** Grows by one. */
  readonly epoch: number;
  /** 16 random bytes. */
  readonly key: Uint8Array;
  /** When hosts begin to write with it. */
  readonly fromMs: number;
}

export interface EpochTimes {
  /** From the begin of one to the begin of the next. */
  readonly periodMs: number;
  /** How long an epoch is taken after the next one began. */
  readonly overlapMs: number;
  /** How long ahead hosts hear of an epoch at least. */
  readonly noticeMs: number;
}

/**
 * The epochs that there shall be at nowMs: at most three, ascending, the last one to come. The same array when nothing changes.
 * fresh: makes a key. The first epoch ever has the time as its number, so that a controller that lost its keys repeats none.
 */
export function advance(
  epochs: readonly Epoch[],
  nowMs: number,
  times: EpochTimes,
  fresh: () => Uint8Array,
): readonly Epoch[] {
  const all = [...epochs];
  if (!all.some(({ fromMs }) => fromMs <= nowMs)) {
    // None has begun: nothing is there, or the clock was set back. The earliest begins now.
    const [first] = all;
    if (first === undefined) all.push({ epoch: Math.floor(nowMs / 1000) % 2 ** 31 || 1, key: fresh(), fromMs: nowMs });
    else all[0] = { ...first, fromMs: nowMs };
  }
  const begun = present(all, nowMs);
  if (begun === all.length - 1) {
    const now = all[begun] as Epoch;
    const fromMs = Math.max(now.fromMs + times.periodMs, nowMs + times.noticeMs);
    all.push({ epoch: now.epoch + 1, key: fresh(), fromMs });
  }
  const first = nowMs < (all[begun] as Epoch).fromMs + times.overlapMs ? begun - 1 : begun;
  const kept = all.slice(Math.max(0, first), begun + 2);
  return kept.length === epochs.length && kept.every((epoch, i) => epoch === epochs[i]) ? epochs : kept;
}

/** The next epoch comes at once (after noticeMs) and with a key that nobody has heard of yet. epochs: as advance gives them. */
export function rotated(
  epochs: readonly Epoch[],
  nowMs: number,
  times: EpochTimes,
  fresh: () => Uint8Array,
): readonly Epoch[] {
  const next = epochs.at(-1);
  if (next === undefined) return epochs;
  return [...epochs.slice(0, -1), { epoch: next.epoch, key: fresh(), fromMs: nowMs + times.noticeMs }];
}

/** When tags of the epoch at this index are refused; 0: no epoch after it is known. */
export function untilMs(epochs: readonly Epoch[], index: number, times: EpochTimes): number {
  const next = epochs[index + 1];
  return next === undefined ? 0 : next.fromMs + times.overlapMs;
}

/** When advance changes something next. */
export function nextChangeMs(epochs: readonly Epoch[], nowMs: number, times: EpochTimes): number {
  const next = epochs.find(({ fromMs }) => fromMs > nowMs)?.fromMs ?? nowMs;
  const begun = present(epochs, nowMs);
  return begun > 0 ? Math.min(next, (epochs[begun] as Epoch).fromMs + times.overlapMs) : next;
}

/** Index of the present one; -1: none. */
export function present(epochs: readonly Epoch[], nowMs: number): number {
  return epochs.findLastIndex(({ fromMs }) => fromMs <= nowMs);
}
