// One host: which nodes its workloads use, what it was last told, and what of that is out of date. What it must hold follows from
// its nodes: the sets, the identities that they name, the bindings of these, the prefixes of their IP lists.
import type { AssignmentState, CidrState } from '@ringfence/proto/instructions.js';
import type { PolicySet } from '@ringfence/proto/policy-set.js';
import { adjust } from './counts.js';
import type { SetNode } from './set-node.js';

/** A set that the host must hold, with the number of its nodes that publish it. */
interface Held {
  readonly set: PolicySet;
  uses: number;
}

export class HostState {
  readonly id: string;
  /** Ids of the workloads that its agent enforces. */
  readonly workloads: Set<string>;
  /** Nodes in use, with the number of local workloads that use each. */
  readonly nodes = new Map<SetNode, number>();
  /** Nodes that came into use and went out of it since the last flush. */
  readonly #come = new Set<SetNode>();
  readonly #gone = new Set<SetNode>();
  readonly #sets = new Map<string, Held>();
  /** Sets of which more or fewer nodes were counted since the last flush, as the host was told them then. */
  readonly #setsBefore = new Map<string, PolicySet | undefined>();
  /** Assignments as of the last flush, by workload. */
  readonly assignments = new Map<string, AssignmentState>();
  /** Workloads whose assignment may no longer be what was told. */
  readonly stale = new Set<string>();
  cidrs: readonly CidrState[] = [];
  /** Other IP lists may take part than at the last flush. */
  listsMoved = false;
  /** No flush has told it anything yet: the next one gives its full state, and nothing is remembered of what changes until then. */
  fresh = true;

  constructor(id: string, workloads: Set<string>) {
    this.id = id;
    this.workloads = workloads;
  }

  /** `count` more of its workloads (fewer when negative) use the node. */
  use(node: SetNode, count: number): void {
    const before = this.nodes.has(node);
    adjust(this.nodes, node, count);
    adjust(node.hosts, this, count);
    const now = this.nodes.has(node);
    if (before === now) return;
    this.#count(node.published, now ? 1 : -1);
    if (this.fresh) return;
    if (now && !this.#gone.delete(node)) this.#come.add(node);
    if (!now && !this.#come.delete(node)) this.#gone.add(node);
    if (node.listed) this.listsMoved = true;
  }

  /** A node in use publishes another set from now on. */
  republish(before: PolicySet | undefined, now: PolicySet | undefined): void {
    this.#count(before, -1);
    this.#count(now, 1);
  }

  /** The sets that it must hold. */
  sets(): PolicySet[] {
    return [...this.#sets.values()].map(({ set }) => set);
  }

  /** What a workload of it is told may be otherwise from now on. */
  restate(workloadId: string): void {
    if (!this.fresh) this.stale.add(workloadId);
  }

  /** Sets to send and to remove since the last flush. */
  setChanges(): { readonly set: PolicySet[]; readonly removed: string[] } {
    const set: PolicySet[] = [];
    const removed: string[] = [];
    for (const [hash, before] of this.#setsBefore) {
      const now = this.#sets.get(hash)?.set;
      if (before === undefined && now !== undefined) set.push(now);
      if (before !== undefined && now === undefined) removed.push(hash);
    }
    return { set, removed };
  }

  /** Its nodes are not those of the last flush. */
  get moved(): boolean {
    return this.#come.size > 0 || this.#gone.size > 0;
  }

  /** True when one of its sets names the identity now. */
  names(identity: number): boolean {
    for (const node of this.nodes.keys()) if (node.names(identity)) return true;
    return false;
  }

  /** True when one of its sets named the identity at the last flush. */
  named(identity: number): boolean {
    for (const node of this.nodes.keys()) if (node.named(identity) && !this.#come.has(node)) return true;
    for (const node of this.#gone) if (node.named(identity)) return true;
    return false;
  }

  /** Identities that came into or went out of its sets since the last flush: a superset. */
  renamed(touched: ReadonlySet<SetNode>): Set<number> {
    const found = new Set<number>();
    const take = (numbers: Iterable<number>) => {
      for (const number of numbers) found.add(number);
    };
    const paired = new Set<SetNode>();
    for (const node of this.#come) {
      if (node.origin === undefined || !this.#gone.has(node.origin.node)) take(node.peers());
      else {
        // One took the place of the other: what both name did not move.
        take(node.origin.differing);
        paired.add(node.origin.node);
      }
    }
    for (const node of this.#gone) if (!paired.has(node)) take(node.oldPeers());
    const [few, many] = touched.size < this.nodes.size ? [touched, this.nodes] : [this.nodes.keys(), touched];
    for (const node of few) {
      if (!many.has(node) || this.#come.has(node)) continue;
      take(node.added);
      take(node.removed);
    }
    return found;
  }

  /** Names of the IP lists that its sets are about. */
  ipLists(): Set<string> {
    const lists = new Set<string>();
    for (const node of this.nodes.keys()) if (node.listed) for (const name of node.ipLists()) lists.add(name);
    return lists;
  }

  /** It was told everything. */
  settled(): void {
    this.#come.clear();
    this.#gone.clear();
    this.#setsBefore.clear();
    this.stale.clear();
    this.listsMoved = false;
    this.fresh = false;
  }

  #count(set: PolicySet | undefined, by: 1 | -1): void {
    if (set === undefined) return;
    const held = this.#sets.get(set.hash);
    if (!this.fresh && !this.#setsBefore.has(set.hash)) this.#setsBefore.set(set.hash, held?.set);
    if (held === undefined) this.#sets.set(set.hash, { set, uses: by });
    else {
      held.uses += by;
      if (held.uses === 0) this.#sets.delete(set.hash);
    }
  }
}
