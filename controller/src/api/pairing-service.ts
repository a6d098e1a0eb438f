// The Pairing service: profiles, keys, pairings, quarantine.
import { randomUUID } from 'node:crypto';
import type {
  PairingServer,
  QuarantineRequest,
  RevokeKeyRequest,
  PairingKey as WireKey,
  PairingProfile as WireProfile,
} from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import { RevokeAction } from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import type { Logger } from 'pino';
import { type PairingContext, reconsider, unpair } from '../discovery/pair-workload.js';
import { type Isolation, selectorOf } from '../keys/isolation.js';
import { PairingDeskError } from '../keys/pairing-desk.js';
import type { PairingProfile } from '../pairing/profile.js';
import type { Distributor } from '../session/distributor.js';
import type { HostRuntimes } from '../session/host-runtime.js';
import type { QuarantineRecord, Records, WorkloadRecord } from '../store/records.js';
import type { StateStore, StateTransaction } from '../store/state-store.js';
import type { WorkloadIndex } from '../store/workload-index.js';
import { checkText, NAME_MAX, quote } from './convert.js';
import { type Caller, invalid, notFound, unary } from './errors.js';
import { pairingInfo, profileFromWire, profileToWire } from './pairing-wire.js';
import { labelPredicate } from './selector.js';
import { findWorkload } from './workloads-service.js';

export interface PairingOptions {
  readonly store: StateStore;
  readonly index: WorkloadIndex;
  readonly pairing: PairingContext;
  readonly isolation: Isolation;
  readonly distributor: Distributor;
  readonly hosts: HostRuntimes;
  readonly now: () => number;
  readonly log: Logger;
}

const TEXT_MAX = 1024;
const PROFILES_MAX = 1000;
const KEYS_MAX = 10_000;
const QUARANTINES_MAX = 1000;
const QUARANTINE_WORKLOADS_MAX = 10_000;

export function pairingService(options: PairingOptions): PairingServer {
  const { store, pairing, log } = options;
  const { desk } = pairing;
  const wireProfile = (profile: PairingProfile): WireProfile => ({
    ...profileToWire(profile),
    liveKeys: desk.keys().filter((key) => key.profileId === profile.id && keyState(options, key) === 'live').length,
    paired: [...store.table('pairing').values()].filter((record) => record.profileId === profile.id).length,
  });
  return {
    listProfiles: unary(log, () => {
      const profiles = [...desk.profiles()].sort((a, b) => (a.name < b.name ? -1 : 1));
      return { profiles: profiles.map(wireProfile) };
    }),
    getProfile: unary(log, ({ profile }) => wireProfile(findProfile(options, profile))),
    saveProfile: unary(log, async ({ profile }) => {
      if (profile === undefined) throw invalid('RF_PROFILE', 'Cannot save profile: found none, wanted one');
      const known = profile.id === '' ? undefined : findProfile(options, profile.id);
      if (known === undefined && desk.profiles().length >= PROFILES_MAX)
        throw invalid('RF_PROFILE', `Cannot save profile: found ${PROFILES_MAX} already, wanted fewer`);
      const wanted = profileFromWire({ ...profile, id: known?.id ?? randomUUID() });
      await desk.putProfile(wanted);
      await store.update((tx) => reconsider(pairing, tx, ({ profileId }) => profileId === wanted.id));
      return wireProfile(wanted);
    }),
    deleteProfile: unary(log, async ({ profile }) => {
      await desk.deleteProfile(findProfile(options, profile).id);
      return {};
    }),
    createKey: unary(log, async ({ profile, note }, { name }) => {
      const { id } = findProfile(options, profile);
      if (desk.keys().length >= KEYS_MAX)
        throw invalid(
          'RF_KEYS_MAX',
          `Cannot create key: found ${KEYS_MAX} already; delete profiles that are out of use`,
        );
      const made = await desk.createKey(id, name, checkText(note, TEXT_MAX, 'note'));
      log.info({ keyId: made.id, profileId: id, author: name }, 'pairing key made');
      return { text: made.text, key: keyToWire(options, findKey(options, made.id)) };
    }),
    listKeys: unary(log, ({ profile, includeDead }) => {
      const only = profile === '' ? undefined : findProfile(options, profile).id;
      const keys = [...store.table('pairingKey').values()]
        .filter((key) => only === undefined || key.profileId === only)
        .filter((key) => includeDead || keyState(options, key) === 'live')
        .sort((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? -1 : 1));
      return { keys: keys.map((key) => keyToWire(options, key)) };
    }),
    revokeKey: unary(log, (request, caller) => revokeKey(options, request, caller)),
    listPairings: unary(log, ({ keyId, hostId, deniedOnly }) => ({
      pairings: store
        .sorted('workload')
        .filter((record) => record.pairing !== undefined && (record.present || record.pairing.state === 'paired'))
        .filter((record) => keyId === '' || record.pairing?.keyId === keyId)
        .filter((record) => hostId === '' || record.hostId === hostId)
        .filter((record) => !deniedOnly || record.pairing?.state === 'denied')
        .flatMap((record) => infoOf(options, record)),
    })),
    quarantine: unary(log, async (request, caller) => {
      const record = quarantineOf(options, request, caller);
      if (request.preview) return heldBy(options, { ...record, id: '' });
      await store.update((tx) => putQuarantine(tx, record));
      log.warn({ quarantineId: record.id, author: caller.name }, 'quarantine begun');
      await options.distributor.flushed();
      return heldBy(options, record);
    }),
    listQuarantines: unary(log, () => ({
      quarantines: [...store.table('quarantine').values()]
        .sort((a, b) => a.createdMs - b.createdMs)
        .map((record) => heldBy(options, record).quarantine),
    })),
    releaseQuarantine: unary(log, async ({ id }, { name }) => {
      const record = store.get('quarantine', id);
      if (record === undefined)
        throw notFound('RF_QUARANTINE_UNKNOWN', `Cannot release quarantine ${quote(id)}: found none of this id`);
      const held = heldBy(options, record);
      await store.update((tx) => tx.delete('quarantine', id));
      log.warn({ quarantineId: id, author: name }, 'quarantine released');
      return held;
    }),
  };
}

