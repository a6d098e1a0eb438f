// Profiles and pairings as the API carries them.

import { parsePrefix } from '@ringfence/proto/address.js';
import {
  OnConflict,
  type PairingInfo,
  type PairingProfile as WireProfile,
} from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { unpairedFromWire, unpairedToWire } from '../keys/unpaired.js';
import type { PairingProfile, StartingMode } from '../pairing/profile.js';
import { VALUE_PATTERN, VALUE_WANTED } from '../policy/names.js';
import { startingModeOf } from '../session/compiler-feed.js';
import type { PairingRecord, WorkloadRecord } from '../store/records.js';
import { checkText, labelsToWire, quote } from './convert.js';
import { invalid } from './errors.js';

const TEXT_MAX = 1024;
const SOURCES_MAX = 64;
const DIMENSIONS_MAX = 32;
const VALUES_MAX = 256;

/** What a caller describes. Throws ApiError RF_PROFILE on what the profile's own check would not tell. */
export function profileFromWire(wire: WireProfile): PairingProfile {
  const bad = (found: string, wanted: string) =>
    invalid('RF_PROFILE', `Cannot save profile ${quote(wire.name)}: found ${found}, wanted ${wanted}`);
  if (wire.dimensions.length > DIMENSIONS_MAX)
    throw bad(`${wire.dimensions.length} dimensions`, `at most ${DIMENSIONS_MAX}`);
  if (wire.sources.length > SOURCES_MAX) throw bad(`${wire.sources.length} sources`, `at most ${SOURCES_MAX}`);
  for (const source of wire.sources) {
    if ('problem' in parsePrefix(source)) throw bad(`source ${quote(source)}`, 'an address or prefix');
  }
  for (const { dimension, value, permitted } of wire.dimensions) {
    if (permitted.length > VALUES_MAX) throw bad(`${permitted.length} values of ${dimension}`, `at most ${VALUES_MAX}`);
    for (const text of value === '' ? permitted : [value, ...permitted])
      if (!VALUE_PATTERN.test(text)) throw bad(`value ${quote(text)} of ${dimension}`, VALUE_WANTED);
  }
  const hostUnpaired = unpairedFromWire(wire.hostUnpaired);
  const lifespanMs = Number(wire.lifespanSeconds) * 1000;
  if (lifespanMs > 100 * 366 * 86_400_000) throw bad(`a lifespan of ${wire.lifespanSeconds} s`, 'at most 100 years');
  return {
    id: wire.id,
    name: wire.name,
    dimensions: wire.dimensions.map(({ dimension, value, locked, permitted }) => ({
      dimension,
      locked,
      ...(value !== '' && { value }),
      ...(permitted.length > 0 && { permitted }),
    })),
    startingMode: startingModeFrom(wire.startingMode),
    ...(lifespanMs > 0 && { lifespanMs }),
    ...(wire.usesMax > 0 && { usesMax: wire.usesMax }),
    onConflict: wire.onConflict === OnConflict.ON_CONFLICT_DENY ? 'deny' : 'profile-value',
    sources: wire.sources,
    enabled: !wire.disabled,
    owner: checkText(wire.owner, TEXT_MAX, 'owner'),
    note: checkText(wire.note, TEXT_MAX, 'note'),
    ...(hostUnpaired && { hostUnpaired }),
  };
}

export function profileToWire(profile: PairingProfile): WireProfile {
  return {
    id: profile.id,
    name: profile.name,
    dimensions: profile.dimensions.map(({ dimension, value = '', locked, permitted = [] }) => ({
      dimension,
      value,
      locked,
      permitted: [...permitted],
    })),
    startingMode: startingModeOf({ pairing: profile }) ?? Mode.MODE_VISIBILITY,
    lifespanSeconds: BigInt(Math.ceil((profile.lifespanMs ?? 0) / 1000)),
    usesMax: profile.usesMax ?? 0,
    onConflict: profile.onConflict === 'deny' ? OnConflict.ON_CONFLICT_DENY : OnConflict.ON_CONFLICT_PROFILE_VALUE,
    sources: [...profile.sources],
    disabled: !profile.enabled,
    owner: profile.owner,
    note: profile.note,
    liveKeys: 0,
    paired: 0,
    hostUnpaired: unpairedToWire(profile.hostUnpaired),
  };
}

/** The decision that stands for a workload; undefined when it presented no key. `paired` is its pairing as stored. */
export function pairingInfo(
  record: WorkloadRecord,
  paired: PairingRecord | undefined,
  retryMs = 0,
): PairingInfo | undefined {
  const { pairing } = record;
  if (pairing === undefined) return undefined;
  return {
    workloadId: record.id,
    workloadName: record.name,
    hostId: record.hostId,
    paired: pairing.state === 'paired',
    keyId: pairing.keyId,
    profileName: pairing.profileName,
    labels: labelsToWire(paired?.labels ?? {}),
    requested: labelsToWire(pairing.requested),
    startingMode: startingModeOf(record) ?? Mode.MODE_VISIBILITY,
    denial: pairing.denial,
    detail: pairing.detail,
    decidedMs: BigInt(pairing.decidedMs),
    present: record.present,
    retryMs: BigInt(retryMs),
  };
}

function startingModeFrom(mode: Mode): StartingMode {
  if (mode === Mode.MODE_TEST) return 'test';
  return mode === Mode.MODE_ENFORCE ? 'enforce' : 'visibility';
}
