// What every hop lost, per host. Agents count cumulatively per run; a run that ends leaves its last numbers behind.
import type { LossCounters } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { WHOLE_MAX } from './decode.js';
import { SequenceWindow } from './sequence-window.js';

/** Counters of one host; all ascend while the controller runs. */
export interface HostLosses {
  eventsProduced: bigint;
  ringDropped: bigint;
  deniesProduced: bigint;
  deniesRingDropped: bigint;
  agentDropped: bigint;
  spoolDropped: bigint;
  recordsSent: bigint;
  recordsReceived: bigint;
  recordsDuplicate: bigint;
  recordsRefused: bigint;
}

const AGENT_COUNTERS = [
  'eventsProduced',
  'ringDropped',
  'deniesProduced',
  'deniesRingDropped',
  'agentDropped',
  'spoolDropped',
  'recordsSent',
] as const satisfies readonly (keyof LossCounters & keyof HostLosses)[];

/** Counters that mean a loss, and the hop's name in a gap. */
const HOPS = [
  ['ringDropped', 'ring'],
  ['deniesRingDropped', 'ring'],
  ['agentDropped', 'agent'],
  ['spoolDropped', 'spool'],
] as const;

interface Run {
  readonly window: SequenceWindow;
  loss: LossCounters | undefined;
}

const RUNS_MAX = 16;
/** Of a counter: it travels as 64 bits, however many runs it adds up. */
const COUNTER_MAX = 2n ** 64n - 1n;

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

/** One host's runs and counters. */
export class HostFlowLedger {
  readonly losses: HostLosses = {
    eventsProduced: 0n,
    ringDropped: 0n,
    deniesProduced: 0n,
    deniesRingDropped: 0n,
    agentDropped: 0n,
    spoolDropped: 0n,
    recordsSent: 0n,
    recordsReceived: 0n,
    recordsDuplicate: 0n,
    recordsRefused: 0n,
  };
  /** Newest last. */
  readonly #runs = new Map<string, Run>();

  /** The window of a run. The oldest run is forgotten beyond a bound. */
  window(run: string): SequenceWindow {
    return this.#run(run).window;
  }

  /** Takes a run's cumulative counters; returns what was newly lost, by hop. A counter that went back counts as unchanged. */
  onCounters(run: string, loss: LossCounters): Map<string, number> {
    const entry = this.#run(run);
    for (const name of AGENT_COUNTERS) {
      const grown = loss[name] - (entry.loss?.[name] ?? 0n);
      if (grown > 0n) this.losses[name] = smaller(this.losses[name] + grown, COUNTER_MAX);
    }
    const lost = new Map<string, number>();
    for (const [name, hop] of HOPS) {
      const grown = loss[name] - (entry.loss?.[name] ?? 0n);
      if (grown > 0n) lost.set(hop, Math.min(WHOLE_MAX, (lost.get(hop) ?? 0) + Number(grown)));
    }
    entry.loss = loss;
    return lost;
  }

  /** Takes up a run where an earlier process of the controller left it: what it counted then is not counted as new. */
  resume(run: string, sequence: bigint, loss: LossCounters | undefined): void {
    const entry = this.#run(run);
    entry.window.startAfter(sequence);
    entry.loss = loss;
  }

  #run(run: string): Run {
    let entry = this.#runs.get(run);
    if (entry === undefined) {
      entry = { window: new SequenceWindow(), loss: undefined };
      this.#runs.set(run, entry);
      const oldest = this.#runs.keys().next();
      if (this.#runs.size > RUNS_MAX && !oldest.done) this.#runs.delete(oldest.value);
    }
    return entry;
  }
}