/** Revokes, and does what is asked with what the key has paired, in one transaction. */
async function revokeKey(options: PairingOptions, request: RevokeKeyRequest, caller: Caller) {
  const { store, pairing, now, log } = options;
  const { keyId, action, preview } = request;
  const reason = checkText(request.reason, TEXT_MAX, 'reason');
  findKey(options, keyId);
  if (action === RevokeAction.UNRECOGNIZED)
    throw invalid('RF_REVOKE_ACTION', 'Cannot revoke key: found an unknown action, wanted quarantine, unpair or none');
  const paired = () => [...store.table('workload').values()].filter((record) => pairedBy(record, keyId));
  const touched = paired()
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .flatMap((record) => infoOf(options, record));
  if (preview) return { key: keyToWire(options, findKey(options, keyId)), touched, quarantineId: '' };
  let quarantineId = '';
  await store.update((tx) => {
    pairing.desk.revokeKeyIn(tx, keyId);
    if (action === RevokeAction.REVOKE_ACTION_UNPAIR) {
      for (const [, record] of [...tx.entries('workload')]) if (pairedBy(record, keyId)) unpair(tx, record, now());
    }
    const held = [...tx.entries('quarantine')].find(([, record]) => record.keyId === keyId);
    quarantineId = held?.[0] ?? '';
    if (action === RevokeAction.REVOKE_ACTION_QUARANTINE && quarantineId === '') {
      quarantineId = randomUUID();
      const why = reason === '' ? `key ${keyId} revoked` : reason;
      putQuarantine(tx, { id: quarantineId, keyId, author: caller.name, reason: why, createdMs: now() });
    }
  });
  log.warn({ keyId, author: caller.name, action, workloads: touched.length }, 'pairing key revoked');
  await options.distributor.flushed();
  return { key: keyToWire(options, findKey(options, keyId)), touched, quarantineId };
}

function pairedBy({ pairing }: WorkloadRecord, keyId: string): boolean {
  return pairing?.state === 'paired' && pairing.keyId === keyId;
}

function quarantineOf(options: PairingOptions, request: QuarantineRequest, caller: Caller): QuarantineRecord {
  const { selector, keyId, workloads } = request;
  const named = [selector !== undefined, keyId !== '', workloads.length > 0].filter(Boolean).length;
  if (named !== 1)
    throw invalid('RF_QUARANTINE', `Cannot quarantine: found ${named} of selector, key and workloads, wanted one`);
  const common = {
    id: randomUUID(),
    author: caller.name,
    reason: checkText(request.reason, TEXT_MAX, 'reason'),
    createdMs: options.now(),
  };
  if (keyId !== '') return { ...common, keyId: findKey(options, keyId).id };
  if (workloads.length > QUARANTINE_WORKLOADS_MAX)
    throw invalid(
      'RF_QUARANTINE',
      `Cannot quarantine: found ${workloads.length} workloads, wanted at most ${QUARANTINE_WORKLOADS_MAX}`,
    );
  if (workloads.length > 0) return { ...common, workloads: workloads.map((w) => findWorkload(options.index, w).id) };
  labelPredicate(selector); // refuses what is none
  const requirements = selector?.requirements ?? [];
  if (requirements.length === 0)
    throw invalid('RF_SELECTOR', 'Cannot quarantine: found an empty selector, wanted at least one requirement');
  return {
    ...common,
    selector: requirements.map(({ dimension, operator, values }) => ({ dimension, operator, values })),
  };
}

