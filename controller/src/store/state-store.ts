// The controller's durable state in memory, written through. Reads are plain maps; every change goes through `update`, one at a
// time: a transaction sees the newest state and its own writes, and nobody sees them before they are on disk.
import type { AuditDraft, AuditEntry } from './audit.js';
import { type Committed, type StoreDriver, StoreError, type Write } from './driver.js';
import { type Kind, type Records, SCHEMAS } from './records.js';

/** One record that a commit changed. */
export type StateChange = {
  [K in Kind]: { readonly kind: K; readonly key: string; readonly before?: Records[K]; readonly after?: Records[K] };
}[Kind];

/** Reads and writes inside `update`. Valid only until the work function returns. */
export interface StateTransaction {
  get<K extends Kind>(kind: K, key: string): Records[K] | undefined;
  /** All records of a kind as this transaction sees them, in no order. */
  entries<K extends Kind>(kind: K): IterableIterator<[string, Records[K]]>;
  set<K extends Kind>(kind: K, key: string, value: Records[K]): void;
  delete(kind: Kind, key: string): void;
  /** Adds an entry to the audit log beyond what the changes tell: something that was refused. */
  audit(entry: AuditDraft): void;
  /** Adds `by` to a counter and returns its new value; a counter begins at 0. */
  count(name: string, by?: number): number;
}

export type CommitListener = (changes: readonly StateChange[], revision: number) => void;

/** What the audit log keeps of a transaction's changes. */
export type Auditor = (changes: readonly StateChange[]) => readonly AuditDraft[];

type Tables = { [K in Kind]: Map<string, Records[K]> };

/** Whether writes succeed. */
export interface StoreHealth {
  readonly healthy: boolean;
  /** What failed last, when not healthy. */
  readonly error: string;
}

export class StateStore {
  readonly #driver: StoreDriver;
  readonly #tables: Tables;
  readonly #listeners = new Set<CommitListener>();
  readonly #auditListeners = new Set<(entries: readonly AuditEntry[]) => void>();
  #auditor: Auditor = () => [];
  #queue: Promise<unknown> = Promise.resolve();
  #health: StoreHealth = { healthy: true, error: '' };

