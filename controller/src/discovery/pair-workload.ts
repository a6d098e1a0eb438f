// The pairing decision inside an inventory's transaction: what a workload presents becomes its labels, its starting mode, or its denial.
import type { PairingDesk, PairingOutcome } from '../keys/pairing-desk.js';
import { denialText } from '../pairing/decide.js';
import type { WorkloadRecord } from '../store/records.js';
import type { StateTransaction } from '../store/state-store.js';
import type { PairStep } from './inventory.js';

/** Metadata that asks for a label: `ringfence.label.role=web`. */
const REQUEST_PREFIX = 'ringfence.label.';
const REQUESTS_MAX = 32;

export interface PairingContext {
  readonly desk: PairingDesk;
  /** Whether the host's connection comes from a prefix. */
  readonly fromPrefix: (hostId: string, prefix: string) => boolean;
  readonly now: () => number;
}

/** Decides for each workload that presents a key, and for each that one was decided for before. */
export function pairStep(context: PairingContext): PairStep {
  return (tx, record, keyText) => {
    if (keyText === '' && record.pairing === undefined && tx.get('pairing', record.id) === undefined) return record;
    const requested = requestedLabels(record.metadata);
    const outcome = context.desk.pairIn(tx, attemptOf(context, record, requested, keyText));
    return withOutcome(record, outcome, requested, context.now());
  };
}

/** Decides again on workloads that were denied although their key is good: call it when a profile has changed. */
export function reconsider(context: PairingContext, tx: StateTransaction, profileId: string): void {
  for (const [id, record] of [...tx.entries('workload')]) {
    const { pairing } = record;
    if (pairing?.state !== 'denied' || pairing.profileId !== profileId || !record.present) continue;
    const outcome = context.desk.reconsiderIn(tx, pairing.keyId, attemptOf(context, record, pairing.requested, ''));
    if (outcome !== undefined) tx.set('workload', id, withOutcome(record, outcome, pairing.requested, context.now()));
  }
}

/** Takes the pairing off a workload: its labels by pairing go, and it is denied as its key now stands. */
export function unpair(tx: StateTransaction, record: WorkloadRecord, nowMs: number): void {
  tx.delete('pairing', record.id);
  const { pairing } = record;
  if (pairing === undefined) return;
  const denied: PairingOutcome = {
    decision: { paired: false, denial: 'revoked', detail: '' },
    keyId: pairing.keyId,
    profileId: pairing.profileId,
    profileName: pairing.profileName,
    again: false,
  };
  tx.set('workload', record.id, withOutcome(record, denied, pairing.requested, nowMs));
}

/** What the metadata asks for, by dimension. */
export function requestedLabels(metadata: Readonly<Record<string, string>>): Record<string, string> {
  const asked = Object.entries(metadata)
    .filter(([key]) => key.startsWith(REQUEST_PREFIX) && key.length > REQUEST_PREFIX.length)
    .map(([key, value]): [string, string] => [key.slice(REQUEST_PREFIX.length), value]);
  return Object.fromEntries(asked.slice(0, REQUESTS_MAX));
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
): WorkloadRecord {
  const { decision, keyId = '', profileId = '', profileName = '' } = outcome;
  if (decision.paired && outcome.again && record.pairing?.state === 'paired') return record;
  const labels: Record<string, string> = {};
  const labelReasons: NonNullable<WorkloadRecord['labelReasons']> = {};
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
      labels[dimension] = value;
      labelReasons[dimension] = { source: 'pairing', by, atMs: nowMs };
    }
  }
  const sorted = Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
  const same = JSON.stringify(sorted) === JSON.stringify(record.labels);
  const decided = { keyId, profileId, profileName, requested };
  const known = record.pairing;
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
      ...decided,
      state: decision.paired ? 'paired' : 'denied',
      ...(decision.paired && { startingMode: decision.startingMode }),
      denial,
      detail,
      decidedMs: unchanged ? known.decidedMs : nowMs,
    },
  };
}

function sentence(denial: keyof typeof denialText, detail: string): string {
  return detail === '' ? denialText[denial] : `${denialText[denial]} (${detail})`;
}

function overrides(list: readonly { dimension: string; requested: string; given: string | undefined }[]): string {
  return list
    .map(({ dimension, requested, given }) => `asked for ${dimension}=${requested}, got ${given ?? 'none'}`)
    .join('; ');
}
