// One agent's stream as a state machine: no I/O, no clock. The driver feeds messages in and pulls at most one update at a time.
//
//   waiting  before Hello; nothing may be sent
//   current  the agent holds everything that is known to be sent and acknowledged; dirty is empty
//   dirty    keys have changed since; the next pull sends their newest values as one revision
//   flying   a revision is on its way; changes gather in dirty (newest value per key, never a queue)
//   refused  the agent said no; it keeps its last good state. Only a changed state is sent, as a full one, and not before retryAt
//   held     the state would not fit the agent's tables: nothing is sent until it does
//
// At most one revision is in flight. A slow agent therefore gets fewer, larger steps, and a refusal always speaks of the newest
// thing sent: nothing built upon a refused revision is ever on its way.
import type { UnpairedTreatment } from '../pairing/profile.js';
import type { Cell, CellKey, HostState } from './host-state.js';

/** One revision to send. */
export interface Outgoing {
  readonly revision: number;
  /** What is not in cells is gone. */
  readonly full: boolean;
  readonly policyVersion: number;
  /** What is left of the version's confirm window; 0: it is confirmed. */
  readonly confirmWithinMs: number;
  /** What the host does to containers that are not paired; undefined: as its agent is configured. */
  readonly unpaired: UnpairedTreatment | undefined;
  readonly cells: readonly Cell[];
}

/** A refusal as the agent worded it. */
export interface Refusal {
  readonly revision: number;
  readonly code: string;
  readonly message: string;
  readonly table: string;
}

