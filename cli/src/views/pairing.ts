import {
  OnConflict,
  type PairingInfo,
  type PairingKey,
  type PairingProfile,
  type QuarantinedWorkload,
  type QuarantineInfo,
  type QuarantineResponse,
} from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import { type Field, field } from '../output/fields.js';
import type { Column } from '../text/table.js';
import { ago, duration, isoFromMs } from '../text/time.js';
import { labelsJson, labelsText } from './labels.js';
import { modeWords, unpairedWords } from './words.js';

/** A profile in JSON. */
export function profileJson(profile: PairingProfile): object {
  return {
    id: profile.id,
    name: profile.name,
    dimensions: profile.dimensions.map(({ dimension, value, locked, permitted }) => ({
      dimension,
      value: value || null,
      locked,
      permitted: permitted.length === 0 ? null : permitted,
    })),
    startingMode: modeWords.of(profile.startingMode),
    lifespanSeconds: Number(profile.lifespanSeconds) || null,
    usesMax: profile.usesMax || null,
    onConflict: conflictWord(profile),
    sources: profile.sources,
    enabled: !profile.disabled,
    owner: profile.owner || null,
    note: profile.note || null,
    hostUnpaired: profile.hostUnpaired === 0 ? null : unpairedWords.of(profile.hostUnpaired),
    liveKeys: profile.liveKeys,
    paired: profile.paired,
  };
}

function conflictWord({ onConflict }: PairingProfile): string {
  return onConflict === OnConflict.ON_CONFLICT_DENY ? 'deny' : 'profile-value';
}

/** "env=prod (locked)", "role=web (or cache)", "loc (any)". */
function dimensionText({ dimension, value, locked, permitted }: PairingProfile['dimensions'][number]): string {
  const given = value === '' ? dimension : `${dimension}=${value}`;
  if (locked) return `${given} (locked)`;
  return permitted.length === 0 ? `${given} (free)` : `${given} (may be ${permitted.join(', ')})`;
}

/** Columns of `profile list`. */
export const profileColumns: readonly Column<PairingProfile>[] = [
  { title: 'PROFILE', cell: (p) => p.name, tone: () => 'strong' },
  { title: 'GIVES', cell: (p) => p.dimensions.map(dimensionText).join('; '), tone: () => 'accent', shrinkTo: 20 },
  { title: 'STARTS IN', cell: (p) => modeWords.of(p.startingMode) },
  { title: 'ON CONFLICT', cell: conflictWord },
  { title: 'LIVE KEYS', cell: (p) => String(p.liveKeys), align: 'right' },
  { title: 'PAIRED', cell: (p) => String(p.paired), align: 'right' },
  { title: 'STATE', cell: (p) => (p.disabled ? 'disabled' : 'enabled'), tone: (p) => (p.disabled ? 'bad' : 'good') },
];

/** Everything about one profile. */
export function profileFields(profile: PairingProfile): Field[] {
  const lifespan = Number(profile.lifespanSeconds) * 1000;
  return [
    field('name', profile.name, 'strong'),
    field('id', profile.id),
    { label: 'gives', values: profile.dimensions.map(dimensionText), tone: 'accent' },
    field('starts in', modeWords.of(profile.startingMode)),
    field('on conflict', conflictWord(profile)),
    field('key lives', lifespan === 0 ? 'until revoked' : duration(lifespan)),
    field('uses of a key', profile.usesMax === 0 ? 'no limit' : String(profile.usesMax)),
    { label: 'only from', values: profile.sources },
    field(
      'hosts by it',
      profile.hostUnpaired === 0 ? undefined : `unpaired containers: ${unpairedWords.of(profile.hostUnpaired)}`,
    ),
    field('state', profile.disabled ? 'disabled' : 'enabled', profile.disabled ? 'bad' : 'good'),
    field('owner', profile.owner),
    field('note', profile.note),
    field('live keys', String(profile.liveKeys)),
    field('paired', String(profile.paired)),
  ];
}

/** A key in JSON, without its secret. */
export function keyJson(key: PairingKey): object {
  return {
    id: key.id,
    profile: key.profileName,
    profileId: key.profileId,
    state: key.state,
    uses: key.uses,
    usesMax: key.usesMax || null,
    paired: key.paired,
    author: key.author,
    note: key.note || null,
    created: isoFromMs(key.createdMs),
    expires: isoFromMs(key.expiresMs),
    revoked: isoFromMs(key.revokedMs),
  };
}

