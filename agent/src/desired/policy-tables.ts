// Policy sets → rf_groups and rf_ports. Port tables are shared: a group number names the content of a port table, whichever sets
// use it, so entries grow with rules and identities and not with their product.
import { GroupKind } from '@ringfence/bpf';
import type { PeerGroup, PolicySet } from '@ringfence/proto/policy-set.js';
import type { Table } from './desired.js';
import { Edits } from './edits.js';
import { NumberPool } from './numbers.js';
import { groupKey, groupValue, portKey, portValue } from './pack.js';
import { type PortPrefix, portPrefixes } from './port-prefixes.js';
import { contentOf, portContent, type RecoveredNumbers, setContent } from './recovered.js';
import { VersionedMap } from './versioned-map.js';

interface HeldSet {
  readonly number: number;
  readonly groupKeys: readonly string[];
  /** One per group, in order. */
  readonly portTables: readonly string[];
}

interface PortTable {
  readonly content: string;
  readonly entries: readonly { readonly at: PortPrefix; readonly value: string }[];
}

export class PolicyTables {
  groups: Table = VersionedMap.of();
  ports: Table = VersionedMap.of();
  readonly #held = new Map<string, HeldSet>();
  readonly #groupNumbers: NumberPool;
  readonly #setNumbers: NumberPool;
  readonly #recoveredSets: Map<string, number>;
  readonly #portTables = new WeakMap<PeerGroup, PortTable>();

  constructor(recovered: RecoveredNumbers) {
    this.#groupNumbers = new NumberPool(recovered.highWater.group, recovered.groups);
    this.#setNumbers = new NumberPool(recovered.highWater.set, new Map());
    this.#recoveredSets = new Map(recovered.sets);
  }

  get nextSet(): number {
    return this.#setNumbers.next;
  }

  get nextGroup(): number {
    return this.#groupNumbers.next;
  }

  /** 0 for the empty hash: no set. */
  numberOf(hash: string): number {
    return hash === '' ? 0 : (this.#held.get(hash)?.number ?? 0);
  }

  /** Added before removed, so that port tables both use keep their numbers. */
  update(added: Iterable<PolicySet>, removed: Iterable<string>): void {
    const groups = new Edits();
    const ports = new Edits();
    for (const set of added) if (!this.#held.has(set.hash)) this.#add(set, groups, ports);
    for (const hash of removed) this.#remove(hash, groups, ports);
    this.groups = groups.appliedTo(this.groups);
    this.ports = ports.appliedTo(this.ports);
    this.#groupNumbers.forgetAdoptable();
    this.#recoveredSets.clear();
  }

  #add(set: PolicySet, groups: Edits, ports: Edits): void {
    const portTables: string[] = [];
    const members: { peer: number; kind: number; value: string }[] = [];
    for (const group of set.groups) {
      const table = this.#portTable(group);
      const { number, first } = this.#groupNumbers.acquire(table.content);
      if (first) for (const { at, value } of table.entries) ports.put(portKey(number, at), value);
      portTables.push(table.content);
      const value = groupValue(number);
      if (group.anyone) members.push({ peer: 0, kind: GroupKind.IDENTITY, value });
      for (const peer of group.identities) members.push({ peer, kind: GroupKind.IDENTITY, value });
      for (const peer of group.classes) members.push({ peer, kind: GroupKind.CLASS, value });
    }
    const number = this.#setNumber(set, members);
    const groupKeys = members.map(({ peer, kind, value }) => {
      const key = groupKey(number, peer, kind);
      groups.put(key, value);
      return key;
    });
    this.#held.set(set.hash, { number, groupKeys, portTables });
  }

  #setNumber(set: PolicySet, members: readonly { peer: number; kind: number; value: string }[]): number {
    if (this.#recoveredSets.size > 0) {
      const content = contentOf(members.map((m) => setContent(groupKey(0, m.peer, m.kind), m.value)));
      const known = this.#recoveredSets.get(content);
      this.#recoveredSets.delete(content);
      if (known !== undefined) return known;
    }
    return this.#setNumbers.acquire(set.hash).number;
  }

  #remove(hash: string, groups: Edits, ports: Edits): void {
    const held = this.#held.get(hash);
    if (held === undefined) return;
    this.#held.delete(hash);
    if (this.#setNumbers.numberOf(hash) !== undefined) this.#setNumbers.release(hash);
    for (const key of held.groupKeys) groups.remove(key);
    for (const content of held.portTables) {
      const { number, last } = this.#groupNumbers.release(content);
      if (!last) continue;
      for (const suffix of this.#entriesOf(content)) ports.remove(portKey(number, suffix));
    }
  }

  #portTable(group: PeerGroup): PortTable {
    const known = this.#portTables.get(group);
    if (known !== undefined) return known;
    const entries = group.ports.flatMap((entry) => portPrefixes(entry).map((at) => ({ at, value: portValue(entry) })));
    const content = contentOf(entries.map(({ at, value }) => portContent(portKey(0, at), value)));
    const table = { content, entries };
    this.#portTables.set(group, table);
    return table;
  }

  /** Places of a port table read back from its content: the entries of portContent are of fixed length. */
  *#entriesOf(content: string): Iterable<PortPrefix> {
    for (let at = 0; at < content.length; at += ENTRY_CHARS) {
      const byte = (i: number) => content.charCodeAt(at + i);
      yield { prefixLength: byte(0), protocol: byte(4), port: (byte(6) << 8) | byte(7) };
    }
  }
}

/** portContent: prefix length (4), protocol, pad, port (2), value (8). */
const ENTRY_CHARS = 16;
