// In-band tags on this host: the controller's keys and clock into the kernel and to disk, so that a host that boots without its
// controller tells callers apart as before. The file holds secrets: mode 0600, in the state directory that only root enters.
//
// Fleet time is the controller's clock. The kernel counts it on from its own CLOCK_BOOTTIME, so neither steps of this host's wall
// clock nor the agent's death disturb it; after a reboot it is the wall clock plus the distance last seen.
import type { TagKeys } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { type TagSettings, type TagTables, tagTables } from '../desired/tags.js';
import { codeOf, messageOf } from '../errors.js';
import type { StateFile } from '../store/state-file.js';
import { tagSettingsFromWire } from './tag-wire.js';

/** In the state directory. */
export const TAG_FILE = 'tags.cbor';
/** Raised when the layout below changes. */
export const TAG_FILE_FORMAT = 1;
/** A distance of the clocks that differs less from the one on disk is not worth a write. */
const SKEW_STEP_MS = 1000;

export interface TagKeeperPorts {
  /** Throws when the kernel refuses. */
  readonly apply: (tables: TagTables) => void;
  readonly file: Pick<StateFile, 'read' | 'write'>;
  /** CLOCK_BOOTTIME and the wall clock, milliseconds. */
  readonly bootMs: () => number;
  readonly nowMs: () => number;
  /** What is wrong, without any key; undefined: nothing. */
  readonly onProblem: (problem: string | undefined) => void;
}

interface Kept {
  readonly settings: TagSettings;
  /** Fleet time minus this host's wall clock. */
  readonly skewMs: number;
}

export class TagKeeper {
  readonly #ports: TagKeeperPorts;
  #kept: Kept | undefined;

  constructor(ports: TagKeeperPorts) {
    this.#ports = ports;
  }

  /** What was told before this process; once, at boot. Without a usable file the kernel keeps what it has. */
  load(): void {
    try {
      const kept = keptOf(this.#ports.file.read());
      if (kept === undefined) return;
      this.#kept = kept;
      this.#apply(kept.settings, this.#ports.nowMs() + kept.skewMs);
    } catch (error) {
      this.#ports.onProblem(`${messageOf(error)} (${codeOf(error, 'no code')})`);
    }
  }

  /** Takes the controller's message. A message that cannot be used changes nothing and is a problem. */
  take(message: TagKeys): void {
    try {
      const settings = tagSettingsFromWire(message);
      const fleetMs = Number(message.nowMs);
      this.#apply(settings, fleetMs);
      this.#keep({ settings, skewMs: fleetMs - this.#ports.nowMs() });
      this.#ports.onProblem(undefined);
    } catch (error) {
      this.#ports.onProblem(`${messageOf(error)} (${codeOf(error, 'no code')})`);
    }
  }

  /** The host leaves its fleet: the kernel forgets the keys. The file is deleted with the other secrets. */
  forget(): void {
    this.#kept = undefined;
    try {
      this.#ports.apply(tagTables(undefined, 0, 0));
      this.#ports.onProblem(undefined);
    } catch (error) {
      this.#ports.onProblem(`${messageOf(error)} (${codeOf(error, 'no code')})`);
    }
  }

  #apply(settings: TagSettings, fleetMs: number): void {
    this.#ports.apply(tagTables(settings, fleetMs, this.#ports.bootMs()));
  }

  #keep(kept: Kept): void {
    const before = this.#kept;
    this.#kept = kept;
    const moved = before === undefined || Math.abs(before.skewMs - kept.skewMs) >= SKEW_STEP_MS;
    if (moved || !sameSettings(before.settings, kept.settings)) this.#ports.file.write(kept);
  }
}

function keptOf(value: unknown): Kept | undefined {
  if (value === undefined) return undefined;
  const { settings, skewMs } = value as Partial<Kept>;
  if (settings === undefined || typeof skewMs !== 'number' || !Array.isArray(settings.epochs))
    throw new RangeError('Cannot use the tags on disk: found another layout, wanted settings and skewMs');
  return { settings, skewMs };
}

function sameSettings(a: TagSettings, b: TagSettings): boolean {
  const text = ({ mode, epochs }: TagSettings) =>
    JSON.stringify([mode, epochs.map(({ epoch, fromMs, untilMs }) => [epoch, fromMs, untilMs])]);
  const sameKeys = a.epochs.every((one, i) => Buffer.compare(one.key, b.epochs[i]?.key ?? new Uint8Array()) === 0);
  return text(a) === text(b) && sameKeys;
}
