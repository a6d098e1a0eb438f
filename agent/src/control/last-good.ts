// The last good state on disk: what was in force, the epoch it belongs to, an unconfirmed rollout's way back, and the workloads
// it was applied to. Read once at boot, before anything else is known; a file that cannot be trusted is refused with a clear
// error and moved aside for inspection, and the kernel's pinned state stays as it is.
import { renameSync } from 'node:fs';
import { applyUpdate, emptyInstructions, type Instructions, snapshotOf } from '../desired/instructions.js';
import type { InstructionUpdate } from '../desired/update.js';
import { AgentError, messageOf } from '../errors.js';
import { StateFile } from '../store/state-file.js';
import type { PendingRollout } from './rollout.js';

/** Raised when the layout below changes. */
const FORMAT = 1;

export interface LastGood<W> {
  readonly epoch: string;
  readonly instructions: Instructions;
  readonly pending: PendingRollout | undefined;
  /** Boot of the machine that the workloads belong to: interface numbers mean nothing in another. */
  readonly bootId: string;
  readonly workloads: readonly W[];
}

interface OnDisk<W> {
  epoch: string;
  update: InstructionUpdate;
  pending: {
    policyVersion: number;
    confirmWithinMs: number;
    before: InstructionUpdate;
    /** Written since windows have an end; before, the window began anew and the epoch was the state's. */
    untilMs?: number;
    epoch?: string;
  } | null;
  bootId: string;
  workloads: readonly W[];
}

export class LastGoodFile<W> {
  readonly #path: string;
  readonly #file: StateFile;

  constructor(path: string) {
    this.#path = path;
    this.#file = new StateFile(path, FORMAT);
  }

  /** Writes what `state` gives when its turn comes. Fulfilled when it, or a later one, is on disk; rejected with why it is not. */
  write(state: () => LastGood<W>): Promise<void> {
    return this.#file.follow(() => this.#onDisk(state()));
  }

  /** undefined: none was ever written. Throws RF_STATE_CORRUPT, RF_STATE_VERSION; the file is then found as <path>.refused. */
  read(): LastGood<W> | undefined {
    try {
      const value = this.#file.read() as OnDisk<W> | undefined;
      if (value === undefined) return undefined;
      const { epoch, bootId, workloads, pending } = value;
      const before = pending && this.#rebuild(pending.before);
      return {
        epoch,
        bootId,
        workloads,
        instructions: this.#rebuild(value.update),
        pending:
          pending && before
            ? {
                policyVersion: pending.policyVersion,
                confirmWithinMs: pending.confirmWithinMs,
                untilMs: pending.untilMs ?? Number.MAX_SAFE_INTEGER,
                before: { instructions: before, epoch: pending.epoch ?? epoch },
              }
            : undefined,
      };
    } catch (error) {
      try {
        renameSync(this.#path, `${this.#path}.refused`);
      } catch {} // what matters is the first error
      throw error;
    }
  }

  #onDisk(state: LastGood<W>): OnDisk<W> {
    const pending = state.pending && {
      policyVersion: state.pending.policyVersion,
      confirmWithinMs: state.pending.confirmWithinMs,
      before: snapshotOf(state.pending.before.instructions),
      untilMs: state.pending.untilMs,
      epoch: state.pending.before.epoch,
    };
    return {
      epoch: state.epoch,
      update: snapshotOf(state.instructions),
      pending: pending ?? null,
      bootId: state.bootId,
      workloads: state.workloads,
    };
  }

  #rebuild(update: InstructionUpdate): Instructions {
    let found: string;
    try {
      // CBOR keeps no difference between undefined and absent.
      const result = applyUpdate(emptyInstructions(), undefined, {
        ...update,
        failsafes: update.failsafes ?? undefined,
      });
      if (result.kind === 'complete') return result.next;
      found = result.kind === 'refused' ? result.message : 'part of a revision';
    } catch (error) {
      found = messageOf(error);
    }
    throw new AgentError(
      'RF_STATE_CORRUPT',
      `Cannot use state file ${this.#path}: found ${found}, wanted a whole state`,
    );
  }
}
