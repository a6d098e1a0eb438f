// From records to rows: a batch is staged, named and stitched; what comes of it is written into the history's blocks.
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { BatchEnds } from '../batch-ends.js';
import { BLOCK_RECORDS, type FlowBlock } from '../block.js';
import type { FlowHistory, FlowRef } from '../history.js';
import { HostNames, OTHER_PROCESS } from '../host-names.js';
import { stageBatch } from '../stage.js';
import { writeRow } from '../stitch/row.js';
import { Stitcher } from '../stitch/stitcher.js';
import type { StitchCounters, StitchOptions } from '../stitch/types.js';
import type { BlockRange } from '../store/archive.js';
import { Arrivals } from './arrivals.js';
import { type RestoredInto, restoredViews } from './restore.js';
import type { Translations } from './translations.js';

/** Rows that were written, and ids of those that go. */
export interface StagedRows {
  readonly ranges: readonly BlockRange[];
  /** Id of the first row; the others follow. */
  readonly firstId: number;
  readonly replaced: readonly number[];
}

export class Staging {
  readonly #history: FlowHistory;
  readonly #translations: Translations;
  readonly #stitcher: Stitcher;
  readonly #arrivals = new Arrivals();
  readonly #processes = new HostNames();
  readonly #onRecords: (block: FlowBlock, from: number, to: number) => void;

  /** `onRecords` sees every record as it came. */
  constructor(
    history: FlowHistory,
    translations: Translations,
    onRecords: (block: FlowBlock, from: number, to: number) => void,
    options: Partial<StitchOptions> = {},
  ) {
    this.#history = history;
    this.#translations = translations;
    this.#onRecords = onRecords;
    this.#stitcher = new Stitcher(translations, options);
  }

  get counters(): Readonly<StitchCounters> & { readonly held: number } {
    return { ...this.#stitcher.counters, held: this.#stitcher.size };
  }

  /** Takes all records of a checked batch. `nowMs`: a clock that does not go back. */
  take(hostId: string, columns: FlowColumns, ends: BatchEnds, nowMs: number): StagedRows {
    const rows = new RowWriter(this.#history, this.#stitcher);
    const arrivals = this.#arrivals;
    const stitch = () => {
      const { count } = arrivals;
      if (count === 0) return;
      this.#onRecords(arrivals, 0, count);
      this.#translations.name(arrivals, hostId, 0, count);
      this.#stitcher.take(arrivals, 0, count, nowMs);
      rows.drain();
    };
    const writable = () => {
      if (arrivals.count === BLOCK_RECORDS || arrivals.count === 0) {
        stitch();
        arrivals.reset();
      }
      return arrivals;
    };
    arrivals.reset();
    stageBatch({ writable }, hostId, columns, ends, (name) =>
      name === '' || this.#processes.admits(hostId, name) ? name : OTHER_PROCESS,
    );
    stitch();
    arrivals.reset();
    this.#stitcher.expire(nowMs);
    rows.drain();
    return rows.staged();
  }

  /** What time alone has brought. */
  expire(nowMs: number): StagedRows {
    const rows = new RowWriter(this.#history, this.#stitcher);
    this.#stitcher.expire(nowMs);
    rows.drain();
    return rows.staged();
  }

  /** Takes up a row that is stored: what comes may still belong to it. `into` holds nothing afterwards that is needed. */
  restore({ block, index }: FlowRef, into: RestoredInto, nowMs: number): void {
    const { near, far } = restoredViews(block, index, into);
    this.#stitcher.restore(block.idAt(index), near, far, nowMs);
  }

  /** Rows were lost: what comes is not to take the place of a row that is not there. */
  forget(): void {
    this.#stitcher.clear();
  }
}

/** Writes what the stitcher has to say. */
class RowWriter {
  readonly #history: FlowHistory;
  readonly #stitcher: Stitcher;
  readonly #ranges: { block: FlowBlock; from: number; to: number }[] = [];
  readonly #replaced: number[] = [];

  constructor(history: FlowHistory, stitcher: Stitcher) {
    this.#history = history;
    this.#stitcher = stitcher;
  }

  drain(): void {
    this.#stitcher.drain(
      (entry, before) => this.#write(entry, before),
      (id) => this.#retire(id),
    );
  }

  staged(): StagedRows {
    const [first] = this.#ranges;
    return {
      ranges: this.#ranges,
      firstId: first === undefined ? 0 : first.block.idAt(first.from),
      replaced: this.#replaced,
    };
  }

  #write(entry: number, before: number): number {
    const block = this.#history.writable();
    const at = block.count;
    writeRow(this.#stitcher.entries, entry, block, at, before);
    block.count += 1;
    const last = this.#ranges.at(-1);
    if (last !== undefined && last.block === block) last.to += 1;
    else this.#ranges.push({ block, from: at, to: at + 1 });
    if (before !== 0) this.#retire(before);
    return block.idAt(at);
  }

  #retire(id: number): void {
    this.#replaced.push(id);
    this.#history.retire(id);
  }
}
