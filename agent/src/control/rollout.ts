// A rollout that must be confirmed: when the controller is lost before it said so, and stays lost for the time the rollout named,
// the host returns to what was confirmed before. Pure state; the caller keeps the clock and applies what is returned.
//
//   settled   nothing to confirm
//   watched   an unconfirmed version is in force, the controller is connected
//   counting  the same, and the controller is lost: at the deadline the host returns
import type { Instructions } from '../desired/instructions.js';

/** What the wire says of confirmation, beside the content. */
export interface RolloutTerms {
  /** 0: no such condition. */
  readonly confirmWithinMs: number;
  /** 0: none. */
  readonly confirmedPolicyVersion: number;
}

/** An unconfirmed rollout. */
export interface PendingRollout {
  readonly policyVersion: number;
  readonly confirmWithinMs: number;
  /** What was in force, confirmed, before it. */
  readonly before: Instructions;
}

export class RolloutGuard {
  #pending: PendingRollout | undefined;
  #lostAtMs: number | undefined;

  /** pending is what the last run left; the controller counts as lost from nowMs. */
  constructor(pending: PendingRollout | undefined, nowMs: number) {
    this.#pending = pending;
    this.#lostAtMs = nowMs;
  }

  get pending(): PendingRollout | undefined {
    return this.#pending;
  }

  /** A revision took force. */
  onApplied(before: Instructions, after: Instructions, terms: RolloutTerms): void {
    const confirms =
      terms.confirmedPolicyVersion !== 0 && terms.confirmedPolicyVersion >= (this.#pending?.policyVersion ?? 0);
    if (confirms) this.#pending = undefined;
    if (terms.confirmWithinMs === 0 || terms.confirmedPolicyVersion === after.policyVersion) return;
    // A second unconfirmed version on top of the first: the way back is still to what was confirmed.
    this.#pending = {
      policyVersion: after.policyVersion,
      confirmWithinMs: terms.confirmWithinMs,
      before: this.#pending?.before ?? before,
    };
  }

  onConnected(): void {
    this.#lostAtMs = undefined;
  }

  onLost(nowMs: number): void {
    this.#lostAtMs ??= nowMs;
  }

  /** When the host must return, Unix milliseconds; undefined: not as things are. */
  get deadlineMs(): number | undefined {
    if (this.#pending === undefined || this.#lostAtMs === undefined) return undefined;
    return this.#lostAtMs + this.#pending.confirmWithinMs;
  }

  /** Past the deadline: what to return to. The rollout is settled by it. */
  takeReturn(nowMs: number): PendingRollout | undefined {
    const deadline = this.deadlineMs;
    if (deadline === undefined || nowMs < deadline) return undefined;
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }
}
