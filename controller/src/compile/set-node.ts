// One policy set in the making: the rules of a subject in one direction, and the peers for which they hold. Subjects with the
// same rules (and, for relational rules, the same values) share a node. Its rules never change, a subject with other rules has
// another node; peers come and go one by one, and the node remembers what they were at the last flush.
import { type PeerGroup, type PolicySet, policySet } from '@ringfence/proto/policy-set.js';
import type { Rule, Selector } from '../policy/model.js';
import { labelOf, selectorMatches } from '../policy/selector.js';
import type { HostState } from './host-state.js';
import type { Identity } from './identity-table.js';
import { firstOf, type Peers, peersOf, withoutPeer, withPeer } from './peer-list.js';
import type { PortTables } from './port-tables.js';
import type { ActiveRule } from './rule-index.js';

/** A rule as it holds for the node's subjects. */
export interface Entry {
  readonly active: ActiveRule;
  /** The selector that peers must match, relation included; undefined: no peer is selected by labels. */
  readonly peers: Selector | undefined;
  /** Part of the node's key: the rule's serial and the values its relation compares with. */
  readonly key: string;
}

interface Group {
  readonly key: string;
  /** Positions of the entries that hold, ascending. */
  readonly entries: readonly number[];
  peers: Peers;
}

/** A node is derived from another when at most this many entries came and went. */
const DERIVED_MAX = 4;

export class SetNode {
  readonly key: string;
  readonly inbound: boolean;
  /** By rule number. */
  readonly entries: readonly Entry[];
  /** Identities that this node is the set of; without any it goes at the end of the flush. */
  readonly subjects = new Set<Identity>();
  /** Hosts that use it, with the number of their workloads that do. */
  readonly hosts = new Map<HostState, number>();
  /** Content as of the last flush; undefined: not yet published. */
  published: PolicySet | undefined;
  /** Peers that came and went since the last flush. */
  readonly added = new Set<number>();
  readonly removed = new Set<number>();
  /** The node that it was filled from in this flush, and every peer that is in one of the two and not in the other: a superset. */
  origin: { readonly node: SetNode; readonly differing: ReadonlySet<number> } | undefined;
  readonly #groups = new Map<string, Group>();
  /** The group that each peer is in: whether a host must hear of an address is asked far more often than peers change. */
  readonly #groupOf = new Map<number, Group>();
  readonly #lists: ReadonlySet<string>;
  readonly #tables: PortTables;
  readonly #anyone: readonly number[];

  constructor(key: string, inbound: boolean, entries: readonly Entry[], tables: PortTables) {
    this.key = key;
    this.inbound = inbound;
    this.entries = entries;
    this.#tables = tables;
    this.#anyone = positions(entries, (entry) => otherEnd(entry.active.rule, inbound).anyone);
    this.#lists = new Set(entries.flatMap((entry) => otherEnd(entry.active.rule, inbound).ipLists));
  }

  /** True when IP lists take part: the node's groups depend on the classes. */
  get listed(): boolean {
    return this.#lists.size > 0;
  }

  /** Fills a fresh node: for each entry the identities that it names. */
  fill(matching: (selector: Selector) => readonly Identity[]): void {
    const held = new Map<number, number[]>();
    this.entries.forEach((entry, position) => {
      if (entry.peers === undefined) return;
      for (const { number } of matching(entry.peers)) {
        const list = held.get(number);
        if (list === undefined) held.set(number, [position]);
        else list.push(position);
      }
    });
    const groups = new Map<string, { key: string; entries: readonly number[]; identities: number[] }>();
    for (const [number, entries] of held) {
      const key = entries.join(',');
      let group = groups.get(key);
      if (group === undefined) {
        group = { key, entries, identities: [] };
        groups.set(key, group);
      }
      group.identities.push(number);
    }
    for (const [key, { entries, identities }] of groups) this.#put(key, entries, identities);
  }

