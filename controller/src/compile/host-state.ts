// One host: which nodes its workloads use, what it was last told. What it must hold follows from its nodes: the sets, the
// identities that they name, the bindings of these, the prefixes of their IP lists.
import type { AssignmentState, CidrState } from '@ringfence/proto/instructions.js';
import type { PolicySet } from '@ringfence/proto/policy-set.js';
import { adjust } from './counts.js';
import type { SetNode } from './set-node.js';

export class HostState {
  readonly id: string;
  /** Ids of the workloads that its agent enforces. */
  readonly workloads: Set<string>;
  /** Nodes in use, with the number of local workloads that use each. */
  readonly nodes = new Map<SetNode, number>();
  /** As of the last flush. */
  oldNodes: readonly SetNode[] = [];
  sets: ReadonlyMap<string, PolicySet> = new Map();
  assignments: ReadonlyMap<string, AssignmentState> = new Map();
  cidrs: readonly CidrState[] = [];
  /** No flush has told it anything yet: the next one gives its full state. */
  fresh = true;

  constructor(id: string, workloads: Set<string>) {
    this.id = id;
    this.workloads = workloads;
  }

  /** `count` more of its workloads (fewer when negative) use the node. */
  use(node: SetNode, count: number): void {
    adjust(this.nodes, node, count);
    adjust(node.hosts, this, count);
  }

  /** True when one of its sets names the identity now. */
  names(identity: number): boolean {
    for (const node of this.nodes.keys()) if (node.names(identity)) return true;
    return false;
  }

  /** True when one of its sets named the identity at the last flush. */
  named(identity: number): boolean {
    return this.oldNodes.some((node) => node.named(identity));
  }

  /** Identities that came into or went out of its sets since the last flush: a superset. */
  renamed(): Set<number> {
    const found = new Set<number>();
    const old = new Set(this.oldNodes);
    for (const node of this.nodes.keys()) {
      if (!old.has(node)) for (const number of node.peers()) found.add(number);
      else for (const number of [...node.added, ...node.removed]) found.add(number);
    }
    for (const node of old) if (!this.nodes.has(node)) for (const number of node.oldPeers()) found.add(number);
    return found;
  }

  /** Names of the IP lists that its sets are about. */
  ipLists(): Set<string> {
    const lists = new Set<string>();
    for (const node of this.nodes.keys()) if (node.listed) for (const name of node.ipLists()) lists.add(name);
    return lists;
  }
}
