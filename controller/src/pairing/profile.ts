/** Pairing profiles: what a key's holder may become. Pure values; times are Unix milliseconds. */

/** What a profile says of one dimension. */
export interface ProfileDimension {
  dimension: string;
  /** The value a paired workload gets: always when locked, when it asks for none otherwise. Absent: no label by default. */
  value?: string;
  /** Locked: the holder of the key cannot choose. */
  locked: boolean;
  /** Values that may be asked for on an unlocked dimension. Absent: any that the dimension permits. */
  permitted?: readonly string[];
}

export type StartingMode = 'visibility' | 'test' | 'enforce';

/** What a host does to containers that are not paired: sees them, or cuts them off. */
export type UnpairedTreatment = 'visibility' | 'isolate';

/** What a request against a locked dimension, or for a value that is not permitted, gets. */
export type OnConflict = 'profile-value' | 'deny';

export interface PairingProfile {
  id: string;
  name: string;
  /** A dimension that is not listed is locked without a value. */
  dimensions: readonly ProfileDimension[];
  startingMode: StartingMode;
  /** A key of this profile lives this long from its creation; absent: until revoked. */
  lifespanMs?: number;
  /** Uses of one key; absent: no limit. */
  usesMax?: number;
  onConflict: OnConflict;
  /** Prefixes that requests may come from; empty: anywhere. */
  sources: readonly string[];
  enabled: boolean;
  owner: string;
  note: string;
  /** What hosts that enrol by its keys do to containers that are not paired. Absent: what their agents' configuration says. */
  hostUnpaired?: UnpairedTreatment;
}

/** What is stored of a key. The key itself is not. */
export interface PairingKeyRecord {
  id: string;
  profileId: string;
  createdAtMs: number;
  /** Absent: lives until revoked. */
  expiresAtMs?: number;
  /** Absent: no limit. */
  usesMax?: number;
  uses: number;
  revokedAtMs?: number;
}

/** What a profile must not contain, as found and wanted; empty when the profile is sound. */
export function profileProblems(
  profile: PairingProfile,
  permittedValues: (dimension: string) => ReadonlySet<string> | 'any' | undefined,
): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  if (!/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/i.test(profile.name)) {
    problems.push(`name: found ${JSON.stringify(profile.name)}, wanted 1 to 63 letters, digits, dots and dashes`);
  }
  if (profile.lifespanMs !== undefined && !(profile.lifespanMs > 0)) {
    problems.push(`lifespan: found ${profile.lifespanMs} ms, wanted more than 0`);
  }
  if (profile.usesMax !== undefined && !(Number.isInteger(profile.usesMax) && profile.usesMax > 0)) {
    problems.push(`maximum uses: found ${profile.usesMax}, wanted a whole number above 0`);
  }
  for (const entry of profile.dimensions) {
    const known = permittedValues(entry.dimension);
    if (seen.has(entry.dimension)) problems.push(`dimension ${entry.dimension}: found twice, wanted once`);
    seen.add(entry.dimension);
    if (known === undefined) {
      problems.push(`dimension ${JSON.stringify(entry.dimension)}: unknown, wanted one that is configured`);
      continue;
    }
    for (const value of [entry.value, ...(entry.permitted ?? [])]) {
      if (value !== undefined && known !== 'any' && !known.has(value)) {
        problems.push(`dimension ${entry.dimension}: found value ${JSON.stringify(value)}, wanted one that it permits`);
      }
    }
    if (entry.permitted && entry.locked) {
      problems.push(`dimension ${entry.dimension}: locked and with a choice of values, wanted one or the other`);
    }
    if (entry.permitted && entry.permitted.length === 0) {
      problems.push(
        `dimension ${entry.dimension}: found an empty list of permitted values, wanted some, or none stated`,
      );
    }
    if (entry.permitted && entry.value !== undefined && !entry.permitted.includes(entry.value)) {
      problems.push(
        `dimension ${entry.dimension}: default ${JSON.stringify(entry.value)} is not among its permitted values`,
      );
    }
  }
  return problems;
}