  /**
   * Fills a fresh node from one whose rules are nearly the same: kept entries keep their peers, only added entries are asked for.
   * Gives false, and leaves the node empty, when they differ in more than a few.
   */
  fillFrom(previous: SetNode, matching: (selector: Selector) => readonly Identity[]): boolean {
    const added = new Map(this.entries.map((entry, position) => [entry.key, position]));
    const moved = previous.entries.map((entry) => added.get(entry.key));
    for (const { key } of previous.entries) added.delete(key);
    const gone = moved.filter((position) => position === undefined).length;
    if (added.size + gone > DERIVED_MAX) return false;
    type Gathered = Map<string, { readonly entries: readonly number[]; identities: readonly number[] }>;
    let groups: Gathered = new Map();
    const differing = new Set([...previous.added, ...previous.removed]);
    const gather = (entries: readonly number[], identities: readonly number[]) => {
      if (entries.length === 0) for (const number of identities) differing.add(number);
      if (entries.length === 0 || identities.length === 0) return;
      const key = entries.join(',');
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { entries, identities });
      else group.identities = [...group.identities, ...identities];
    };
    for (const { entries, peers } of previous.#groups.values()) {
      gather(
        entries.flatMap((position) => moved[position] ?? []),
        [...peers],
      );
    }
    for (const position of added.values()) {
      const selector = this.entries[position]?.peers;
      const named = new Set(selector === undefined ? [] : matching(selector).map(({ number }) => number));
      if (named.size === 0) continue;
      const before = groups;
      groups = new Map();
      for (const { entries, identities } of before.values()) {
        const outside = identities.filter((number) => !named.has(number));
        const inside = identities.filter((number) => named.delete(number));
        gather(entries, outside);
        gather(
          [...entries, position].sort((a, b) => a - b),
          inside,
        );
      }
      for (const number of named) differing.add(number);
      gather([position], [...named]);
    }
    for (const [key, { entries, identities }] of groups) this.#put(key, entries, identities);
    this.origin = { node: previous, differing };
    return true;
  }

  /** An identity is new: puts it into the group of the entries that name it. `matched` narrows the entries to look at. */
  addPeer(identity: Identity, matched: ReadonlySet<ActiveRule>): void {
    const entries = positions(
      this.entries,
      ({ active, peers }) => matched.has(active) && peers !== undefined && selectorMatches(peers, identity),
    );
    if (entries.length === 0) return;
    const key = entries.join(',');
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { key, entries, peers: [identity.number] };
      this.#groups.set(key, group);
    } else group.peers = withPeer(group.peers, identity.number);
    this.#groupOf.set(identity.number, group);
    if (!this.removed.delete(identity.number)) this.added.add(identity.number);
  }

  /** An identity is gone. */
  removePeer(number: number): void {
    const group = this.#groupOf.get(number);
    if (group === undefined) return;
    this.#groupOf.delete(number);
    if (group.peers.length === 1) this.#groups.delete(group.key);
    else group.peers = withoutPeer(group.peers, number);
    if (!this.added.delete(number)) this.removed.add(number);
  }

  /** True when the set names this identity now. */
  names(number: number): boolean {
    return this.#groupOf.has(number);
  }

  /** True when the set named this identity at the last flush. */
  named(number: number): boolean {
    return this.removed.has(number) || (this.names(number) && !this.added.has(number));
  }

  /** All identities that the set names now. */
  peers(): Iterable<number> {
    return this.#groupOf.keys();
  }

  /** All identities that the set named at the last flush. */
  *oldPeers(): Generator<number> {
    for (const number of this.peers()) if (!this.added.has(number)) yield number;
    yield* this.removed;
  }

  /** Names of the IP lists that take part. */
  ipLists(): ReadonlySet<string> {
    return this.#lists;
  }

  /** The content now; undefined when it allows and denies nothing. */
  build(classesOf: (list: string) => readonly number[]): PolicySet | undefined {
    const groups: PeerGroup[] = [
      { anyone: true, identities: [], classes: [], ports: this.#tables.table(this.#rules(this.#anyone)) },
    ];
    const byIdentity: { readonly first: number; readonly group: PeerGroup }[] = [];
    for (const { entries, peers } of this.#groups.values()) {
      const held = [...new Set([...entries, ...this.#anyone])].sort((a, b) => a - b);
      const ports = this.#tables.table(this.#rules(held));
      byIdentity.push({ first: firstOf(peers), group: { anyone: false, identities: peers, classes: [], ports } });
    }
    byIdentity.sort((a, b) => a.first - b.first);
    groups.push(...byIdentity.map(({ group }) => group), ...this.#classGroups(classesOf));
    const empty = groups.every((group) => group.ports.length === 0);
    return empty ? undefined : policySet(groups);
  }

  /** A group of a fresh node; numbers in no order. */
  #put(key: string, entries: readonly number[], numbers: readonly number[]): void {
    const identities = numbers.toSorted((a, b) => a - b);
    const group: Group = { key, entries, peers: peersOf(identities) };
    this.#groups.set(key, group);
    for (const number of identities) {
      this.#groupOf.set(number, group);
      this.added.add(number);
    }
  }

  #classGroups(classesOf: (list: string) => readonly number[]): PeerGroup[] {
    const held = new Map<number, Set<number>>();
    this.entries.forEach((entry, at) => {
      for (const list of otherEnd(entry.active.rule, this.inbound).ipLists) {
        for (const classId of classesOf(list)) {
          const set = held.get(classId);
          if (set === undefined) held.set(classId, new Set([at]));
          else set.add(at);
        }
      }
    });
    const groups = new Map<string, { entries: readonly number[]; classes: number[] }>();
    for (const [classId, set] of [...held].sort(([a], [b]) => a - b)) {
      const entries = [...set].sort((a, b) => a - b);
      const group = groups.get(entries.join(','));
      if (group === undefined) groups.set(entries.join(','), { entries, classes: [classId] });
      else group.classes.push(classId);
    }
    return [...groups.values()].map(({ entries, classes }) => ({
      anyone: false,
      identities: [],
      classes,
      ports: this.#tables.table(this.#rules(entries)),
    }));
  }

  #rules(entries: readonly number[]): ActiveRule[] {
    return entries.flatMap((at) => this.entries[at]?.active ?? []);
  }
}

/** The end of a rule that peers are, seen from a subject. */
export function otherEnd(rule: Rule, inbound: boolean) {
  return inbound ? rule.usedBy : rule.providedBy;
}

/** The end of a rule that the subject is. */
export function ownEnd(rule: Rule, inbound: boolean) {
  return inbound ? rule.providedBy : rule.usedBy;
}

/** A rule as it holds for one subject; undefined when it says nothing for it. The subject matches the rule's own end. */
export function entryFor(active: ActiveRule, inbound: boolean, subject: Identity): Entry | undefined {
  const { rule, serial } = active;
  const other = otherEnd(rule, inbound);
  const byAddress = other.anyone || other.ipLists.length > 0;
  // A relation holds between two selected ends: an end that is anyone lies outside it.
  if (ownEnd(rule, inbound).anyone || (rule.same.length === 0 && rule.differs.length === 0)) {
    return { active, peers: other.selector, key: String(serial) };
  }
  const conditions: Selector[] = [];
  let key = String(serial);
  for (const [dimensions, equal] of [
    [rule.same, true],
    [rule.differs, false],
  ] as const) {
    for (const dimension of dimensions) {
      const value = labelOf(subject.labels, dimension);
      if (value === undefined) return byAddress ? { active, peers: undefined, key: `${serial}-` } : undefined;
      key += `\t${value}`;
      const own: Selector = { kind: 'label', dimension, values: [value] };
      if (equal) conditions.push(own);
      else conditions.push({ kind: 'exists', dimension }, { kind: 'not', of: own });
    }
  }
  if (other.selector === undefined) return { active, peers: undefined, key: `${serial}-` };
  return { active, peers: { kind: 'all', of: [...conditions, other.selector] }, key };
}

function positions<T>(items: readonly T[], test: (item: T) => boolean): number[] {
  const found: number[] = [];
  items.forEach((item, index) => {
    if (test(item)) found.push(index);
  });
  return found;
}
