import { describe, expect, it } from 'vitest';
import { emptyInstructions, type Instructions } from '../desired/instructions.js';
import { RolloutGuard } from './rollout.js';

const at = (revision: number, policyVersion: number): Instructions => ({
  ...emptyInstructions(),
  revision,
  policyVersion,
});
const plain = { confirmWithinMs: 0, confirmedPolicyVersion: 0 };
const guarded = { confirmWithinMs: 5000, confirmedPolicyVersion: 0 };

describe('RolloutGuard', () => {
  it('returns to what was before when the controller stays lost for the time the rollout named', () => {
    const guard = new RolloutGuard(undefined, 0);
    guard.onConnected();
    guard.onApplied(at(1, 1), at(2, 2), guarded);
    expect(guard.deadlineMs).toBeUndefined();
    guard.onLost(1000);
    guard.onLost(3000); // further failed attempts do not move the deadline
    expect(guard.deadlineMs).toBe(6000);
    expect(guard.takeReturn(5999)).toBeUndefined();
    expect(guard.takeReturn(6000)?.before.policyVersion).toBe(1);
    expect(guard.deadlineMs).toBeUndefined();
  });

  it('does not return when the controller comes back in time', () => {
    const guard = new RolloutGuard(undefined, 0);
    guard.onConnected();
    guard.onApplied(at(1, 1), at(2, 2), guarded);
    guard.onLost(1000);
    guard.onConnected();
    expect(guard.takeReturn(100_000)).toBeUndefined();
    guard.onLost(200_000); // still unconfirmed: the time begins anew
    expect(guard.deadlineMs).toBe(205_000);
  });

  it('is settled by a confirmation, also one that comes with the rollout', () => {
    const guard = new RolloutGuard(undefined, 0);
    guard.onConnected();
    guard.onApplied(at(1, 1), at(2, 2), guarded);
    guard.onApplied(at(2, 2), at(3, 2), { confirmWithinMs: 0, confirmedPolicyVersion: 2 });
    guard.onLost(1);
    expect(guard.deadlineMs).toBeUndefined();
    guard.onApplied(at(3, 2), at(4, 3), { confirmWithinMs: 5000, confirmedPolicyVersion: 3 });
    expect(guard.deadlineMs).toBeUndefined();
  });

  it('is not settled by changes of membership, nor by confirming an older version', () => {
    const guard = new RolloutGuard(undefined, 0);
    guard.onApplied(at(1, 1), at(2, 2), guarded);
    guard.onApplied(at(2, 2), at(3, 2), plain);
    guard.onApplied(at(3, 2), at(4, 2), { confirmWithinMs: 0, confirmedPolicyVersion: 1 });
    expect(guard.takeReturn(5000)?.before.revision).toBe(1);
  });

  it('returns to the confirmed version over two unconfirmed ones', () => {
    const guard = new RolloutGuard(undefined, 0);
    guard.onApplied(at(1, 1), at(2, 2), guarded);
    guard.onApplied(at(2, 2), at(3, 3), guarded);
    expect(guard.takeReturn(5000)?.before.policyVersion).toBe(1);
  });

  it('counts from the start of the process for a rollout the last run left', () => {
    const guard = new RolloutGuard({ policyVersion: 2, confirmWithinMs: 5000, before: at(1, 1) }, 700);
    expect(guard.deadlineMs).toBe(5700);
  });
});
