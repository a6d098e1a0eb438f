// One kernel map and what is known to be in it. Every write is counted entry by entry, so that the knowledge stays exact when the
// kernel stops a batch half way.
import type { BpfMap } from '@ringfence/native';
import type { Table } from '../desired/desired.js';
import { bytesOf, textOf } from '../desired/pack.js';
import { type Change, VersionedMap } from '../desired/versioned-map.js';

/** The kernel refused an entry. done: the changes before it, which are in the map. */
export class TableWriteError extends Error {
  override readonly name = 'TableWriteError';
  readonly table: string;
  readonly done: readonly Change<string, string>[];
  readonly full: boolean;

  constructor(table: string, done: readonly Change<string, string>[], all: number, errnoName: string) {
    super(`Cannot write ${table}: found ${errnoName} at entry ${done.length + 1} of ${all}, wanted all written`);
    this.table = table;
    this.done = done;
    this.full = errnoName === 'E2BIG' || errnoName === 'ENOSPC' || errnoName === 'ENOMEM';
  }
}

/** What of a kernel map is used here. */
export type PolicyMap = Pick<BpfMap, 'info' | 'dump' | 'updateBatch' | 'deleteBatch'>;

export class TableWriter {
  readonly name: string;
  readonly entriesMax: number;
  readonly #map: PolicyMap;
  #actual: Table;

  /** Reads the map's present content. Throws NativeError RF_MAP_ACCESS. */
  constructor(name: string, map: PolicyMap) {
    this.name = name;
    this.#map = map;
    this.entriesMax = map.info.maxEntries;
    this.#actual = this.#read();
  }

  get actual(): Table {
    return this.#actual;
  }

  /** After a failed undo: what the kernel really holds. */
  reread(): void {
    this.#actual = this.#read();
  }

  /** All puts or all deletes, in order. Throws TableWriteError. */
  write(changes: readonly Change<string, string>[]): void {
    for (const run of runs(changes)) {
      const keys = pack(run.map((change) => change.key));
      const puts = run[0]?.after !== undefined;
      const result = puts
        ? this.#map.updateBatch(keys, pack(run.map((change) => change.after ?? '')))
        : this.#map.deleteBatch(keys, { missingOk: true });
      const done = run.slice(0, result.applied + result.missing);
      this.#actual = this.#actual.with(done.map((change) => [change.key, change.after] as const));
      if (result.errno !== 0) {
        const before = changes.slice(0, changes.indexOf(run[0] as Change<string, string>));
        throw new TableWriteError(this.name, [...before, ...done], changes.length, result.errnoName);
      }
    }
  }

  /** The actual content becomes this very version when it equals it, so that later differences are cheap to find. */
  settle(desired: Table): void {
    if (desired.changesSince(this.#actual).length === 0) this.#actual = desired;
  }

  #read(): Table {
    const { count, keys, values } = this.#map.dump();
    const keyBytes = count === 0 ? 0 : keys.length / count;
    const valueBytes = count === 0 ? 0 : values.length / count;
    const table = new Map<string, string>();
    const [keyText, valueText] = [textOf(keys), textOf(values)];
    for (let i = 0; i < count; i += 1) {
      table.set(keyText.slice(i * keyBytes, (i + 1) * keyBytes), valueText.slice(i * valueBytes, (i + 1) * valueBytes));
    }
    return VersionedMap.of(table);
  }
}

/** Entries in one system call at most: bounds the buffers. */
const BATCH_ENTRIES = 65_536;

/** Stretches of only puts or only deletes. */
function runs(changes: readonly Change<string, string>[]): Change<string, string>[][] {
  const out: Change<string, string>[][] = [];
  for (const change of changes) {
    const last = out.at(-1);
    const fits =
      last !== undefined &&
      last.length < BATCH_ENTRIES &&
      (last[0]?.after === undefined) === (change.after === undefined);
    if (fits) last.push(change);
    else out.push([change]);
  }
  return out;
}

function pack(texts: readonly string[]): Uint8Array {
  return bytesOf(texts.join(''));
}
