// A map whose older versions stay readable. A change costs its own size, not the map's: the newest version holds the table, an
// older one only what differs from its successor. So a refused revision is undone by going on with the version before it, and
// what changed between two versions is known without comparing all of them.
//
// States of one version: root (it holds the table) → older (it holds undo and the next version towards the root). Writing to or
// iterating an older version makes it the root again.

type Node<K, V> =
  | { readonly table: Map<K, V> }
  | { readonly undo: Map<K, V | undefined>; readonly next: VersionedMap<K, V> };

/** One key that differs: undefined means absent. */
export interface Change<K, V> {
  readonly key: K;
  readonly before: V | undefined;
  readonly after: V | undefined;
}

export class VersionedMap<K, V> {
  #node: Node<K, V>;
  readonly size: number;

  private constructor(node: Node<K, V>, size: number) {
    this.#node = node;
    this.size = size;
  }

  /** Takes over the table: the caller must not change it any more. */
  static of<K, V>(table: Map<K, V> = new Map()): VersionedMap<K, V> {
    return new VersionedMap({ table }, table.size);
  }

  get(key: K): V | undefined {
    let node = this.#node;
    while ('undo' in node) {
      if (node.undo.has(key)) return node.undo.get(key);
      node = node.next.#node;
    }
    return node.table.get(key);
  }

  has(key: K): boolean {
    return this.get(key) !== undefined;
  }

  /** This version with the edits; undefined deletes. The version itself when no edit changes anything (compared by identity). */
  with(edits: Iterable<readonly [K, V | undefined]>): VersionedMap<K, V> {
    const table = this.#toRoot();
    const undo = new Map<K, V | undefined>();
    for (const [key, value] of edits) {
      const before = table.get(key);
      if (before === value) continue;
      if (!undo.has(key)) undo.set(key, before);
      if (value === undefined) table.delete(key);
      else table.set(key, value);
    }
    if (undo.size === 0) return this;
    const next = new VersionedMap<K, V>({ table }, table.size);
    this.#node = { undo, next };
    return next;
  }

  /**
   * What differs from an earlier (or any other) version to this one. Costs the size of the changes between versions of one map,
   * the size of both maps for unrelated ones.
   */
  changesSince(earlier: VersionedMap<K, V>): Change<K, V>[] {
    if (earlier === this) return [];
    const table = this.#toRoot();
    const before = new Map<K, V | undefined>();
    let at: VersionedMap<K, V> = earlier;
    while ('undo' in at.#node) {
      for (const [key, value] of at.#node.undo) if (!before.has(key)) before.set(key, value);
      at = at.#node.next;
    }
    if (at !== this) return compare(at.#node.table, before, table);
    const changes: Change<K, V>[] = [];
    for (const [key, value] of before) {
      const after = table.get(key);
      if (after !== value) changes.push({ key, before: value, after });
    }
    return changes;
  }

  /** Valid until any version of this map is written to or iterated. */
  entries(): IterableIterator<[K, V]> {
    return this.#toRoot().entries();
  }

  /** As entries(). */
  keys(): IterableIterator<K> {
    return this.#toRoot().keys();
  }

  /** As entries(). */
  values(): IterableIterator<V> {
    return this.#toRoot().values();
  }

  #toRoot(): Map<K, V> {
    const path: VersionedMap<K, V>[] = [];
    let at: VersionedMap<K, V> = this;
    while ('undo' in at.#node) {
      path.push(at);
      at = at.#node.next;
    }
    const { table } = at.#node;
    for (let i = path.length - 1; i >= 0; i -= 1) {
      const older = path[i] as VersionedMap<K, V>;
      const { undo } = older.#node as { undo: Map<K, V | undefined> };
      const redo = new Map<K, V | undefined>();
      for (const [key, value] of undo) {
        redo.set(key, table.get(key));
        if (value === undefined) table.delete(key);
        else table.set(key, value);
      }
      at.#node = { undo: redo, next: older };
      older.#node = { table };
      at = older;
    }
    return table;
  }
}

/** Changes from an unrelated map (its table with overrides on top) to another. */
function compare<K, V>(base: Map<K, V>, overrides: Map<K, V | undefined>, table: Map<K, V>): Change<K, V>[] {
  const changes: Change<K, V>[] = [];
  const beforeOf = (key: K) => (overrides.has(key) ? overrides.get(key) : base.get(key));
  for (const [key, after] of table) {
    const before = beforeOf(key);
    if (before !== after) changes.push({ key, before, after });
  }
  for (const key of new Set([...base.keys(), ...overrides.keys()])) {
    const before = beforeOf(key);
    if (before !== undefined && !table.has(key)) changes.push({ key, before, after: undefined });
  }
  return changes;
}
