// Workloads to identities: equal policy-relevant labels share one. Only dimensions that some rule or mode mentions take part,
// and a workload that a rule names by id has an identity of its own. Numbers of identities that die rest for a quarantine.

import type { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Labels, PolicyWorkload } from '../policy/model.js';
import type { HostState } from './host-state.js';
import type { SetNode } from './set-node.js';
import type { IdentityNumbers } from './types.js';

/** One distinct set of policy-relevant labels with at least one workload. */
export interface Identity extends PolicyWorkload {
  readonly number: number;
  readonly key: string;
  /** Ids of its workloads. */
  readonly members: Set<string>;
  /** It stands in the label index, and in the sets of those that name it. */
  indexed: boolean;
  /** Members whose host keeps state: above 0 the identity needs policy sets. */
  wanted: number;
  /** Those hosts, with the number of members on each. */
  readonly hosts: Map<HostState, number>;
  inbound: SubjectState | undefined;
  outbound: SubjectState | undefined;
}

/** What a wanted identity must do in one direction. */
export interface SubjectState {
  readonly node: SetNode | undefined;
  readonly mode: Mode;
  /** A mode of the policy names it: starting modes do not count. */
  readonly named: boolean;
}

/** What decides identities: the dimensions and workload ids that policy mentions. */
export interface Relevance {
  readonly dimensions: readonly string[];
  readonly workloads: ReadonlySet<string>;
}

export class IdentityTable {
  readonly #byKey = new Map<string, Identity>();
  readonly #byNumber = new Map<number, Identity>();
  readonly #resting = new Map<string, number>();
  readonly #numbers: IdentityNumbers;
  readonly #quarantineMs: number;

  constructor(numbers: IdentityNumbers, quarantineMs: number) {
    this.#numbers = numbers;
    this.#quarantineMs = quarantineMs;
  }

  /** The identity of these labels, made when there is none. */
  identityOf(workloadId: string, labels: Labels, relevance: Relevance): Identity {
    const named = relevance.workloads.has(workloadId);
    let key = named ? `@${workloadId}\n` : '';
    const relevant: Record<string, string> = {};
    for (const dimension of relevance.dimensions) {
      const value = Object.hasOwn(labels, dimension) ? labels[dimension] : undefined;
      if (value === undefined) continue;
      key += `${dimension}=${value}\n`;
      relevant[dimension] = value;
    }
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const identity: Identity = {
      id: named ? workloadId : '',
      labels: relevant,
      number: this.#numbers.numberOf(key),
      key,
      members: new Set(),
      indexed: false,
      wanted: 0,
      hosts: new Map(),
      inbound: undefined,
      outbound: undefined,
    };
    this.#resting.delete(key);
    this.#byKey.set(key, identity);
    this.#byNumber.set(identity.number, identity);
    return identity;
  }

  get(number: number): Identity | undefined {
    return this.#byNumber.get(number);
  }

  values(): IterableIterator<Identity> {
    return this.#byKey.values();
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** The identity has no members: its number rests from now on. */
  bury(identity: Identity, nowMs: number): void {
    this.#byKey.delete(identity.key);
    this.#byNumber.delete(identity.number);
    this.#resting.set(identity.key, nowMs + this.#quarantineMs);
  }

  /** Releases numbers whose quarantine is over. */
  tick(nowMs: number): void {
    for (const [key, untilMs] of this.#resting) {
      if (untilMs > nowMs) return; // insertion order is time order
      this.#resting.delete(key);
      this.#numbers.release(key);
    }
  }

  /** When tick next has something to release. */
  nextDeadlineMs(): number | undefined {
    return this.#resting.values().next().value;
  }
}
