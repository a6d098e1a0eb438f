// A policy tried on everything that is known, to see what each host would need. In turns: a large fleet takes seconds, and streams
// must go on meanwhile.
import { countCapacity } from '../compile/capacity.js';
import type { CapacityNeed, Compiler } from '../compile/types.js';
import type { WorkloadRecord } from '../store/records.js';
import { Turns } from '../turns.js';
import { setBytes } from './wire.js';

/** What a policy would bring about. */
export interface Trial {
  readonly needs: readonly CapacityNeed[];
  /** Bytes of the largest policy set of each host, by host. */
  readonly largestSets: ReadonlyMap<string, number>;
}

export interface TrialInput {
  /** Hosts whose need is asked for. */
  readonly hostIds: readonly string[];
  readonly records: readonly WorkloadRecord[];
  /** Tells the compiler of a record. */
  readonly tell: (record: WorkloadRecord) => void;
  /** Tells it all else: spaces, time, the policy. */
  readonly tellRest: () => void;
  readonly stopped: () => boolean;
}

/**
 * Lets a fresh compiler, which is of no use afterwards, work everything out; each host's state is counted and dropped when it is made.
 * Rejects when it is stopped.
 */
export async function runTrial(compiler: Compiler, input: TrialInput): Promise<Trial> {
  const needs: CapacityNeed[] = [];
  const largestSets = new Map<string, number>();
  if (input.hostIds.length === 0) return { needs, largestSets };
  const turns = new Turns();
  for (const record of input.records) {
    input.tell(record);
    if (turns.over) await turns.rest();
  }
  input.tellRest();
  for (const hostId of input.hostIds) compiler.setHost(hostId);
  for (const state of compiler.flushInTurns()) {
    if (state !== undefined) {
      needs.push(countCapacity(state));
      largestSets.set(state.hostId, Math.max(0, ...state.sets.map(setBytes)));
    }
    if (input.stopped()) throw new Error('Cannot try a policy: the controller is stopping');
    if (turns.over) await turns.rest();
  }
  return { needs, largestSets };
}
