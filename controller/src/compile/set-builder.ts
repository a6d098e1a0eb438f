// Subjects to nodes: finds the rules of an identity in each direction, and the node that carries exactly these.
import type { Selector } from '../policy/model.js';
import type { Identity } from './identity-table.js';
import { PortTables } from './port-tables.js';
import type { ActiveRule, RuleIndex } from './rule-index.js';
import { type Entry, entryFor, SetNode } from './set-node.js';

export class SetBuilder {
  readonly #nodes = new Map<string, SetNode>();
  readonly #tables = new PortTables();
  readonly #rules: RuleIndex;
  readonly #peersOf: (selector: Selector) => readonly Identity[];
  /** Nodes that were touched since the last sweep: new content, new peers, subjects gone. */
  readonly #touched = new Set<SetNode>();

  constructor(rules: RuleIndex, peersOf: (selector: Selector) => readonly Identity[]) {
    this.#rules = rules;
    this.#peersOf = peersOf;
  }

  /** The node of a subject in one direction; undefined when no rule is about it. `previous`: the one it had. */
  nodeFor(subject: Identity, inbound: boolean, previous: SetNode | undefined): SetNode | undefined {
    const side = inbound ? 'provider' : 'consumer';
    const rules = new Set([...this.#rules.anyone(side), ...this.#rules.matching(subject)[side]]);
    const entries: Entry[] = [];
    for (const active of rules) {
      if (!(inbound ? active.rule.inbound : active.rule.outbound)) continue;
      const entry = entryFor(active, inbound, subject);
      if (entry !== undefined) entries.push(entry);
    }
    if (entries.length === 0) return undefined;
    entries.sort((a, b) => a.active.rule.number - b.active.rule.number);
    const key = `${inbound ? 'in' : 'out'}\n${entries.map((entry) => entry.key).join('\n')}`;
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const node = new SetNode(key, inbound, entries, this.#tables);
    if (previous === undefined || !node.fillFrom(previous, this.#peersOf)) node.fill(this.#peersOf);
    for (const { active } of entries) nodesOf(active, inbound).add(node);
    this.#nodes.set(key, node);
    this.#touched.add(node);
    return node;
  }

  /** An identity appeared: every node with a rule that names it takes it in. */
  addPeer(identity: Identity): void {
    const matching = this.#rules.matching(identity);
    for (const [matched, inbound] of [
      [matching.consumer, true],
      [matching.provider, false],
    ] as const) {
      for (const node of nodesWith(matched, inbound)) {
        node.addPeer(identity, matched);
        this.#touched.add(node);
      }
    }
  }

  /** An identity went. */
  removePeer(identity: Identity): void {
    for (const node of this.naming(identity)) {
      node.removePeer(identity.number);
      this.#touched.add(node);
    }
  }

  /** Nodes with a rule that may name this identity: ask node.names or node.named of each. */
  naming(identity: Identity): Set<SetNode> {
    const matching = this.#rules.matching(identity);
    return new Set([...nodesWith(matching.consumer, true), ...nodesWith(matching.provider, false)]);
  }

  touch(node: SetNode): void {
    this.#touched.add(node);
  }

  get touched(): ReadonlySet<SetNode> {
    return this.#touched;
  }

  nodes(): IterableIterator<SetNode> {
    return this.#nodes.values();
  }

  /** End of a flush: what was touched is the past from now on, and nodes without a subject go. */
  sweep(): void {
    for (const node of this.#touched) {
      node.added.clear();
      node.removed.clear();
      node.origin = undefined;
      if (node.subjects.size > 0) continue;
      this.#nodes.delete(node.key);
      for (const { active } of node.entries) nodesOf(active, node.inbound).delete(node);
    }
    this.#touched.clear();
  }
}

function nodesOf(active: ActiveRule, inbound: boolean): Set<SetNode> {
  return inbound ? active.inboundNodes : active.outboundNodes;
}

function nodesWith(rules: ReadonlySet<ActiveRule>, inbound: boolean): Set<SetNode> {
  const nodes = new Set<SetNode>();
  for (const active of rules) for (const node of nodesOf(active, inbound)) nodes.add(node);
  return nodes;
}
