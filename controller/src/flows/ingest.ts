// Batches from agents into history and to live tails: once each, by column.
import type { FlowUploadMessage } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { BatchEndNamer, NO_ENDS } from './batch-ends.js';
import { columnsProblem } from './decode.js';
import type { EndResolver } from './ends.js';
import type { Followers } from './followers.js';
import type { FlowHistory } from './history.js';
import { HostFlowLedger, type HostLosses } from './losses.js';
import { type StagedBatch, stageBatch } from './stage.js';
import type { FlowArchive } from './store/archive.js';
import { MemoryArchive } from './store/memory-archive.js';

/** What came of a batch. */
export type IngestOutcome =
  /** `sequence`: everything up to it is here, and safe once settled. */
  | { readonly taken: true; readonly sequence: bigint }
  /** Why it never can be taken, a sentence fragment that completes "found …". */
  | { readonly taken: false; readonly problem: string };

export class FlowIngest {
  readonly #history: FlowHistory;
  readonly #archive: FlowArchive;
  readonly #followers: Followers;
  readonly #namer: BatchEndNamer;
  readonly #hosts = new Map<string, HostFlowLedger>();
  /** Records taken, by Verdict's and by Reason's number. */
  readonly byVerdict = Array.from({ length: 4 }, () => 0);
  readonly byReason = Array.from({ length: 32 }, () => 0);

  /** `history` stages what `archive` keeps; its ids start at the archive's. */
  constructor(history: FlowHistory, followers: Followers, ends: EndResolver, archive?: FlowArchive) {
    this.#history = history;
    this.#archive = archive ?? new MemoryArchive(history);
    for (const { hostId, run, sequence, loss } of this.#archive.marks) {
      this.#ledger(hostId).resume(Buffer.from(run, 'hex').toString('latin1'), sequence, loss);
    }
    this.#followers = followers;
    this.#namer = new BatchEndNamer(ends);
  }

  /** Records that are taken and not safe yet. */
  get pending(): number {
    return this.#archive.pending;
  }

  /** Calls back when everything taken so far is safe. */
  whenSettled(settled: () => void): void {
    this.#archive.barrier(settled);
  }

  /**
   * Takes one batch of `hostId`. A batch that came before is acknowledged and counted, not taken again. `settled` is called when everything
   * up to the outcome's sequence is stored, or counted as lost; live tails get the records then, in order of arrival.
   */
  take(hostId: string, message: FlowUploadMessage, settled: () => void = () => {}): IngestOutcome {
    const ledger = this.#ledger(hostId);
    if (message.run.length !== 16) return { taken: false, problem: `${message.run.length} bytes of run, wanted 16` };
    const run = message.run.toString('latin1');
    const columns = message.flows;
    const window = ledger.window(run);
    const problem = columns === undefined ? undefined : columnsProblem(columns);
    if (problem !== undefined) {
      ledger.losses.recordsRefused += BigInt(columns?.count ?? 0);
      return { taken: false, problem };
    }
    if (!window.take(message.sequence)) {
      ledger.losses.recordsDuplicate += BigInt(columns?.count ?? 0);
      this.#archive.barrier(settled);
      return { taken: true, sequence: window.highest };
    }
    const lost = message.loss === undefined ? new Map<string, number>() : ledger.onCounters(run, message.loss);
    const records = columns !== undefined && columns.count > 0 ? columns : undefined;
    const ends = records === undefined ? NO_ENDS : this.#namer.name(hostId, records);
    const staged = records === undefined ? EMPTY : stageBatch(this.#history, hostId, records, ends);
    this.#count(staged);
    ledger.losses.recordsReceived += BigInt(records?.count ?? 0);
    const { firstId, ranges } = staged;
    const batch = { hostId, run: message.run.toString('hex'), sequence: message.sequence, loss: message.loss };
    this.#archive.append({ ...batch, columns: records, ends, firstId }, (stored) => {
      for (const [hop, count] of lost) this.#followers.offerGap({ hop, hostId, count });
      for (const { block, from, to } of ranges) this.#followers.offer(block, from, to);
      if (!stored && records !== undefined) this.#followers.offerGap({ hop: 'store', hostId, count: records.count });
      settled();
    });
    return { taken: true, sequence: window.highest };
  }

  /** Counters of a host; undefined when it never sent anything. */
  losses(hostId: string): HostLosses | undefined {
    return this.#hosts.get(hostId)?.losses;
  }

  allLosses(): HostLosses[] {
    return [...this.#hosts.values()].map((ledger) => ledger.losses);
  }

  forget(hostId: string): void {
    this.#hosts.delete(hostId);
  }

  #ledger(hostId: string): HostFlowLedger {
    let ledger = this.#hosts.get(hostId);
    if (ledger === undefined) {
      ledger = new HostFlowLedger();
      this.#hosts.set(hostId, ledger);
    }
    return ledger;
  }

  #count({ ranges }: StagedBatch): void {
    for (const { block, from, to } of ranges) {
      for (let i = from; i < to; i += 1) {
        count1(this.byVerdict, block.verdict[i] as number);
        count1(this.byReason, block.reason[i] as number);
      }
    }
  }
}

const EMPTY: StagedBatch = { ranges: [], firstId: 0 };

function count1(counters: number[], index: number): void {
  const slot = Math.min(index, counters.length - 1);
  counters[slot] = (counters[slot] ?? 0) + 1;
}
