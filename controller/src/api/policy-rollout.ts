// Which version is in force for whom, and what has become of each. Pure; the policy book keeps it on disk.
//
//   settled    one version is in force everywhere, for good
//   awaiting   its successor is in force everywhere; the settled one comes back when the window ends, unless confirmed
//   canary     its successor is in force on some workloads, perhaps with a window too; promoted, it is awaiting or settled
import {
  type LabelRequirement,
  LabelRequirement_Operator as Operator,
} from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import { type PolicyVersion, PolicyVersionState } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Selector } from '../policy/model.js';
import type { PolicyFateRecord, PolicyVersionRecord, RolloutRecord } from '../store/records.js';
import { invalid } from './errors.js';
import { labelPredicate } from './selector.js';

/** On what condition a version is put in force. */
export interface RolloutTerms {
  /** 0: no window. */
  readonly confirmWithinMs: number;
  /** Undefined: all workloads. */
  readonly canary: readonly LabelRequirement[] | undefined;
}

/** A version is to be made. */
export interface ProvisionRequest {
  readonly author: string;
  readonly note: string;
  /** 0: whatever is in force. */
  readonly expectedVersion: number;
  readonly rollout: RolloutTerms;
}

export const NO_TERMS: RolloutTerms = { confirmWithinMs: 0, canary: undefined };

/** A version that is in force on condition. */
export interface Rollout {
  readonly version: number;
  /** Version that comes back; 0: no policy. */
  readonly base: number;
  readonly startedMs: number;
  readonly author: string;
  readonly windowMs: number;
  /** 0: no window. */
  readonly deadlineMs: number;
  readonly canary: Selector | undefined;
}

const WINDOW_MIN_MS = 1000;
const WINDOW_MAX_MS = 86_400_000;

/** Terms as asked for. Throws ApiError RF_POLICY_ROLLOUT or RF_SELECTOR. */
export function rolloutTerms(
  confirmWithinMs: number,
  canary: { readonly requirements: readonly LabelRequirement[] } | undefined,
): RolloutTerms {
  if (confirmWithinMs !== 0 && (confirmWithinMs < WINDOW_MIN_MS || confirmWithinMs > WINDOW_MAX_MS)) {
    throw invalid(
      'RF_POLICY_ROLLOUT',
      `Cannot provision: found a confirm window of ${confirmWithinMs} ms, wanted 1 s to 24 h`,
    );
  }
  if (canary !== undefined && canary.requirements.length === 0) {
    throw invalid(
      'RF_POLICY_ROLLOUT',
      'Cannot provision: found a canary that selects every workload, wanted one requirement at least; leave it out to provision everywhere',
    );
  }
  labelPredicate(canary && { requirements: [...canary.requirements] });
  return { confirmWithinMs, canary: canary?.requirements };
}

export function rolloutOf(record: RolloutRecord, base: number): Rollout {
  const { version, startedMs, author, windowMs, deadlineMs, canary } = record;
  const selector = canary === null ? undefined : canarySelector(canary);
  return { version, base, startedMs, author, windowMs, deadlineMs, canary: selector };
}

/** A rollout of these terms that begins now (`startedMs`), as it is stored. */
export function rolloutRecord(version: number, author: string, terms: RolloutTerms, startedMs: number): RolloutRecord {
  const { confirmWithinMs: windowMs, canary } = terms;
  const deadlineMs = windowMs === 0 ? 0 : startedMs + windowMs;
  const requirements = canary?.map(({ dimension, operator, values }) => ({
    dimension,
    operator,
    values: [...values],
  }));
  return { version, startedMs, author, windowMs, deadlineMs, canary: requirements ?? null };
}

/** Requirements as a selector of policy, meaning the same. */
export function canarySelector(requirements: readonly LabelRequirement[]): Selector {
  const parts = requirements.map(({ dimension, operator, values }): Selector => {
    const label: Selector = { kind: 'label', dimension, values: [...new Set(values)].sort() };
    if (operator === Operator.OPERATOR_IN) return label;
    if (operator === Operator.OPERATOR_NOT_IN) return { kind: 'not', of: label };
    const exists: Selector = { kind: 'exists', dimension };
    return operator === Operator.OPERATOR_EXISTS ? exists : { kind: 'not', of: exists };
  });
  const [only] = parts;
  return only !== undefined && parts.length === 1 ? only : { kind: 'all', of: parts };
}

/** A fate of which nothing is known yet. */
export const NO_FATE: PolicyFateRecord = {
  confirmedMs: 0,
  confirmedBy: '',
  endedMs: 0,
  returned: false,
  next: 0,
  why: '',
};

/** A version as the API tells it. `settled`: the version that is in force for good. */
export function versionToWire(
  record: PolicyVersionRecord,
  fate: PolicyFateRecord | undefined,
  settled: number,
  rollout: Rollout | undefined,
): PolicyVersion {
  const { number, author, note, rules, rollbackOf, confirmWithinMs, canary } = record;
  const { confirmedMs, confirmedBy, endedMs, next, why } = fate ?? NO_FATE;
  const open = rollout?.version === number ? rollout : undefined;
  return {
    number,
    author,
    note,
    rules,
    rollbackOf,
    createdMs: BigInt(record.createdMs),
    state: stateOf(number, fate, settled, rollout),
    confirmWithinMs: open?.windowMs ?? confirmWithinMs,
    confirmByMs: BigInt(open?.deadlineMs ?? 0),
    canary,
    confirmedMs: BigInt(confirmedMs),
    confirmedBy,
    endedMs: BigInt(endedMs),
    next,
    why,
  };
}

function stateOf(
  number: number,
  fate: PolicyFateRecord | undefined,
  settled: number,
  rollout: Rollout | undefined,
): PolicyVersionState {
  if (number === rollout?.version) {
    return rollout.canary === undefined
      ? PolicyVersionState.POLICY_VERSION_STATE_AWAITING
      : PolicyVersionState.POLICY_VERSION_STATE_CANARY;
  }
  if (number === settled) {
    return rollout === undefined || rollout.canary !== undefined
      ? PolicyVersionState.POLICY_VERSION_STATE_IN_FORCE
      : PolicyVersionState.POLICY_VERSION_STATE_STANDBY;
  }
  return fate?.returned
    ? PolicyVersionState.POLICY_VERSION_STATE_RETURNED
    : PolicyVersionState.POLICY_VERSION_STATE_SUPERSEDED;
}

/** Milliseconds as people say them: "90 s", "5 min". */
export function spoken(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}
