// The one place that changes what the kernel enforces. Two inputs meet here: what the controller said (a revision at a time) and
// which workloads are on this host. Every change of either is rendered and applied as a whole, one after the other; a revision
// that the kernel cannot take leaves the last good one in force.
import type { ApplyResult, DatapathFace } from './datapath/datapath.js';
import type { DesiredState } from './desired/desired.js';
import { emptyInstructions, type Instructions } from './desired/instructions.js';
import type { LocalWorkload } from './desired/local.js';
import { codeOf, messageOf } from './errors.js';

export interface EnforcementPorts {
  readonly datapath: Pick<DatapathFace, 'apply'>;
  readonly render: (instructions: Instructions, locals: readonly LocalWorkload[]) => DesiredState;
  /** After each state that took force. */
  readonly onApplied: (desired: DesiredState, changed: { readonly policy: boolean }) => void;
}

/** The outcome of one try. */
export type Applied = { readonly kind: 'ok' } | Refused;
export type Refused = Extract<ApplyResult, { kind: 'refused' }>;

export class Enforcement {
  readonly #ports: EnforcementPorts;
  #instructions: Instructions = emptyInstructions();
  #locals: readonly LocalWorkload[] = [];
  #problem: Refused | undefined;
  #held = false;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(ports: EnforcementPorts) {
    this.#ports = ports;
  }

  /** What is in force. */
  get instructions(): Instructions {
    return this.#instructions;
  }

  /** Why the present workloads are not fully in force; undefined when they are. */
  get problem(): Refused | undefined {
    return this.#problem;
  }

  /** What the last run left in force; not applied by this. Before anything else. */
  restore(instructions: Instructions): void {
    this.#instructions = instructions;
  }

  /**
   * The kernel holds a policy that nobody here knows: nothing is applied, so that nothing is taken off it, until instructions come.
   */
  hold(): void {
    this.#held = true;
  }

  get held(): boolean {
    return this.#held;
  }

  /** Tries instructions in the kernel. Refused: those before stay in force. */
  tryInstructions(next: Instructions): Promise<Applied> {
    return this.#serial(async () => {
      const result = await this.#apply(next, this.#locals, true);
      if (result.kind === 'ok') {
        this.#instructions = next;
        this.#problem = undefined;
        this.#held = false;
        return result;
      }
      // The renderer built upon what was refused: bring it, and whatever could not be undone, back to what is in force.
      if (this.#held) {
        this.#ports.render(this.#instructions, this.#locals);
        return result;
      }
      const back = await this.#apply(this.#instructions, this.#locals, true);
      this.#problem = back.kind === 'ok' ? undefined : back;
      return result;
    });
  }

  /**
   * The workloads to begin with; not applied by this. Before anything else: an apply without them would take every pinned
   * endpoint out of force.
   */
  expect(locals: readonly LocalWorkload[]): void {
    this.#locals = locals;
  }

  /** These are the workloads now. A problem stays visible, and retry tries again. */
  setLocals(locals: readonly LocalWorkload[]): Promise<Applied> {
    return this.#serial(async () => {
      this.#locals = locals;
      return this.#again(false);
    });
  }

  /** Applies what should be in force once more, when something of it is not. */
  retry(): Promise<Applied> {
    return this.#serial(async () => (this.#problem === undefined ? { kind: 'ok' as const } : this.#again(false)));
  }

  /** Applies all of it again: after someone else touched the kernel's state. */
  reapply(): Promise<Applied> {
    return this.#serial(() => this.#again(true));
  }

  async #again(policy: boolean): Promise<Applied> {
    if (this.#held) return { kind: 'ok' };
    const result = await this.#apply(this.#instructions, this.#locals, policy);
    this.#problem = result.kind === 'ok' ? undefined : result;
    return result;
  }

  async #apply(instructions: Instructions, locals: readonly LocalWorkload[], policy: boolean): Promise<Applied> {
    try {
      const desired = this.#ports.render(instructions, locals);
      const result = await this.#ports.datapath.apply(desired);
      if (result.kind !== 'ok') return result;
      this.#ports.onApplied(desired, { policy });
      return { kind: 'ok' };
    } catch (error) {
      const message = `Cannot apply revision ${instructions.revision}: ${messageOf(error)} (${codeOf(error, 'no code')})`;
      return { kind: 'refused', code: 'RF_APPLY', table: '', message, restored: false };
    }
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}
