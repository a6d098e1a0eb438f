import { describe, expect, it } from 'vitest';
import { emptyInstructions, type Instructions } from '../desired/instructions.js';
import { RolloutGuard, type Standing } from './rollout.js';

const at = (revision: number, policyVersion: number): Instructions => ({
  ...emptyInstructions(),
  revision,
  policyVersion,
});
const stood = (revision: number, policyVersion: number): Standing => ({
  instructions: at(revision, policyVersion),
  epoch: 'e',
});
const plain = { confirmWithinMs: 0, confirmedPolicyVersion: 0 };
const guarded = { confirmWithinMs: 5000, confirmedPolicyVersion: 0 };
/** Both clocks; the wall clock starts elsewhere. */
const ms = (steadyMs: number, wallMs = 1_000_000 + steadyMs) => ({ steadyMs, wallMs });

/** A guard with version 2 unconfirmed over version 1, told at 0, connected. */
function watched(): RolloutGuard {
  const guard = new RolloutGuard(undefined, ms(0));
  guard.onConnected();
  guard.onApplied(stood(1, 1), at(2, 2), guarded, ms(0));
  return guard;
}

describe('RolloutGuard', () => {
  it('returns to what was before when the window ends while the controller is lost', () => {
    const guard = watched();
    expect(guard.deadlineMs).toBeUndefined();
    guard.onLost();
    expect(guard.deadlineMs).toBe(5000);
    expect(guard.due(4999)).toBeUndefined();
    expect(guard.due(5000)?.before.instructions.policyVersion).toBe(1);
    guard.onReturned(true, 5000);
    expect([guard.pending, guard.deadlineMs]).toEqual([undefined, undefined]);
  });

  it('leaves the decision to a controller that is there, however long', () => {
    const guard = watched();
    guard.onLost();
    guard.onConnected();
    expect(guard.due(100_000)).toBeUndefined();
  });

  it('returns at once when the controller is lost after the window and said nothing', () => {
    const guard = watched();
    guard.onLost();
    expect(guard.due(60_000)?.policyVersion).toBe(2);
  });

  it('is settled by a confirmation, also one that comes with the rollout', () => {
    const guard = watched();
    guard.onApplied(stood(2, 2), at(3, 2), { confirmWithinMs: 0, confirmedPolicyVersion: 2 }, ms(1));
    guard.onLost();
    expect(guard.deadlineMs).toBeUndefined();
    guard.onApplied(stood(3, 2), at(4, 3), { confirmWithinMs: 5000, confirmedPolicyVersion: 3 }, ms(2));
    expect(guard.deadlineMs).toBeUndefined();
  });

  it('is settled when the controller takes the version back, although its number is lower', () => {
    const guard = watched();
    guard.onApplied(stood(2, 2), at(3, 1), { confirmWithinMs: 0, confirmedPolicyVersion: 1 }, ms(1));
    guard.onLost();
    expect(guard.due(100_000)).toBeUndefined();
  });

  it('is not settled by changes of membership, nor by confirming an older version', () => {
    const guard = watched();
    guard.onApplied(stood(2, 2), at(3, 2), plain, ms(10));
    guard.onApplied(stood(3, 2), at(4, 2), { confirmWithinMs: 0, confirmedPolicyVersion: 1 }, ms(20));
    guard.onLost();
    expect(guard.due(5000)?.before.instructions.revision).toBe(1);
  });

  it('keeps the way back while changes of membership renew what is left of the window', () => {
    const guard = watched();
    guard.onApplied(stood(2, 2), at(3, 2), { confirmWithinMs: 2000, confirmedPolicyVersion: 0 }, ms(3000));
    guard.onLost();
    expect(guard.deadlineMs).toBe(5000);
    expect(guard.pending).toMatchObject({ confirmWithinMs: 5000, before: { instructions: { revision: 1 } } });
  });

  it('returns to the confirmed version over two unconfirmed ones', () => {
    const guard = watched();
    guard.onApplied(stood(2, 2), at(3, 3), guarded, ms(100));
    guard.onLost();
    expect(guard.due(5100)?.before.instructions.policyVersion).toBe(1);
  });

  it('has nothing to return to on a host that was never told anything, and keeps what it has', () => {
    const guard = new RolloutGuard(undefined, ms(0));
    guard.onApplied({ instructions: emptyInstructions(), epoch: '' }, at(2, 2), guarded, ms(0));
    expect(guard.pending).toBeUndefined();
  });

  it('is due again when the kernel refused to return', () => {
    const guard = watched();
    guard.onLost();
    expect(guard.due(5000)).toBeDefined();
    guard.onReturned(false, 5000);
    expect(guard.due(9999)).toBeUndefined();
    expect(guard.due(10_000)?.before.instructions.revision).toBe(1);
  });

  it('takes no notice of the wall clock while it runs', () => {
    const guard = watched();
    guard.onApplied(stood(2, 2), at(3, 2), plain, ms(10, 9_999_999_999));
    guard.onLost();
    expect(guard.deadlineMs).toBe(5000);
  });

  it('over a restart the window goes on by the wall clock, within its own length and not without a grace', () => {
    const pending = { policyVersion: 2, confirmWithinMs: 60_000, untilMs: 1_000_000, before: stood(1, 1) };
    const deadline = (wallMs: number) => new RolloutGuard(pending, ms(700, wallMs)).deadlineMs;
    expect(deadline(970_000)).toBe(30_700);
    expect(deadline(100)).toBe(60_700); // set back: not longer than the window
    expect(deadline(5_000_000)).toBe(5700); // long ago, or set forward: the controller may answer first
    expect(new RolloutGuard({ ...pending, confirmWithinMs: 300 }, ms(700, 5_000_000)).deadlineMs).toBe(1000);
  });
});
