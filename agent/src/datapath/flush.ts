// One run of a plan, step by step, remembering what was done so that a refused step can be undone in reverse.
import type { DesiredState, TableName } from '../desired/desired.js';
import type { Change } from '../desired/versioned-map.js';
import type { Attachments } from './attachments.js';
import type { KernelMaps } from './kernel-maps.js';
import type { Plan, TableStep } from './plan.js';
import { TableWriteError, type TableWriter } from './table-writer.js';

export type Generations = Pick<KernelMaps, 'generation' | 'setGeneration'>;
export type Hooks = Pick<Attachments, 'attach' | 'detachOthers' | 'drop'>;

export class Flush {
  written = 0;
  deleted = 0;
  readonly #writers: Readonly<Record<TableName, TableWriter>>;
  readonly #maps: Generations;
  readonly #attachments: Hooks;
  /** Undoes, oldest first. */
  readonly #undo: (() => void)[] = [];

  constructor(writers: Readonly<Record<TableName, TableWriter>>, maps: Generations, attachments: Hooks) {
    this.#writers = writers;
    this.#maps = maps;
    this.#attachments = attachments;
  }

  /**
   * before: the desired state in force until now. Throws TableWriteError, or NativeError when a hook cannot be attached; then
   * undo.
   */
  run(plan: Plan, desired: DesiredState, before: DesiredState | undefined): void {
    for (const step of plan.puts) this.#write(step);
    const attached = this.#attachments.attach(desired.interfaces, desired.cgroupHooks);
    this.#undo.push(() => this.#attachments.drop(attached));
    if (before !== undefined) {
      this.#undo.push(() => void this.#attachments.attach(before.interfaces, before.cgroupHooks));
    }
    for (const step of plan.passes) this.#write(step);
    this.#attachments.detachOthers(desired.interfaces, desired.cgroupHooks);
    for (const step of plan.deletes) this.#write(step);
    if (plan.bump) this.#bump();
    for (const step of plan.sweep) this.#write(step);
  }

  /**
   * Puts back what run did, newest first: the argument for the order holds backwards too. False when that failed as well; why run
   * failed is what the caller reports, and the next apply reads the maps again.
   */
  undo(): boolean {
    try {
      if (this.#undo.length > 0) this.#undo.unshift(() => this.#bump());
      for (const step of this.#undo.reverse()) step();
      return true;
    } catch {
      return false;
    }
  }

  #bump(): void {
    this.#maps.setGeneration(this.#maps.generation + 1);
  }

  #write(step: TableStep): void {
    const writer = this.#writers[step.table];
    const undoing = (changes: TableStep['changes']) => {
      const back = [...changes].reverse().map(({ key, before, after }) => ({ key, before: after, after: before }));
      this.#undo.push(() => writer.write(back));
    };
    try {
      writer.write(step.changes);
    } catch (error) {
      if (error instanceof TableWriteError) undoing(error.done);
      throw error;
    }
    undoing(step.changes);
    this.#count(step.changes);
  }

  #count(changes: readonly Change<string, string>[]): void {
    for (const { after } of changes) {
      if (after === undefined) this.deleted += 1;
      else this.written += 1;
    }
  }
}