/** The peer broke the protocol: the stream must end. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code = 'RF_STREAM_PROTOCOL';
}

const PROTOCOL_VERSION = 1;
const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 60_000;

export class AgentSession {
  readonly #epoch: string;
  readonly #newRevision: () => number;
  #state: HostState | undefined;
  #dirty: Set<CellKey> | 'full' = new Set();
  #flying: number | undefined;
  #acked = 0;
  #lastSent = 0;
  #flyingPolicyVersion = 0;
  #policyVersion = 0;
  #refusal: Refusal | undefined;
  #retryAtMs = 0;
  #refusals = 0;
  #changedSinceRefusal = false;
  #held: string | undefined;

  /** `newRevision` hands out revisions that grow over all sessions. */
  constructor(epoch: string, newRevision: () => number) {
    this.#epoch = epoch;
    this.#newRevision = newRevision;
  }

  /** First message. Returns whether deltas continue from the agent's revision. */
  onHello(
    hello: { protocol: number; epoch: string; revision: number },
    state: HostState,
  ): { readonly resumed: boolean } {
    if (this.#state !== undefined)
      throw new ProtocolError('Cannot take Hello: found a second one, wanted one per stream');
    if (hello.protocol !== PROTOCOL_VERSION) {
      throw new ProtocolError(`Cannot take Hello: found protocol ${hello.protocol}, wanted ${PROTOCOL_VERSION}`);
    }
    this.#state = state;
    const known = hello.epoch === this.#epoch && hello.revision > 0 ? state.changedSince(hello.revision) : undefined;
    // An agent ahead of us holds a state from before this store was restored: ours must become the newer one.
    if (hello.epoch === this.#epoch && hello.revision > state.revision) state.touch(this.#newRevision());
    this.#dirty = known === undefined ? 'full' : new Set(known);
    this.#acked = known === undefined ? 0 : hello.revision;
    this.#lastSent = this.#acked;
    if (known?.length === 0) this.#policyVersion = state.policyVersion;
    return { resumed: known !== undefined };
  }

  /** The host's state has changed. */
  onChange(keys: Iterable<CellKey>): void {
    if (this.#state === undefined) return;
    this.#changedSinceRefusal = true;
    if (this.#dirty !== 'full') for (const key of keys) this.#dirty.add(key);
  }

  onAck(revision: number): void {
    this.#demandOpen('Ack');
    if (revision > this.#lastSent) {
      throw new ProtocolError(
        `Cannot take Ack: found revision ${revision}, wanted at most ${this.#lastSent}, the newest sent`,
      );
    }
    // Repeated or late: what it speaks of was settled before.
    if (revision !== this.#flying) return;
    this.#flying = undefined;
    this.#acked = revision;
    this.#policyVersion = this.#flyingPolicyVersion;
    this.#refusal = undefined;
    this.#refusals = 0;
  }

  onNack(refusal: Refusal, nowMs: number): void {
    this.#demandOpen('Nack');
    if (refusal.revision > this.#lastSent) {
      throw new ProtocolError(
        `Cannot take Nack: found revision ${refusal.revision}, wanted at most ${this.#lastSent}, the newest sent`,
      );
    }
    if (refusal.revision !== this.#flying) return;
    this.#flying = undefined;
    this.#refusal = refusal;
    this.#refusals += 1;
    // What changed while the refused revision flew counts as a change: it may be the correction.
    this.#changedSinceRefusal = this.#dirty === 'full' || this.#dirty.size > 0;
    this.#dirty = 'full';
    this.#retryAtMs = nowMs + Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (this.#refusals - 1));
  }

  onResync(): void {
    this.#demandOpen('ResyncRequest');
    this.#flying = undefined;
    this.#dirty = 'full';
    this.#changedSinceRefusal = true;
  }

  /** Sends nothing until released with undefined. `reason` is for people. */
  hold(reason: string | undefined): void {
    this.#held = reason;
  }

  /** What to send now; undefined when there is nothing or it must wait. The driver must send it whole. */
  next(nowMs: number): Outgoing | undefined {
    const state = this.#state;
    if (state === undefined || this.#flying !== undefined || this.#held !== undefined) return undefined;
    if (this.#dirty !== 'full' && this.#dirty.size === 0) return undefined;
    if (this.#refusal !== undefined && (!this.#changedSinceRefusal || nowMs < this.#retryAtMs)) return undefined;
    // A second full state of one revision would look like a repetition to the agent.
    if (state.revision <= this.#lastSent) state.touch(this.#newRevision());
    const full = this.#dirty === 'full';
    const cells = this.#dirty === 'full' ? [...state.cells()] : cellsOf(state, this.#dirty);
    this.#dirty = new Set();
    this.#changedSinceRefusal = false;
    this.#flying = state.revision;
    this.#lastSent = state.revision;
    this.#flyingPolicyVersion = state.policyVersion;
    const { revision, policyVersion, confirmByMs, unpaired } = state;
    // A window that has just ended is no confirmation.
    const confirmWithinMs = confirmByMs === 0 ? 0 : Math.max(1, confirmByMs - nowMs);
    return { revision, full, policyVersion, confirmWithinMs, unpaired, cells };
  }

  /** When `next` may give something that it does not give now, Unix milliseconds; undefined: only after an event. */
  retryAtMs(): number | undefined {
    const waits = this.#refusal !== undefined && this.#changedSinceRefusal && this.#flying === undefined;
    return waits ? this.#retryAtMs : undefined;
  }

  /** True when the agent holds all that is wanted of it. */
  isCurrent(): boolean {
    const clean = this.#dirty !== 'full' && this.#dirty.size === 0;
    return this.#state !== undefined && clean && this.#flying === undefined && this.#held === undefined;
  }

  /** Newest revision that the agent acknowledged or resumed from. */
  get acked(): number {
    return this.#acked;
  }

  /** Policy version of that revision; 0 while it is not known. */
  get ackedPolicyVersion(): number {
    return this.#policyVersion;
  }

  /** The refusal that stands. */
  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  /** Why nothing is sent, when held. */
  get held(): string | undefined {
    return this.#held;
  }

  #demandOpen(message: string): void {
    if (this.#state === undefined) throw new ProtocolError(`Cannot take ${message}: found it before Hello`);
  }
}

function cellsOf(state: HostState, keys: Iterable<CellKey>): Cell[] {
  const cells: Cell[] = [];
  for (const key of keys) {
    const cell = state.cell(key);
    // The policy version has no cell; a forgotten tombstone neither, and an agent that far behind was given a full state.
    if (cell !== undefined) cells.push(cell);
  }
  return cells;
}
