// What one host must hold, key by key, with the revision at which each key last changed: the source of full states, of deltas, and
// of the difference that a returning agent needs. Pure.
import { type AddressPrefix, addressHex, prefixKey } from '@ringfence/proto/address.js';
import {
  type AssignmentState,
  type BindingAddress,
  type BindingState,
  bindingKey,
  type CidrState,
  type HostDelta,
  type NatAddress,
  type NatState,
} from '@ringfence/proto/instructions.js';
import type { PolicySet } from '@ringfence/proto/policy-set.js';
import { TableCounts } from '../compile/capacity.js';
import type { CapacityNeed } from '../compile/types.js';
import type { UnpairedTreatment } from '../pairing/profile.js';

/** One key of the state: its value now, or, when gone, what names it. */
export type Cell =
  | { readonly table: 'set'; readonly name: string; readonly value: PolicySet | undefined }
  | { readonly table: 'assignment'; readonly name: string; readonly value: AssignmentState | undefined }
  | { readonly table: 'binding'; readonly name: BindingAddress; readonly value: BindingState | undefined }
  | { readonly table: 'cidr'; readonly name: AddressPrefix; readonly value: CidrState | undefined }
  | { readonly table: 'nat'; readonly name: NatAddress; readonly value: NatState | undefined };

/** Names one key over all tables. */
export type CellKey = string;

/** Stands for the policy version and the host's own terms among the keys; they have no cell, every update carries them. */
const VERSION_KEY: CellKey = 'v';

/** Kernel tables of which each key takes one entry. */
const COUNTED = { assignment: 'rf_endpoints', cidr: 'rf_cidrs', nat: 'rf_nat' } as const;

/** Keys that are gone but remembered, so that a returning agent can be told. */
const TOMBSTONES_MAX = 16_384;

/** Map key of a destination mapping. */
export function natKey(at: NatAddress): string {
  return `${at.space}|${addressHex(at.address)}|${at.protocol}|${at.port}`;
}

export class HostState {
  readonly hostId: string;
  /** Ordered by the revision of the last change: a changed key moves to the end. */
  readonly #cells = new Map<CellKey, { readonly cell: Cell; readonly revision: number }>();
  #revision: number;
  #policyVersion = 0;
  #confirmByMs = 0;
  #unpaired: UnpairedTreatment | undefined;
  /** When the policy version or the host's own terms changed last. */
  #versionRevision = 0;
  #tombstones = 0;
  readonly #counts = new TableCounts();
  /** Deltas from a revision below this one are not known. */
  #floor: number;

  /** An empty state as of `revision`; differences from earlier revisions are unknown. */
  constructor(hostId: string, revision: number) {
    this.hostId = hostId;
    this.#revision = revision;
    this.#floor = revision;
  }

  /** Revision of the newest change. */
  get revision(): number {
    return this.#revision;
  }

  /** Policy version that the state belongs to. */
  get policyVersion(): number {
    return this.#policyVersion;
  }

  /** When the policy version is taken back unless it is confirmed, Unix milliseconds; 0: it is confirmed. */
  get confirmByMs(): number {
    return this.#confirmByMs;
  }

  /** What the host is told to do to containers that are not paired; undefined: as its agent is configured. */
  get unpaired(): UnpairedTreatment | undefined {
    return this.#unpaired;
  }

  /** Keys that have a value. */
  get size(): number {
    return this.#cells.size - this.#tombstones;
  }

  /** Entries that it needs per kernel table; kept up to date, so that asking costs nothing. */
  get need(): CapacityNeed {
    return this.#counts.need(this.hostId);
  }

