// TagKeys of agent.proto as a value.
import { TAG_KEYS } from '@ringfence/bpf';
import { type TagKeys, TagMode } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { TagMode as Mode, TagSettings } from '../desired/tags.js';

const MODES: ReadonlyMap<TagMode, Mode> = new Map([
  [TagMode.TAG_MODE_OFF, 'off'],
  [TagMode.TAG_MODE_PEERS, 'peers'],
  [TagMode.TAG_MODE_ANYWHERE, 'anywhere'],
]);

/** Reads the controller's message. Throws RangeError ("Cannot …: found …, wanted …"), which names no key. */
export function tagSettingsFromWire(wire: TagKeys): TagSettings {
  const mode = MODES.get(wire.mode);
  if (mode === undefined) {
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
  return { mode, epochs };
}
