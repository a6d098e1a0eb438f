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

/** Changes within this time are saved together: all of the state is written each time, so the more there is, the longer. */
const SAVE_AFTER_MS = { least: 100, perBinding: 0.05, most: 5000 };

export class PolicyKeeper<W> {
  readonly #ports: PolicyKeeperPorts<W>;
  #guard: RolloutGuard;
  #epoch = '';
  #cancelSave: (() => void) | undefined;
  #cancelReturn: (() => void) | undefined;
  #stopped = false;
  /** The newest of those begun: it ends last. */
  #saving: Promise<void> = Promise.resolve();
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
      if (decides(before.instructions, next) || pending !== this.#guard.pending) await this.save();
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
      await this.save();
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
    const { least, perBinding, most } = SAVE_AFTER_MS;
    this.#saveAfter(Math.min(most, Math.max(least, this.inForce.bindings.size * perBinding)));
  }

  /** Saves what is in force; fulfilled when it is on disk, or the disk refused. While the kernel holds an unknown policy there is nothing to save. */
  save(): Promise<void> {
    this.#cancelSave?.();
    this.#cancelSave = undefined;
    this.#saving = this.#write();
    return this.#saving;
  }

  /** Saves what waits and ends. */
  async stop(): Promise<void> {
    this.#cancelReturn?.();
    this.#stopped = true;
    await (this.#cancelSave ? this.save() : this.#saving);
  }

  async #write(): Promise<void> {
    if (this.#ports.enforcement.held) return;
    try {
      await this.#ports.file.write(() => ({
        epoch: this.#epoch,
        instructions: this.inForce,
        pending: this.#guard.pending,
        bootId: this.#ports.bootId,
        workloads: this.#ports.workloads(),
      }));
      this.#ports.onSaved(undefined);
    } catch (error) {
      this.#ports.onSaved(messageOf(error));
      // Tried again with the next change, and by itself: the disk may have room by then.
      this.#saveAfter(SAVE_AFTER_MS.most);
    }
  }

  #saveAfter(ms: number): void {
    if (this.#stopped) return;
    this.#cancelSave ??= this.#ports.timers.after(ms, () => void this.save());
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
        if (done) await this.save();
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
