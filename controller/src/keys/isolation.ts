// Which workloads are cut off but for the failsafes, and why: a denied pairing, no pairing on a host that demands one, or a quarantine.
// Never written into workloads: it is read off what is stored, so a quarantine that ends leaves no trace.
import type { LabelSelector } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import { type LabelPredicate, labelPredicate } from '../api/selector.js';
import type { QuarantineRecord, WorkloadRecord } from '../store/records.js';
import type { StateChange, StateStore } from '../store/state-store.js';
import { unpairedOf } from './unpaired.js';

export type IsolationReason = 'quarantined' | 'denied' | 'unpaired';

export interface IsolationCause {
  readonly reason: IsolationReason;
  /** One line for people. */
  readonly text: string;
}

type Reads = Pick<StateStore, 'get' | 'table'>;

export class Isolation {
  readonly #store: Reads;
  readonly #predicates = new WeakMap<QuarantineRecord, LabelPredicate>();

  constructor(store: Reads) {
    this.#store = store;
  }

  /** Why a workload is cut off; undefined when it is not. One without an agent cannot be cut off at its own end. */
  of(record: WorkloadRecord): IsolationCause | undefined {
    if (record.hostId === '') return undefined;
    const held = [...this.#store.table('quarantine').values()].find((quarantine) => this.holds(quarantine, record));
    if (held !== undefined) {
      const why = held.reason === '' ? '' : `: ${held.reason}`;
      return { reason: 'quarantined', text: `quarantine ${held.id} by ${held.author}${why}` };
    }
    if (record.pairing?.state === 'denied')
      return { reason: 'denied', text: `pairing denied (${record.pairing.denial}): ${record.pairing.detail}` };
    const host = isContainer(record) ? this.#store.get('host', record.hostId) : undefined;
    if (host === undefined || unpairedOf(host).treatment !== 'isolate') return undefined;
    if (record.pairing?.state === 'paired' || Object.keys(record.labels).length > 0) return undefined;
    return {
      reason: 'unpaired',
      text: 'its host cuts off containers that are not paired; give it a pairing key, or labels',
    };
  }

  /** Whether a quarantine holds a workload. */
  holds(quarantine: QuarantineRecord, record: WorkloadRecord): boolean {
    if (quarantine.keyId !== undefined)
      return record.pairing?.state === 'paired' && record.pairing.keyId === quarantine.keyId;
    if (quarantine.workloads !== undefined) return quarantine.workloads.includes(record.id);
    let matches = this.#predicates.get(quarantine);
    if (matches === undefined) {
      matches = labelPredicate(selectorOf(quarantine));
      this.#predicates.set(quarantine, matches);
    }
    return matches(record.labels);
  }
}

/** Hosts whose workloads' isolation may change with a commit beyond the workloads that it changed; "all" for every host. */
export function isolationTouched(changes: readonly StateChange[]): ReadonlySet<string> | 'all' {
  const hosts = new Set<string>();
  for (const change of changes) {
    if (change.kind === 'quarantine') return 'all';
    if (change.kind !== 'host') continue;
    const [before, after] = [change.before, change.after].map((host) => host && unpairedOf(host).treatment);
    if (before !== after) hosts.add(change.key);
  }
  return hosts;
}

export function selectorOf({ selector }: Pick<QuarantineRecord, 'selector'>): LabelSelector {
  return { requirements: (selector ?? []).map((part) => ({ ...part, values: [...part.values] })) };
}

function isContainer({ localId }: WorkloadRecord): boolean {
  return localId.startsWith('container:');
}
