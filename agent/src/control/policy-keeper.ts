// Keeps what is in force and what is on disk together: boot from the last good state, every revision saved after it took force,
// unconfirmed rollouts taken back when the controller stays lost.
import { type Instructions, returnedInstructions } from '../desired/instructions.js';
import type { Applied, Enforcement } from '../enforcement.js';
import { codeOf, messageOf } from '../errors.js';
import type { Timers } from '../timers.js';
import type { LastGood, LastGoodFile } from './last-good.js';
import { type Instant, type PendingRollout, RolloutGuard, type RolloutTerms } from './rollout.js';

export interface PolicyKeeperPorts<W> {
  readonly enforcement: Enforcement;
  readonly file: LastGoodFile<W>;
  readonly timers: Timers;
  /** This boot of the machine. */
  readonly bootId: string;
  /** Workloads as they are now, saved along. */
  readonly workloads: () => readonly W[];
  /** The state could not be read at boot; code and message. */
  readonly onUnreadable: (code: string, message: string) => void;
  /** Saving failed (message) or works again (undefined). */
  readonly onSaved: (problem: string | undefined) => void;
  /** An unconfirmed rollout was taken back. */
  readonly onReturned: (rollout: PendingRollout, outcome: Applied) => void;
}

/** Changes within this time are saved together. */
const SAVE_AFTER_MS = 100;

export class PolicyKeeper<W> {
  readonly #ports: PolicyKeeperPorts<W>;
  #guard: RolloutGuard;
  #epoch = '';
  #cancelSave: (() => void) | undefined;
  #cancelReturn: (() => void) | undefined;
  /** Revisions and returns, one after the other: what a rollout returns to is what was in force when it was applied. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(ports: PolicyKeeperPorts<W>) {
    this.#ports = ports;
    this.#guard = new RolloutGuard(undefined, instant(ports.timers));
  }

  /** Epoch of what is in force; '' when nothing came from a controller yet. */
  get epoch(): string {
    return this.#epoch;
  }

  get inForce(): Instructions {
    return this.#ports.enforcement.instructions;
  }

  /** Takes up the last good state, without applying it. undefined when there is none that can be used. */
  load(): LastGood<W> | undefined {
    let state: LastGood<W> | undefined;
    try {
      state = this.#ports.file.read();
    } catch (error) {
      this.#ports.onUnreadable(codeOf(error, 'RF_STATE_CORRUPT'), messageOf(error));
    }
    if (!state) return undefined;
    this.#epoch = state.epoch;
    this.#guard = new RolloutGuard(state.pending, instant(this.#ports.timers));
    this.#ports.enforcement.restore(state.instructions);
    this.#watchDeadline();
    return state;
  }

  /** A whole revision from the controller. */
  apply(next: Instructions, epoch: string, terms: RolloutTerms): Promise<Applied> {
    return this.#serially(async () => {
      const before = { instructions: this.inForce, epoch: this.#epoch };
      const applied = await this.#ports.enforcement.tryInstructions(next);
      if (applied.kind !== 'ok') return applied;
      this.#epoch = epoch;
      const pending = this.#guard.pending;
      this.#guard.onApplied(before, next, terms, instant(this.#ports.timers));
      this.#watchDeadline();
      // The caller acks now, and a host that lost power after its ack must come back with what it acked. Who is at which address
      // may be learnt again; what may be done may not, so only that waits for the disk. Nor may a way back, or its end.
      if (decides(before.instructions, next) || pending !== this.#guard.pending) this.save();
      else this.saveSoon();
      return applied;
    });
  }

  /**
   * This host belongs to no controller any more: `next` is in force and on disk from now on, without an epoch, so that whatever
   * controller it meets next sends everything.
   */
  leave(next: Instructions): Promise<Applied> {
    return this.#serially(async () => {
      const applied = await this.#ports.enforcement.tryInstructions(next);
      if (applied.kind !== 'ok') return applied;
      this.#epoch = '';
      this.#guard = new RolloutGuard(undefined, instant(this.#ports.timers));
      this.#watchDeadline();
      this.save();
      return applied;
    });
  }

  onConnected(): void {
    this.#guard.onConnected();
    this.#watchDeadline();
  }

  onLost(): void {
    this.#guard.onLost();
    this.#watchDeadline();
  }

  /** Saves within a moment. */
  saveSoon(): void {
    this.#cancelSave ??= this.#ports.timers.after(SAVE_AFTER_MS, () => this.save());
  }

  /** Saves now what is in force. While the kernel holds an unknown policy there is nothing to save. */
  save(): void {
    this.#cancelSave?.();
    this.#cancelSave = undefined;
    if (this.#ports.enforcement.held) return;
    try {
      this.#ports.file.write({
        epoch: this.#epoch,
        instructions: this.inForce,
        pending: this.#guard.pending,
        bootId: this.#ports.bootId,
        workloads: this.#ports.workloads(),
      });
      this.#ports.onSaved(undefined);
    } catch (error) {
      this.#ports.onSaved(messageOf(error));
      // Tried again with the next change, and by itself: the disk may have room by then.
      this.#cancelSave = this.#ports.timers.after(5_000, () => this.save());
    }
  }

  /** Saves what waits and ends. */
  stop(): void {
    this.#cancelReturn?.();
    if (this.#cancelSave) this.save();
    this.#cancelSave?.();
  }

  #watchDeadline(): void {
    this.#cancelReturn?.();
    this.#cancelReturn = undefined;
    const deadline = this.#guard.deadlineMs;
    if (deadline === undefined) return;
    const { timers } = this.#ports;
    this.#cancelReturn = timers.after(Math.max(0, deadline - timers.steady()), () => void this.#returnBack());
  }

  #returnBack(): Promise<void> {
    return this.#serially(async () => {
      const { timers, enforcement, onReturned } = this.#ports;
      // Asked again in its turn: the controller may be back, or have confirmed, by now.
      const rollout = this.#guard.due(timers.steady());
      if (rollout !== undefined) {
        const { instructions, epoch } = rollout.before;
        const back = returnedInstructions(instructions, this.inForce);
        const outcome = await enforcement.tryInstructions(back);
        const done = outcome.kind === 'ok';
        // A state that no controller ever told has no epoch: the next one sends everything.
        if (done) this.#epoch = back === instructions ? epoch : '';
        this.#guard.onReturned(done, timers.steady());
        if (done) this.save();
        onReturned(rollout, outcome);
      }
      this.#watchDeadline();
    });
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }
}

function instant(timers: Timers): Instant {
  return { wallMs: timers.now(), steadyMs: timers.steady() };
}

/** True when the two may judge a connection between the same identities differently. */
function decides(before: Instructions, next: Instructions): boolean {
  return (
    next.policyVersion !== before.policyVersion ||
    next.unpaired !== before.unpaired ||
    next.sets.changesSince(before.sets).length > 0 ||
    next.assignments.changesSince(before.assignments).length > 0
  );
}
