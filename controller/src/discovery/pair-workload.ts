// The pairing decision inside an inventory's transaction: what a workload presents becomes its labels, its starting mode, or its denial.
import type { FailureLimit } from '../ca/rate-limit.js';
import type { PairingDesk, PairingOutcome } from '../keys/pairing-desk.js';
import { denialText, type PairingDenial } from '../pairing/decide.js';
import type { RetrySchedule } from '../pairing/retry.js';
import type { LabelReasonRecord, WorkloadRecord } from '../store/records.js';
import type { StateTransaction } from '../store/state-store.js';
import type { PairStep } from './inventory.js';

/** Metadata that asks for a label: `ringfence.label.role=web`. */
const REQUEST_PREFIX = 'ringfence.label.';
const REQUESTS_MAX = 32;

export interface PairingContext {
  readonly desk: PairingDesk;
  /** Whether the host's connection comes from a prefix. */
  readonly fromPrefix: (hostId: string, prefix: string) => boolean;
  /** The address that the host's connection comes from; empty: it has none. */
  readonly addressOf: (hostId: string) => string;
  readonly retries: RetrySchedule;
  /** Decisions per host: what is written of each is kept in the audit log. */
  readonly pace: FailureLimit;
  readonly now: () => number;
}

/**
 * Decides for each workload that presents a key, and for each that one was decided for before. A denied workload that presents the same
 * again is not decided again: its denial stands until its retry, its profile or its host's address says otherwise. One that no longer
 * shows its key stays as it is decided.
 */
export function pairStep(context: PairingContext): PairStep {
  const { desk, retries, pace, now } = context;
  return (tx, record, keyText) => {
    const { pairing } = record;
    if (keyText === '' && pairing?.state !== 'paired' && tx.get('pairing', record.id) === undefined) return record;
    const requested = requestedLabels(record.metadata);
    const presented = desk.fingerprint(keyText, context.addressOf(record.hostId));
    const retried = retries.take(record.id);
    if (pairing?.state === 'denied' && pairing.presented === presented && !retried) {
      if (sameLabels(pairing.requested, requested)) return record;
    }
    if (pace.exceeded(record.hostId, now())) {
      if (pairing?.state === 'paired') return record;
      return withOutcome(record, denied('rate-limited'), requested, now());
    }
    const outcome = desk.pairIn(tx, attemptOf(context, record, requested, keyText));
    if (!outcome.again || !outcome.decision.paired) pace.failed(record.hostId, now());
    return withOutcome(record, outcome, requested, now(), presented);
  };
}

/**
 * Decides again on workloads that were denied although their key is one of ours, where `concerned` says so: call it when their profile,
 * or what its dimensions permit, has changed.
 */
export function reconsider(
  context: PairingContext,
  tx: StateTransaction,
  concerned: (pairing: NonNullable<WorkloadRecord['pairing']>) => boolean,
): void {
  for (const [id, record] of [...tx.entries('workload')]) {
    const { pairing } = record;
    if (pairing?.state !== 'denied' || pairing.keyId === '' || !record.present || !concerned(pairing)) continue;
    const outcome = context.desk.reconsiderIn(tx, pairing.keyId, attemptOf(context, record, pairing.requested, ''));
    if (outcome === undefined) continue;
    tx.set('workload', id, withOutcome(record, outcome, pairing.requested, context.now(), pairing.presented));
  }
}

/** Takes the pairing off a workload: its labels by pairing go, and it is denied as its key now stands. */
export function unpair(tx: StateTransaction, record: WorkloadRecord, nowMs: number): void {
  tx.delete('pairing', record.id);
  const { pairing } = record;
  if (pairing === undefined) return;
  const { keyId, profileId, profileName } = pairing;
  const outcome = { ...denied('revoked'), keyId, profileId, profileName };
  tx.set('workload', record.id, withOutcome(record, outcome, pairing.requested, nowMs));
}

/** What the metadata asks for, by dimension. */
export function requestedLabels(metadata: Readonly<Record<string, string>>): Record<string, string> {
  const asked = Object.entries(metadata)
    .filter(([key]) => key.startsWith(REQUEST_PREFIX) && key.length > REQUEST_PREFIX.length)
    .map(([key, value]): [string, string] => [key.slice(REQUEST_PREFIX.length), value]);
  return Object.fromEntries(asked.slice(0, REQUESTS_MAX));
}

function denied(denial: PairingDenial): PairingOutcome {
  return { decision: { paired: false, denial, detail: '' }, again: false };
}

function attemptOf(
  context: PairingContext,
  record: WorkloadRecord,
  requested: Readonly<Record<string, string>>,
  keyText: string,
) {
  const fromPrefix = (prefix: string) => context.fromPrefix(record.hostId, prefix);
  return { workloadId: record.id, hostId: record.hostId, keyText, requested, fromPrefix };
}

/** The record after a decision. Labels that an operator set stay as they are; those of an earlier pairing go. */
function withOutcome(
  record: WorkloadRecord,
  outcome: PairingOutcome,
  requested: Record<string, string>,
  nowMs: number,
  presented?: string,
): WorkloadRecord {
  const { decision, keyId = '', profileId = '', profileName = '' } = outcome;
  const known = record.pairing;
  if (decision.paired && outcome.again && known?.state === 'paired' && sameLabels(known.requested, requested))
    return record;
  const labels: Record<string, string> = {};
  const labelReasons: Record<string, LabelReasonRecord> = {};
  for (const [dimension, value] of Object.entries(record.labels)) {
    const reason = record.labelReasons?.[dimension];
    if (reason?.source === 'pairing') continue;
    labels[dimension] = value;
    if (reason !== undefined) labelReasons[dimension] = reason;
  }
  if (decision.paired) {
    const by = `profile ${profileName}, key ${keyId}`;
    for (const [dimension, value] of Object.entries(decision.labels)) {
      if (labelReasons[dimension]?.source === 'operator') continue;
      const how = decision.how[dimension];
      labels[dimension] = value;
      labelReasons[dimension] = {
        source: 'pairing',
        by,
        atMs: nowMs,
        ...(how && { how }),
        keyId,
        profile: profileName,
      };
    }
  }
  const sorted = Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
  const same = JSON.stringify(sorted) === JSON.stringify(record.labels);
  const denial = decision.paired ? '' : decision.denial;
  const detail = decision.paired ? overrides(decision.overridden) : sentence(decision.denial, decision.detail);
  const unchanged =
    known !== undefined &&
    (known.state === 'paired') === decision.paired &&
    known.denial === denial &&
    known.keyId === keyId;
  return {
    ...record,
    labels: sorted,
    labelReasons,
    version: same ? record.version : record.version + 1,
    pairing: {
      keyId,
      profileId,
      profileName,
      requested,
      state: decision.paired ? 'paired' : 'denied',
      ...(decision.paired && { startingMode: decision.startingMode }),
      denial,
      detail,
      decidedMs: unchanged ? known.decidedMs : nowMs,
      ...(!decision.paired && presented !== undefined && { presented }),
    },
  };
}

function sentence(denial: PairingDenial, detail: string): string {
  return detail === '' ? denialText[denial] : `${denialText[denial]} (${detail})`;
}

function overrides(list: readonly { dimension: string; requested: string; given: string | undefined }[]): string {
  return list
    .map(({ dimension, requested, given }) => `asked for ${dimension}=${requested}, got ${given ?? 'none'}`)
    .join('; ');
}

function sameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const known = Object.entries(a);
  return known.length === Object.keys(b).length && known.every(([dimension, value]) => b[dimension] === value);
}
