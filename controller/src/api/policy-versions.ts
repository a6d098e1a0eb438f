// Versions as they are stored: how they are read back, and what a change of them writes.
import { EMPTY_DOCUMENT, EMPTY_POLICY, type RuleNumbers } from '../policy/model.js';
import { resolvePolicy } from '../policy/parse.js';
import type { PolicyFateRecord, PolicyFileRecord, PolicyVersionRecord, RolloutRecord } from '../store/records.js';
import type { StateStore, StateTransaction } from '../store/state-store.js';
import { notFound } from './errors.js';
import type { PolicyFiles } from './policy-files.js';
import { NO_FATE } from './policy-rollout.js';
import type { ReadPolicy } from './policy-words.js';

/** Key of the record that says which version is in force. */
export const STATE_KEY = 'policy';

/** Versions kept; older ones are dropped. */
const VERSIONS_MAX = 500;

/** A version that decides. */
export interface PolicyInForce extends ReadPolicy {
  /** 0: none was ever provisioned. */
  readonly version: number;
  readonly record: PolicyVersionRecord | undefined;
}

/** A provisioned policy that this program cannot read: it must not be taken for an empty one. */
export class PolicyUnreadableError extends Error {
  override readonly name = 'PolicyUnreadableError';
  readonly code = 'RF_POLICY_UNREADABLE';
}

const NO_POLICY: PolicyInForce = {
  files: [],
  document: EMPTY_DOCUMENT,
  policy: EMPTY_POLICY,
  version: 0,
  record: undefined,
};

/** A version as it is stored; 0 is the policy that holds nothing. Throws PolicyUnreadableError. */
export function loadVersion(
  store: StateStore,
  ruleNumbers: RuleNumbers,
  number: number,
  files: PolicyFiles,
): PolicyInForce {
  if (number === 0) return NO_POLICY;
  const record = store.get('policyVersion', versionKey(number));
  const { document, problems } =
    record === undefined ? { document: undefined, problems: [] } : files.read(record.files);
  if (record === undefined || document === undefined) {
    throw new PolicyUnreadableError(
      `Cannot read policy version ${number} from the store: ${problems.find((p) => !p.warning)?.message ?? 'no document'}; ` +
        'it was provisioned by another version of this program',
    );
  }
  return { files: record.files, document, policy: resolvePolicy(document, ruleNumbers), version: number, record };
}

/** Notes that a version has ceased to be in force; 0 is none. */
export function endVersion(
  tx: StateTransaction,
  number: number,
  end: Pick<PolicyFateRecord, 'endedMs' | 'next'> & Partial<PolicyFateRecord>,
): void {
  if (number === 0) return;
  const fate = tx.get('policyFate', versionKey(number)) ?? NO_FATE;
  tx.set('policyFate', versionKey(number), { ...fate, ...end });
}

/** A version's record. Throws ApiError RF_POLICY_VERSION. */
export function versionRecord(store: StateStore, number: number): PolicyVersionRecord {
  const record = store.get('policyVersion', versionKey(number));
  if (record !== undefined) return record;
  throw notFound(
    'RF_POLICY_VERSION',
    `Cannot read policy version ${number}: found versions up to ${versionHistory(store, 1, 0)[0]?.number ?? 0}, wanted one of the ${VERSIONS_MAX} newest`,
  );
}

/** Newest first, below `before` (0: from the newest). */
export function versionHistory(store: StateStore, limit: number, before: number): PolicyVersionRecord[] {
  const versions = [...store.table('policyVersion').values()];
  versions.sort((a, b) => b.number - a.number);
  return versions.filter(({ number }) => before === 0 || number < before).slice(0, limit);
}

/** Makes room for the version `newest`. What may come back (`kept`) is never dropped, however old. */
function dropOldVersions(tx: StateTransaction, newest: number, kept: number): void {
  for (const [key, { number }] of [...tx.entries('policyVersion')]) {
    if (number > newest - VERSIONS_MAX || number === kept) continue;
    tx.delete('policyVersion', key);
    tx.delete('policyFate', key);
  }
}

/** A new version: in force for good, or with `rollout` on condition over the one `before` (0: none). */
export function writeVersion(
  tx: StateTransaction,
  record: PolicyVersionRecord,
  rollout: RolloutRecord | null,
  before: number,
): void {
  tx.set('policyVersion', versionKey(record.number), record);
  tx.set('policyState', STATE_KEY, { settled: rollout === null ? record.number : before, rollout });
  if (rollout === null) endVersion(tx, before, { endedMs: record.createdMs, next: record.number });
  dropOldVersions(tx, record.number, before);
}

/** Makes the draft exactly these files. */
export function writeDraft(tx: StateTransaction, files: readonly PolicyFileRecord[]): void {
  const names = new Set(files.map(({ name }) => name));
  for (const [name] of [...tx.entries('draftFile')]) if (!names.has(name)) tx.delete('draftFile', name);
  for (const { name, content } of files) tx.set('draftFile', name, { content });
}

/** Key of a version's record, and of its fate's. */
export function versionKey(number: number): string {
  return String(number).padStart(10, '0');
}
