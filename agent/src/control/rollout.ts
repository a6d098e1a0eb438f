// A rollout that must be confirmed: when its window ends while the controller is lost, and no confirmation came, the host returns to
// what was confirmed before. While the controller is there it decides: it confirms, or takes the version back itself. Pure state;
// the caller keeps the clocks and applies what is returned.
//
//   settled   nothing to confirm
//   watched   an unconfirmed version is in force, the controller is connected
//   counting  the same, and the controller is lost: when the window ends (or has ended already) the host returns
//
// Windows are measured on a clock that is never set (monotonic). Over a restart of the process only the wall clock remains: then
// the window is what it says is left, never longer than the whole window, and never so short that a confirmation that was given
// meanwhile could not come first.
import type { Instructions } from '../desired/instructions.js';

/** What the wire says of confirmation, beside the content. */
export interface RolloutTerms {
  /** Left of the window, milliseconds; 0: no such condition. */
  readonly confirmWithinMs: number;
  /** The version that is confirmed; 0: none said. */
  readonly confirmedPolicyVersion: number;
}

/** A state that was in force, and the epoch that its revision belongs to. */
export interface Standing {
  readonly instructions: Instructions;
  readonly epoch: string;
}

/** An unconfirmed rollout, as it is kept on disk too. */
export interface PendingRollout {
  readonly policyVersion: number;
  /** The whole window, as first told. */
  readonly confirmWithinMs: number;
  /** When it ends, Unix milliseconds by the wall clock of the moment it was told. */
  readonly untilMs: number;
  /** What was in force, confirmed, before it. */
  readonly before: Standing;
}

/** Two clocks at one instant. */
export interface Instant {
  /** Unix milliseconds; may be set by anybody. */
  readonly wallMs: number;
  /** Milliseconds since any fixed instant; never set. */
  readonly steadyMs: number;
}

/** After a restart the controller gets at least so long to say that it was confirmed. */
const RESTART_GRACE_MS = 5000;
/** A return that the kernel refused is tried again after this. */
const RETRY_MS = 5000;

export class RolloutGuard {
  #pending: PendingRollout | undefined;
  #endMs = 0;
  #lost = true;

  /** pending is what the last run left; the controller counts as lost until onConnected. */
  constructor(pending: PendingRollout | undefined, now: Instant) {
    this.#pending = pending;
    if (pending === undefined) return;
    const window = pending.confirmWithinMs;
    const left = Math.min(window, Math.max(pending.untilMs - now.wallMs, RESTART_GRACE_MS));
    this.#endMs = now.steadyMs + left;
  }

  get pending(): PendingRollout | undefined {
    return this.#pending;
  }

  /** A revision took force. */
  onApplied(before: Standing, after: Instructions, terms: RolloutTerms, now: Instant): void {
    const { confirmWithinMs, confirmedPolicyVersion } = terms;
    const open = this.#pending;
    const confirmed = confirmedPolicyVersion !== 0 && confirmedPolicyVersion === after.policyVersion;
    if (confirmWithinMs > 0 && !confirmed) {
      // A second unconfirmed version on top of the first: the way back is still to what was confirmed.
      const back = open?.before ?? before;
      // Nothing was ever told before: there is nothing to return to, and no policy at all is no safe state.
      if (back.instructions.revision === 0) return;
      const known = open?.policyVersion === after.policyVersion ? open.confirmWithinMs : 0;
      this.#pending = {
        policyVersion: after.policyVersion,
        confirmWithinMs: Math.max(known, confirmWithinMs),
        untilMs: now.wallMs + confirmWithinMs,
        before: back,
      };
      this.#endMs = now.steadyMs + confirmWithinMs;
      return;
    }
    // Changes of membership that say nothing about confirmation leave the question open; any other version answers it.
    if (confirmed || open?.policyVersion !== after.policyVersion) this.#pending = undefined;
  }

  onConnected(): void {
    this.#lost = false;
  }

  onLost(): void {
    this.#lost = true;
  }

  /** When the host must return, on the steady clock; undefined: not as things are. */
  get deadlineMs(): number | undefined {
    return this.#pending !== undefined && this.#lost ? this.#endMs : undefined;
  }

  /** Past the deadline: what to return from. onReturned must follow. */
  due(steadyMs: number): PendingRollout | undefined {
    const deadline = this.deadlineMs;
    return deadline !== undefined && steadyMs >= deadline ? this.#pending : undefined;
  }

  /** The return took force, or was refused and is due again in a while. */
  onReturned(done: boolean, steadyMs: number): void {
    if (done) this.#pending = undefined;
    else this.#endMs = steadyMs + RETRY_MS;
  }
}
