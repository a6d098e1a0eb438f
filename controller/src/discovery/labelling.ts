// What gives workloads their labels by itself: the keys that they present, and who is logged in. Wires both to the store and the policy.
import { FailureLimit } from '../ca/rate-limit.js';
import type { PairingDesk } from '../keys/pairing-desk.js';
import type { PairingDenial } from '../pairing/decide.js';
import { RETRY, RetrySchedule } from '../pairing/retry.js';
import type { WorkloadRecord } from '../store/records.js';
import type { StateStore, StateTransaction } from '../store/state-store.js';
import type { PairStep } from './inventory.js';
import { type RulesFor, relabel, withLogins } from './logins.js';
import { type PairingContext, pairStep, reconsider } from './pair-workload.js';

export interface LabellingOptions extends Pick<PairingContext, 'fromPrefix' | 'addressOf' | 'now'> {
  readonly store: StateStore;
  readonly desk: PairingDesk;
  /** The rules for logins of the policy that decides for a workload. */
  readonly userGroupsFor: RulesFor;
  readonly random: () => number;
  /** Labels could not follow a policy; the next change tries again. */
  readonly onError: (error: unknown) => void;
}

/** Pairing decisions of one host that are kept in the audit log: so many at once, and one more each so many milliseconds. */
const DECISIONS = { burst: 8192, refillMs: 2000 };

export class Labelling {
  readonly pairing: PairingContext;
  /** For each workload that an agent reports. */
  readonly step: PairStep;
  readonly #options: LabellingOptions;

  constructor(options: LabellingOptions) {
    const { store, desk, fromPrefix, addressOf, now, random, userGroupsFor } = options;
    this.#options = options;
    const retries = new RetrySchedule({ ...RETRY, random });
    const pace = new FailureLimit(DECISIONS.burst, DECISIONS.refillMs);
    this.pairing = { desk, fromPrefix, addressOf, retries, pace, now };
    const decide = pairStep(this.pairing);
    this.step = (tx, record, key) => withLogins(tx, decide(tx, record, key), userGroupsFor, now());
    const note = (id: string, record: WorkloadRecord | undefined) => retries.set(id, denialOf(record), now());
    for (const [id, record] of store.table('workload')) note(id, record);
    store.onCommit((changes) => {
      for (const change of changes) if (change.kind === 'workload') note(change.key, change.after);
    });
  }

  get retries(): RetrySchedule {
    return this.pairing.retries;
  }

  /** Brings labels that follow logins up to date. */
  readonly relabel = (tx: StateTransaction, records: Iterable<WorkloadRecord>): void =>
    relabel(tx, records, this.#options.userGroupsFor, this.#options.now());

  /** Another policy may permit other values, and have other rules for logins. */
  onPolicy(): void {
    const { store, onError } = this.#options;
    store
      .update((tx) => {
        if (this.retries.size > 0) reconsider(this.pairing, tx, ({ denial }) => denial === 'value-not-permitted');
        this.relabel(tx, [...store.table('workload').values()]);
      })
      .catch(onError);
  }
}

function denialOf(record: WorkloadRecord | undefined): PairingDenial | undefined {
  if (record?.present !== true || record.pairing?.state !== 'denied') return undefined;
  return record.pairing.denial as PairingDenial;
}