  /** Takes a delta (or, with full, the whole state) as `revision`, which must have grown. Returns the keys that changed. */
  apply(delta: HostDelta, revision: number): CellKey[] {
    const standing = this.#revision;
    this.#begin(revision);
    const changed = this.setPolicyVersion(delta.policyVersion, revision);
    const before = delta.full ? new Set(this.#live(['set', 'assignment', 'binding', 'cidr', 'nat'])) : undefined;
    const put = (cell: Cell) => {
      const key = keyOf(cell);
      before?.delete(key);
      if (this.#put(key, cell)) changed.push(key);
    };
    for (const value of delta.sets) put({ table: 'set', name: value.hash, value });
    for (const value of delta.assignments) put({ table: 'assignment', name: value.localId, value });
    for (const value of delta.bindings) put({ table: 'binding', name: value, value });
    for (const value of delta.cidrs) put({ table: 'cidr', name: value.prefix, value });
    for (const value of delta.nats ?? []) put({ table: 'nat', name: value, value });
    for (const name of delta.removedSets) put({ table: 'set', name, value: undefined });
    for (const name of delta.removedAssignments) put({ table: 'assignment', name, value: undefined });
    for (const name of delta.removedBindings) put({ table: 'binding', name, value: undefined });
    for (const name of delta.removedCidrs) put({ table: 'cidr', name, value: undefined });
    for (const name of delta.removedNats ?? []) put({ table: 'nat', name, value: undefined });
    for (const key of before ?? []) {
      const cell = this.#cells.get(key)?.cell;
      if (cell !== undefined) put({ ...cell, value: undefined });
    }
    // A revision that changes nothing would never be sent, and the host would look behind for ever.
    if (changed.length === 0) this.#revision = standing;
    return changed;
  }

  /**
   * The state belongs to this policy version as of `revision`, although the version may not have changed it: hosts tell which version
   * they have in force. `confirmByMs` as above; when not given, it stays. Returns the key that changed.
   */
  setPolicyVersion(version: number, revision: number, confirmByMs = this.#confirmByMs): CellKey[] {
    if (version === this.#policyVersion && confirmByMs === this.#confirmByMs) return [];
    this.#begin(revision);
    this.#policyVersion = version;
    this.#confirmByMs = confirmByMs;
    this.#versionRevision = revision;
    return [VERSION_KEY];
  }

  /** The host's treatment of unpaired containers as of `revision`. Returns the key that changed. */
  setUnpaired(unpaired: UnpairedTreatment | undefined, revision: number): CellKey[] {
    if (unpaired === this.#unpaired) return [];
    this.#begin(revision);
    this.#unpaired = unpaired;
    this.#versionRevision = revision;
    return [VERSION_KEY];
  }

  /** Gives the unchanged state a newer revision. */
  touch(revision: number): void {
    this.#begin(revision);
  }

  /** The key as it is now; undefined for one that was never there or is forgotten. */
  cell(key: CellKey): Cell | undefined {
    return this.#cells.get(key)?.cell;
  }

  /** Every key that has a value. */
  *cells(): IterableIterator<Cell> {
    for (const { cell } of this.#cells.values()) if (cell.value !== undefined) yield cell;
  }

  /** Keys of one table that have a value. */
  keys(table: Cell['table']): CellKey[] {
    return [...this.#live([table])];
  }

  /** Keys that changed after a revision, gone ones included; undefined when that is no longer known. */
  changedSince(revision: number): CellKey[] | undefined {
    if (revision < this.#floor || revision > this.#revision) return undefined;
    const keys: CellKey[] = this.#versionRevision > revision ? [VERSION_KEY] : [];
    for (const [key, entry] of this.#cells) if (entry.revision > revision) keys.push(key);
    return keys;
  }

  #begin(revision: number): void {
    if (revision < this.#revision) {
      throw new RangeError(
        `Cannot take revision ${revision} of ${this.hostId}: found ${this.#revision}, wanted one that grows`,
      );
    }
    this.#revision = revision;
  }

  *#live(tables: readonly Cell['table'][]): IterableIterator<CellKey> {
    for (const [key, { cell }] of this.#cells) if (cell.value !== undefined && tables.includes(cell.table)) yield key;
  }

  #put(key: CellKey, cell: Cell): boolean {
    const known = this.#cells.get(key);
    // Sets are named by their content, so the same name is no change; a removal of what is not there is none either.
    if (known?.cell.value === undefined && cell.value === undefined) return false;
    if (cell.table === 'set' && cell.value !== undefined && known?.cell.value !== undefined) return false;
    if (known !== undefined) this.#cells.delete(key);
    if (known !== undefined && known.cell.value === undefined) this.#tombstones -= 1;
    if (cell.value === undefined) this.#tombstones += 1;
    this.#cells.set(key, { cell, revision: this.#revision });
    if (known !== undefined) this.#count(known.cell, -1);
    this.#count(cell, 1);
    if (this.#tombstones > TOMBSTONES_MAX) this.#forget();
    return true;
  }

  #count({ table, value }: Cell, by: 1 | -1): void {
    if (value === undefined) return;
    if (table === 'set') this.#counts.set(value, by);
    else if (table === 'binding') this.#counts.binding(value, by);
    else this.#counts.add(COUNTED[table], by);
  }

  /** Forgets the older half of the tombstones. */
  #forget(): void {
    let left = this.#tombstones / 2;
    for (const [key, { cell, revision }] of this.#cells) {
      if (cell.value !== undefined) continue;
      if (left <= 0) return;
      this.#cells.delete(key);
      this.#tombstones -= 1;
      this.#floor = Math.max(this.#floor, revision);
      left -= 1;
    }
  }
}

function keyOf(cell: Cell): CellKey {
  switch (cell.table) {
    case 'set':
      return `s${cell.name}`;
    case 'assignment':
      return `a${cell.name}`;
    case 'binding':
      return `b${bindingKey(cell.name)}`;
    case 'cidr':
      return `c${prefixKey(cell.name)}`;
    case 'nat':
      return `n${natKey(cell.name)}`;
  }
}