  /** Loads everything. Throws StoreError RF_STORE_CORRUPT naming the first record that does not fit. */
  constructor(driver: StoreDriver) {
    this.#driver = driver;
    this.#tables = Object.fromEntries(
      Object.keys(SCHEMAS).map((kind) => [kind, load(driver, kind as Kind)]),
    ) as unknown as Tables;
  }

  get<K extends Kind>(kind: K, key: string): Records[K] | undefined {
    return this.table(kind).get(key);
  }

  /** Live view: do not keep an iterator across an await. */
  table<K extends Kind>(kind: K): ReadonlyMap<string, Records[K]> {
    return this.#tables[kind] as ReadonlyMap<string, Records[K]>;
  }

  /** Records of one kind by key. */
  sorted<K extends Kind>(kind: K): Records[K][] {
    return [...this.table(kind)].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, value]) => value);
  }

  /**
   * Runs `work` after every earlier update has ended, and commits what it wrote. Resolves with its result once that is on disk and
   * visible. When work throws or the commit fails, nothing has changed and the error comes out. `work` must not be async.
   */
  update<T>(work: (tx: StateTransaction) => T): Promise<T> {
    const turn = this.#queue.then(async () => {
      const overlay = new Overlay(this.#tables);
      const result = work(overlay);
      const changes = overlay.changes();
      const audit = [...this.#auditor(changes), ...overlay.audited];
      if (changes.length + audit.length > 0) this.#publish(changes, await this.#commit(changes, audit));
      return result;
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }

  /** Removes audit entries up to a sequence and keeps one that says so, after every earlier update has ended. */
  trimAudit(upTo: number, entry: AuditDraft): Promise<void> {
    const turn = this.#queue.then(async () => {
      const { audited } = await this.#driver.trimAudit(upTo, entry);
      for (const listener of this.#auditListeners) listener(audited);
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }

  /**
   * Decides what the audit log keeps of each transaction; it is committed with it. Called in the async context of whoever called
   * update.
   */
  setAuditor(auditor: Auditor): void {
    this.#auditor = auditor;
  }

  /** Called with the audit entries of each commit that has some. Must not throw. Returns the way to stop. */
  onAudit(listener: (entries: readonly AuditEntry[]) => void): () => void {
    this.#auditListeners.add(listener);
    return () => this.#auditListeners.delete(listener);
  }

  /** Called after each commit, in order, with what it changed. Must not throw. Returns the way to stop. */
  onCommit(listener: CommitListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  health(): StoreHealth {
    return this.#health;
  }

  driver(): StoreDriver {
    return this.#driver;
  }

  /** Waits for running updates, then closes the driver. */
  async close(): Promise<void> {
    await this.#queue;
    this.#driver.close();
  }

  async #commit(changes: readonly StateChange[], audit: readonly AuditDraft[]): Promise<Committed> {
    const writes: Write[] = changes.map(({ kind, key, after }) => ({
      kind,
      key,
      value: after === undefined ? undefined : JSON.stringify(after),
    }));
    try {
      const committed = await this.#driver.commit(writes, audit);
      this.#health = { healthy: true, error: '' };
      return committed;
    } catch (error) {
      this.#health = { healthy: false, error: error instanceof Error ? error.message : String(error) };
      throw error;
    }
  }

  #publish(changes: readonly StateChange[], { revision, audited }: Committed): void {
    for (const { kind, key, after } of changes) {
      const table = this.#tables[kind] as Map<string, unknown>;
      if (after === undefined) table.delete(key);
      else table.set(key, after);
    }
    for (const listener of this.#listeners) listener(changes, revision);
    if (audited.length > 0) for (const listener of this.#auditListeners) listener(audited);
  }
}

/** A transaction's own writes over the tables. */
class Overlay implements StateTransaction {
  readonly #tables: Tables;
  readonly #writes = new Map<Kind, Map<string, unknown>>();
  readonly audited: AuditDraft[] = [];

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  get<K extends Kind>(kind: K, key: string): Records[K] | undefined {
    const writes = this.#writes.get(kind);
    if (writes?.has(key)) return writes.get(key) as Records[K] | undefined;
    return this.#tables[kind].get(key) as Records[K] | undefined;
  }

  *entries<K extends Kind>(kind: K): IterableIterator<[string, Records[K]]> {
    const writes = this.#writes.get(kind);
    for (const entry of this.#tables[kind] as Map<string, Records[K]>) if (!writes?.has(entry[0])) yield entry;
    for (const [key, value] of writes ?? []) if (value !== undefined) yield [key, value as Records[K]];
  }

  set<K extends Kind>(kind: K, key: string, value: Records[K]): void {
    this.#write(kind, key, value);
  }

  delete(kind: Kind, key: string): void {
    this.#write(kind, key, undefined);
  }

  audit(entry: AuditDraft): void {
    this.audited.push(entry);
  }

  count(name: string, by = 1): number {
    const value = (this.get('counter', name)?.value ?? 0) + by;
    this.set('counter', name, { value });
    return value;
  }

  /** What differs from the tables. A write of an equal record is none. */
  changes(): StateChange[] {
    const changes: unknown[] = [];
    for (const [kind, writes] of this.#writes) {
      for (const [key, after] of writes) {
        const before: unknown = this.#tables[kind].get(key);
        if (before === after || JSON.stringify(before) === JSON.stringify(after)) continue;
        changes.push({ kind, key, before, after });
      }
    }
    return changes as StateChange[];
  }

  #write(kind: Kind, key: string, value: unknown): void {
    let writes = this.#writes.get(kind);
    if (writes === undefined) {
      writes = new Map();
      this.#writes.set(kind, writes);
    }
    writes.set(key, value);
  }
}

function load(driver: StoreDriver, kind: Kind): Map<string, unknown> {
  const table = new Map<string, unknown>();
  for (const { key, value } of driver.load(kind)) {
    const record = SCHEMAS[kind].safeParse(parseJson(value));
    if (!record.success) {
      const issue = record.error.issues[0];
      throw new StoreError(
        'RF_STORE_CORRUPT',
        `Cannot read ${kind} ${JSON.stringify(key)} from ${driver.status().path}: found ${issue?.message ?? 'no valid record'} at ` +
          `"${issue?.path.join('.') ?? ''}", wanted a record as this version writes it; restore a backup`,
      );
    }
    table.set(key, record.data);
  }
  return table;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
