// The controller's side of in-band tags: the switch, the keys' epochs, and what hosts are told. Knows no stream and no database.
import type { TagKeys } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { TagMode } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { advance, type Epoch, type EpochTimes, nextChangeMs, present, rotated, untilMs } from './epochs.js';

/** An hour each; five minutes for hosts whose clock or stream lags; half a minute to hear of one that comes early. */
export const TAG_TIMES: EpochTimes = { periodMs: 3_600_000, overlapMs: 300_000, noticeMs: 30_000 };
/** Node's timers hold no more. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export interface TagDeskPorts {
  /** The switch as it stands. */
  readonly mode: () => TagMode;
  readonly file: { readonly read: () => readonly Epoch[]; readonly write: (epochs: readonly Epoch[]) => void };
  readonly nowMs: () => number;
  readonly randomKey: () => Uint8Array;
  /** Calls fn after delayMs, once; the returned function prevents it. */
  readonly after: (delayMs: number, fn: () => void) => () => void;
  /** The keys could not be kept; hosts go on with what they have, and it is tried again. */
  readonly onError: (error: unknown) => void;
  readonly times?: EpochTimes;
}

export class TagDesk {
  readonly #ports: TagDeskPorts;
  readonly #listeners = new Set<() => void>();
  readonly times: EpochTimes;
  #epochs: readonly Epoch[];
  #cancel: () => void = () => {};

  /** Reads the keys. Throws what reading throws. */
  constructor(ports: TagDeskPorts) {
    this.#ports = ports;
    this.times = ports.times ?? TAG_TIMES;
    this.#epochs = ports.file.read();
    this.#keep(advance(this.#epochs, ports.nowMs(), this.times, ports.randomKey));
    this.#schedule();
  }

  /** Calls back when hosts must be told anew. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get mode(): TagMode {
    return this.#ports.mode();
  }

  /** Epoch that is written now, and when the next one begins. */
  get standing(): { readonly epoch: number; readonly nextFromMs: number } {
    const now = this.#ports.nowMs();
    const begun = present(this.#epochs, now);
    return { epoch: this.#epochs[begun]?.epoch ?? 0, nextFromMs: this.#epochs[begun + 1]?.fromMs ?? 0 };
  }

  /** What a host is told now. While tags are off it gets no key. */
  message(): TagKeys {
    const { mode } = this;
    const epochs = mode === TagMode.TAG_MODE_OFF ? [] : this.#epochs;
    return {
      mode,
      nowMs: BigInt(this.#ports.nowMs()),
      keys: epochs.map(({ epoch, key, fromMs }, i) => ({
        epoch,
        key: Buffer.from(key),
        fromMs: BigInt(fromMs),
        untilMs: BigInt(untilMs(epochs, i, this.times)),
      })),
    };
  }

  /** The switch was set. */
  modeChanged(): void {
    this.#tell();
  }

  /** Begins the next epoch after the notice, with a key that no host has heard of. Throws what writing the file throws. */
  rotate(): void {
    this.#keep(rotated(this.#epochs, this.#ports.nowMs(), this.times, this.#ports.randomKey));
    this.#schedule();
    this.#tell();
  }

  stop(): void {
    this.#cancel();
    this.#listeners.clear();
  }

  #due(): void {
    try {
      const next = advance(this.#epochs, this.#ports.nowMs(), this.times, this.#ports.randomKey);
      const changed = next !== this.#epochs;
      this.#keep(next);
      if (changed) this.#tell();
    } catch (error) {
      this.#ports.onError(error);
    }
    this.#schedule();
  }

  /** Nobody hears of a key that is not on disk. */
  #keep(epochs: readonly Epoch[]): void {
    if (epochs === this.#epochs) return;
    this.#ports.file.write(epochs);
    this.#epochs = epochs;
  }

  #schedule(): void {
    this.#cancel();
    const now = this.#ports.nowMs();
    // At least a second: a disk that takes nothing is not asked without end.
    const delayMs = Math.max(1000, nextChangeMs(this.#epochs, now, this.times) - now);
    this.#cancel = this.#ports.after(Math.min(delayMs, TIMER_MAX_MS), () => this.#due());
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