/** Columns of `key list`. */
export const keyColumns = (now: number): readonly Column<PairingKey>[] => [
  { title: 'KEY', cell: (k) => k.id, tone: () => 'strong' },
  { title: 'PROFILE', cell: (k) => k.profileName },
  { title: 'STATE', cell: (k) => k.state, tone: (k) => (k.state === 'live' ? 'good' : 'bad') },
  { title: 'USES', cell: (k) => (k.usesMax === 0 ? String(k.uses) : `${k.uses}/${k.usesMax}`), align: 'right' },
  { title: 'PAIRED', cell: (k) => String(k.paired), align: 'right' },
  { title: 'MADE', cell: (k) => ago(k.createdMs, now) },
  { title: 'ENDS', cell: (k) => (k.expiresMs === 0n ? '-' : ago(k.expiresMs, now)) },
  { title: 'BY', cell: (k) => k.author },
  { title: 'NOTE', cell: (k) => k.note, shrinkTo: 10 },
];

/** One decision in JSON. */
export function pairingJson(info: PairingInfo): object {
  return {
    workloadId: info.workloadId,
    workloadName: info.workloadName,
    hostId: info.hostId,
    paired: info.paired,
    denial: info.denial || null,
    detail: info.detail || null,
    keyId: info.keyId || null,
    profile: info.profileName || null,
    labels: labelsJson(info.labels),
    requested: labelsJson(info.requested),
    startingMode: info.paired ? modeWords.of(info.startingMode) : null,
    decided: isoFromMs(info.decidedMs),
    present: info.present,
    retry: info.retryMs === 0n ? null : isoFromMs(info.retryMs),
  };
}

/** One decision in one line. */
export function pairingText(info: PairingInfo): string {
  const key = info.keyId === '' ? '' : ` by key ${info.keyId}`;
  if (!info.paired) return `denied${key}: ${info.denial}: ${info.detail}`;
  return `profile ${info.profileName}${key}${info.detail === '' ? '' : ` (${info.detail})`}`;
}

/** Columns of `pairing list`. */
export const pairingColumns = (now: number): readonly Column<PairingInfo>[] => [
  { title: 'WORKLOAD', cell: (p) => p.workloadId, shrinkTo: 16 },
  { title: 'NAME', cell: (p) => p.workloadName, tone: () => 'strong', shrinkTo: 12 },
  { title: 'RESULT', cell: (p) => (p.paired ? 'paired' : p.denial), tone: (p) => (p.paired ? 'good' : 'bad') },
  { title: 'PROFILE', cell: (p) => p.profileName || '-' },
  { title: 'KEY', cell: (p) => p.keyId || '-' },
  { title: 'LABELS', cell: (p) => labelsText(p.labels), tone: () => 'accent', shrinkTo: 12 },
  { title: 'DETAIL', cell: (p) => p.detail, shrinkTo: 12 },
  { title: 'DECIDED', cell: (p) => ago(p.decidedMs, now) },
  { title: 'STATE', cell: (p) => (p.present ? 'present' : 'gone'), tone: (p) => (p.present ? undefined : 'dim') },
];

/** A quarantine with what it holds, in JSON. */
export function quarantineJson({ quarantine, workloads }: QuarantineResponse): object {
  return {
    ...quarantineInfoJson(quarantine),
    workloads: workloads.map(({ workloadId, name, hostId, inForce }) => ({
      workloadId,
      name,
      hostId: hostId || null,
      inForce,
    })),
  };
}

/** A quarantine in JSON. */
export function quarantineInfoJson(info: QuarantineInfo | undefined): object {
  return {
    id: info?.id || null,
    what: info?.what ?? '',
    author: info?.author ?? '',
    reason: info?.reason || null,
    created: isoFromMs(info?.createdMs ?? 0n),
    holds: info?.workloads ?? 0,
  };
}

/** Columns of `quarantine list`. */
export const quarantineColumns = (now: number): readonly Column<QuarantineInfo>[] => [
  { title: 'QUARANTINE', cell: (q) => q.id, tone: () => 'strong' },
  { title: 'HOLDS', cell: (q) => q.what, shrinkTo: 16 },
  { title: 'WORKLOADS', cell: (q) => String(q.workloads), align: 'right' },
  { title: 'BY', cell: (q) => q.author },
  { title: 'SINCE', cell: (q) => ago(q.createdMs, now) },
  { title: 'REASON', cell: (q) => q.reason, shrinkTo: 12 },
];

/** Columns of what a quarantine holds. */
export const quarantinedColumns: readonly Column<QuarantinedWorkload>[] = [
  { title: 'WORKLOAD', cell: (w) => w.workloadId, shrinkTo: 16 },
  { title: 'NAME', cell: (w) => w.name, tone: () => 'strong' },
  { title: 'HOST', cell: (w) => w.hostId || '(no agent)' },
];
