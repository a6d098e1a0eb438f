import type { PairingKeyRecord, PairingProfile, StartingMode } from './profile.js';

/** Why a pairing request was denied. Append-only: these stand in the audit log, the API and metrics. */
export type PairingDenial =
  | 'missing' // no key was presented
  | 'malformed' // the text is no key: wrong prefix, length, character or checksum
  | 'unknown' // well formed, but never issued here, or its secret is wrong
  | 'revoked'
  | 'profile-disabled'
  | 'expired'
  | 'exhausted'
  | 'wrong-source'
  | 'dimension-locked' // asked for a value on a locked dimension, and the profile denies that
  | 'value-not-permitted' // asked for a value outside the permitted ones, and the profile denies that
  | 'rate-limited'; // its host brings about too many decisions; not decided yet

/** What an operator is told for each denial, with the next step. */
export const denialText: Readonly<Record<PairingDenial, string>> = {
  missing: 'no pairing key in its metadata; add the label ringfence.pairing-key',
  malformed: 'the pairing key is mistyped or cut short; copy it again',
  unknown: 'no such pairing key; create one with `ringfence key create`',
  revoked: 'the pairing key was revoked; use a live key of its profile',
  'profile-disabled': 'the profile is disabled; enable it, or use another profile',
  expired: 'the pairing key has expired; create a new one',
  exhausted: 'the pairing key has no uses left; create a new one',
  'wrong-source': 'the request came from an address that the profile does not permit',
  'dimension-locked': 'it asks for a label on a dimension that the profile locks',
  'value-not-permitted': 'it asks for a label value that the profile does not permit',
  'rate-limited': 'its host brings about too many decisions; it is decided within minutes',
};

/** What a profile said of the dimension of a label that it gave. */
export type LabelHow = 'locked' | 'default' | 'requested';

export interface PairingRequest {
  /** What the workload asks to be, by dimension. */
  requested: Readonly<Record<string, string>>;
  /** Whether the address that the request came from lies in a prefix. */
  fromPrefix: (prefix: string) => boolean;
  /** Whether a dimension may have a value at all. */
  permits: (dimension: string, value: string) => boolean;
  nowMs: number;
}

/** What is known of the key that was presented. */
export type PresentedKey =
  | { found: 'missing' }
  | { found: 'malformed' }
  | { found: 'unknown' }
  | { found: 'key'; key: PairingKeyRecord; profile: PairingProfile };

export type PairingDecision =
  | {
      paired: true;
      labels: Readonly<Record<string, string>>;
      /** By dimension, for each label. */
      how: Readonly<Record<string, LabelHow>>;
      startingMode: StartingMode;
      /** Requests that the profile overrode (onConflict: profile-value), for the report. */
      overridden: readonly { dimension: string; requested: string; given: string | undefined }[];
    }
  | { paired: false; denial: PairingDenial; detail: string };

/**
 * Decides one pairing request. Total and pure; the caller counts the use in the same transaction as it stores the outcome, so
 * that uses and expiry hold exactly under concurrency.
 *
 * The order is fixed and part of the contract: what is wrong with the key comes before what is wrong with the request, so that
 * nobody learns about a profile's labels without a live key of it.
 */
export function decidePairing(presented: PresentedKey, request: PairingRequest): PairingDecision {
  if (presented.found !== 'key') return deny(presented.found);
  const { key, profile } = presented;
  if (key.revokedAtMs !== undefined) return deny('revoked');
  if (!profile.enabled) return deny('profile-disabled', `profile ${profile.name}`);
  if (key.expiresAtMs !== undefined && request.nowMs >= key.expiresAtMs) return deny('expired');
  if (key.usesMax !== undefined && key.uses >= key.usesMax)
    return deny('exhausted', `${key.uses} of ${key.usesMax} used`);
  if (profile.sources.length > 0 && !profile.sources.some((prefix) => request.fromPrefix(prefix))) {
    return deny('wrong-source', `wanted ${profile.sources.join(' or ')}`);
  }

  const labels: Record<string, string> = {};
  const how: Record<string, LabelHow> = {};
  const overridden: { dimension: string; requested: string; given: string | undefined }[] = [];
  const rules = new Map(profile.dimensions.map((entry) => [entry.dimension, entry]));
  for (const { dimension, value, locked } of profile.dimensions) {
    if (value === undefined) continue;
    labels[dimension] = value;
    how[dimension] = locked ? 'locked' : 'default';
  }
  for (const dimension of Object.keys(request.requested).sort()) {
    const value = request.requested[dimension] as string;
    const rule = rules.get(dimension);
    if (rule?.value === value) continue;
    const locked = rule === undefined || rule.locked;
    const permitted = rule?.permitted?.includes(value) ?? request.permits(dimension, value);
    if (!locked && permitted) {
      labels[dimension] = value;
      how[dimension] = 'requested';
      continue;
    }
    if (profile.onConflict === 'deny') {
      const asked = `asked for ${dimension}=${value}`;
      return locked
        ? deny('dimension-locked', asked)
        : deny('value-not-permitted', `${asked}, wanted ${wantedOf(rule.permitted)}`);
    }
    overridden.push({ dimension, requested: value, given: rule?.value });
  }
  return { paired: true, labels, how, startingMode: profile.startingMode, overridden };
}

function wantedOf(permitted: readonly string[] | undefined): string {
  return permitted === undefined ? 'a value that the dimension permits' : `one of ${permitted.join(', ')}`;
}

function deny(denial: PairingDenial, detail = ''): PairingDecision {
  return { paired: false, denial, detail };
}
