// Why a step of a policy's life is refused as things stand.
import { status } from '@grpc/grpc-js';
import type { PolicyFateRecord } from '../store/records.js';
import { ApiError } from './errors.js';
import type { ProvisionRequest, Rollout } from './policy-rollout.js';

/** Another version is in force than the caller thinks. */
export function conflictError(message: string): ApiError {
  return new ApiError(status.ABORTED, 'RF_POLICY_CONFLICT', message);
}

/** Throws ApiError RF_POLICY_PENDING while a rollout is open, RF_POLICY_CONFLICT when another version is in force than is thought. */
export function demandReady(
  { expectedVersion }: Pick<ProvisionRequest, 'expectedVersion'>,
  open: Rollout | undefined,
  inForce: number,
): void {
  if (open !== undefined) {
    throw new ApiError(
      status.FAILED_PRECONDITION,
      'RF_POLICY_PENDING',
      `Cannot provision: found version ${open.version} ${open.canary === undefined ? 'awaiting confirmation' : 'in force as a canary'}, ` +
        'wanted none open; confirm, promote or return it first',
    );
  }
  if (expectedVersion === 0 || expectedVersion === inForce) return;
  throw conflictError(
    `Cannot provision: found version ${inForce} in force, wanted ${expectedVersion}; look at what changed and try again`,
  );
}

/** What is asked for needs another state of the rollout. */
export function settledError(message: string): ApiError {
  return new ApiError(status.FAILED_PRECONDITION, 'RF_POLICY_SETTLED', message);
}

/** No rollout is open. `fate`: what has become of the newest version. */
export function notOpenError(
  action: string,
  newest: number,
  fate: PolicyFateRecord | undefined,
  inForce: number,
): ApiError {
  const found = fate?.returned
    ? `version ${newest} was ${fate.why.startsWith('taken') ? fate.why : `taken back: ${fate.why}`}`
    : 'no rollout is open';
  return settledError(`Cannot ${action} a policy version: ${found}; version ${inForce} is in force. Provision again`);
}