function putQuarantine(tx: StateTransaction, record: QuarantineRecord): void {
  if ([...tx.entries('quarantine')].length >= QUARANTINES_MAX)
    throw invalid('RF_QUARANTINE', `Cannot quarantine: found ${QUARANTINES_MAX} that hold, wanted fewer`);
  tx.set('quarantine', record.id, record);
}

/** What a quarantine holds now. */
function heldBy(options: PairingOptions, record: QuarantineRecord) {
  const { store, isolation, hosts } = options;
  const held = store.sorted('workload').filter((workload) => workload.present && isolation.holds(record, workload));
  const { id, author, reason, createdMs } = record;
  return {
    quarantine: { id, what: whatOf(record), author, reason, createdMs: BigInt(createdMs), workloads: held.length },
    workloads: held.map(({ id: workloadId, name, hostId }) => ({
      workloadId,
      name,
      hostId,
      inForce: id !== '' && hostId !== '' && hosts.get(hostId)?.session?.isCurrent() === true,
    })),
  };
}

function whatOf(record: QuarantineRecord): string {
  if (record.keyId !== undefined) return `everything paired by key ${record.keyId}`;
  if (record.workloads !== undefined) {
    const [first = '', ...more] = record.workloads;
    return more.length === 0 ? `workload ${first}` : `workload ${first} and ${more.length} more`;
  }
  const words: Readonly<Record<number, (d: string, values: string) => string>> = {
    1: (d, values) => `${d}=${values}`,
    2: (d, values) => `${d}!=${values}`,
    3: (d) => d,
    4: (d) => `!${d}`,
  };
  const parts = selectorOf(record).requirements;
  return parts
    .map(({ dimension, operator, values }) => words[operator]?.(dimension, values.join('|')) ?? '?')
    .join(',');
}

function infoOf({ store, pairing }: PairingOptions, record: WorkloadRecord) {
  return pairingInfo(record, store.get('pairing', record.id), pairing.retries.atMs(record.id)) ?? [];
}

/** A profile by name or id. Throws ApiError. */
function findProfile({ store }: PairingOptions, text: string): Records['pairingProfile'] {
  const found =
    store.get('pairingProfile', text) ?? [...store.table('pairingProfile').values()].find(({ name }) => name === text);
  if (found !== undefined) return found;
  throw notFound(
    'RF_PROFILE_UNKNOWN',
    `Cannot find profile ${quote(text.slice(0, NAME_MAX))}: found none of this name or id; \`ringfence profile list\` shows all`,
  );
}

function findKey({ store }: PairingOptions, id: string): Records['pairingKey'] {
  const key = store.get('pairingKey', id);
  if (key !== undefined) return key;
  // Whoever pastes a whole key must not read it back in an error or a log.
  const shown = id.startsWith('rfk1_') ? 'a whole key' : quote(id.slice(0, 20));
  throw new PairingDeskError('RF_KEY_UNKNOWN', `Cannot find pairing key: found ${shown}, wanted the id of one`);
}

/** Whether a key can pair, and if not, why. */
function keyState(options: PairingOptions, key: Omit<Records['pairingKey'], 'secretMac'>): string {
  if (key.revokedAtMs !== undefined) return 'revoked';
  if (options.store.get('pairingProfile', key.profileId)?.enabled === false) return 'disabled';
  if (key.expiresAtMs !== undefined && options.now() >= key.expiresAtMs) return 'expired';
  return key.usesMax !== undefined && key.uses >= key.usesMax ? 'exhausted' : 'live';
}

function keyToWire(options: PairingOptions, key: Records['pairingKey']): WireKey {
  const { id, profileId, note, author, createdAtMs, expiresAtMs, usesMax, uses, revokedAtMs } = key;
  return {
    id,
    profileId,
    profileName: options.store.get('pairingProfile', profileId)?.name ?? '',
    note,
    author,
    createdMs: BigInt(createdAtMs),
    expiresMs: BigInt(expiresAtMs ?? 0),
    usesMax: usesMax ?? 0,
    uses,
    revokedMs: BigInt(revokedAtMs ?? 0),
    state: keyState(options, key),
    paired: options.pairing.desk.pairedBy(id).length,
  };
}
