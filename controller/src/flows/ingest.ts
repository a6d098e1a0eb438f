// Batches from agents into history and to live tails: once each, by column, both views of a connection as one row.
import { randomBytes } from 'node:crypto';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import type { FlowUploadMessage } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { BatchEndNamer } from './batch-ends.js';
import type { FlowBlock } from './block.js';
import { columnsProblem } from './decode.js';
import type { EndResolver } from './ends.js';
import type { Followers } from './followers.js';
import { type Gap, timesOf } from './gaps.js';
import type { FlowHistory } from './history.js';
import { Arrivals } from './ingest/arrivals.js';
import { type StagedRows, Staging } from './ingest/staging.js';
import { type TranslationSource, Translations } from './ingest/translations.js';
import { HostFlowLedger, type HostLosses } from './losses.js';
import type { StitchOptions } from './stitch/types.js';
import type { FlowArchive } from './store/archive.js';
import { MemoryArchive } from './store/memory-archive.js';
import type { SourceResolver } from './true-source.js';

/**
 * Stored rows that are taken up at the start, of those that may still be replaced: not older, how many, and how many at once. After an
 * absence agents tell what is as old as the absence was long, and the two ends of a connection need not tell it to the same process.
 */
const RESTORED_MS = 3_600_000;
const RESTORED_MAX = 100_000;
const RESTORED_PAGE = 16_384;

/** What came of a batch. */
export type IngestOutcome =
  /** `sequence`: everything up to it is here, and safe once settled. `refused`: why its records are lost, completing "found …". */
  | { readonly taken: true; readonly sequence: bigint; readonly refused?: string }
  /** Why it never can be taken, a sentence fragment that completes "found …". */
  | { readonly taken: false; readonly problem: string };

export interface IngestOptions {
  /** Stages what `archive` keeps; its ids start at the archive's. */
  readonly history: FlowHistory;
  readonly followers: Followers;
  readonly ends: EndResolver;
  /** Default: the history itself. */
  readonly archive?: FlowArchive;
  /** Who is behind which address; absent: nobody is translated. */
  readonly translations?: TranslationSource;
  /** Who translated connections truly come from; absent: nobody tells. */
  readonly resolver?: SourceResolver;
  readonly stitch?: Partial<StitchOptions>;
  /** Milliseconds of a clock that does not go back. */
  readonly nowMs?: () => number;
}

export class FlowIngest {
  readonly #archive: FlowArchive;
  readonly #followers: Followers;
  readonly #namer: BatchEndNamer;
  readonly #staging: Staging;
  readonly #nowMs: () => number;
  readonly #hosts = new Map<string, HostFlowLedger>();
  /** The controller's own findings are batches of a run of its own. */
  readonly #run = randomBytes(16).toString('hex');
  #sequence = 0n;
  /** Records taken, by Verdict's and by Reason's number. */
  readonly byVerdict = Array.from({ length: 4 }, () => 0);
  readonly byReason = Array.from({ length: 32 }, () => 0);

  constructor({ history, followers, ends, archive, translations, resolver, stitch, nowMs }: IngestOptions) {
    this.#archive = archive ?? new MemoryArchive(history);
    for (const { hostId, run, sequence, loss } of this.#archive.marks) {
      if (hostId !== '') this.#ledger(hostId).resume(Buffer.from(run, 'hex').toString('latin1'), sequence, loss);
    }
    this.#followers = followers;
    this.#namer = new BatchEndNamer(ends);
    this.#nowMs = nowMs ?? (() => performance.now());
    const count = (block: FlowBlock, from: number, to: number) => this.#count(block, from, to);
    this.#staging = new Staging(history, new Translations(translations, resolver), count, stitch);
  }

  /** What became of records when views were brought together. */
  get stitching(): Staging['counters'] {
    return this.#staging.counters;
  }

  /**
   * Takes up what the archive stored last, so that what comes now finds the other end's view. Once, before the first batch. `nowUs` is wall
   * time.
   */
  async restore(nowUs: number): Promise<number> {
    const filter = FlowFilter.fromPartial({ sinceUs: BigInt(Math.max(0, nowUs - RESTORED_MS * 1000)) });
    const into = [new Arrivals(), new Arrivals()] as const;
    let restored = 0;
    const newest = await this.#archive.startOfNewest(filter, RESTORED_MAX);
    let afterId = Math.max(newest, this.#archive.replaceableFrom - 1);
    for (;;) {
      const page = await this.#archive.page({ filter, afterId, limit: RESTORED_PAGE });
      for (const record of page.records) this.#staging.restore(record, into, this.#nowMs());
      restored += page.records.length;
      if (!page.more || restored >= RESTORED_MAX) return restored;
      afterId = page.lastId;
    }
  }

  /** Call about once a second: rows whose time has come are settled without another batch. */
  tick(): void {
    const staged = this.#staging.expire(this.#nowMs());
    if (staged.ranges.length + staged.replaced.length === 0) return;
    this.#sequence += 1n;
    const batch = { hostId: '', run: this.#run, sequence: this.#sequence, loss: undefined, gaps: [] };
    this.#archive.append({ ...batch, ...staged }, (stored) => this.#settled(staged, stored, ''));
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
   * Takes one batch of `hostId`. A batch that came before is acknowledged and counted, not taken again; so is one whose records contradict
   * themselves, which would come again for ever and hold up all behind it: they are a gap. `settled` is called when everything
   * up to the outcome's sequence is stored, or counted as lost; live tails get the records then, in order of arrival.
   */
  take(hostId: string, message: FlowUploadMessage, settled: () => void = () => {}): IngestOutcome {
    const ledger = this.#ledger(hostId);
    if (message.run.length !== 16) return { taken: false, problem: `${message.run.length} bytes of run, wanted 16` };
    const run = message.run.toString('latin1');
    const columns = message.flows;
    const window = ledger.window(run);
    const refused = columns === undefined ? undefined : columnsProblem(columns);
    if (!window.take(message.sequence)) {
      ledger.losses.recordsDuplicate += BigInt(columns?.count ?? 0);
      this.#archive.barrier(settled);
      return { taken: true, sequence: window.highest };
    }
    const lost = message.loss === undefined ? [] : [...ledger.onCounters(run, message.loss)];
    const times = lost.length === 0 || refused !== undefined ? UNKNOWN_TIMES : timesOf(columns);
    const gaps = lost.map(([hop, count]): Gap => ({ hop, hostId, count, ...times }));
    if (refused !== undefined) {
      const count = columns?.count ?? 0;
      ledger.losses.recordsRefused += BigInt(count);
      gaps.push({ hop: 'refused', hostId, count, ...UNKNOWN_TIMES });
    }
    const records = refused === undefined && columns !== undefined && columns.count > 0 ? columns : undefined;
    const staged =
      records === undefined
        ? NOTHING
        : this.#staging.take(hostId, records, this.#namer.name(hostId, records), this.#nowMs());
    ledger.losses.recordsReceived += BigInt(records?.count ?? 0);
    const batch = { hostId, run: message.run.toString('hex'), sequence: message.sequence, loss: message.loss };
    this.#archive.append({ ...batch, ...staged, gaps }, (stored) => {
      for (const gap of gaps) this.#followers.offerGap(gap);
      this.#settled(staged, stored, hostId);
      settled();
    });
    return { taken: true, sequence: window.highest, ...(refused !== undefined && { refused }) };
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

  #settled({ ranges }: StagedRows, stored: boolean, hostId: string): void {
    let count = 0;
    for (const { block, from, to } of ranges) {
      this.#followers.offer(block, from, to);
      count += to - from;
    }
    if (stored) return;
    // Rows that were to be replaced are there still: what comes begins anew beside them.
    this.#staging.forget();
    if (count > 0) this.#followers.offerGap({ hop: 'store', hostId, count, ...UNKNOWN_TIMES });
  }

  #count({ verdict, reason }: FlowBlock, from: number, to: number): void {
    for (let i = from; i < to; i += 1) {
      count1(this.byVerdict, verdict[i] as number);
      count1(this.byReason, reason[i] as number);
    }
  }
}

const UNKNOWN_TIMES = { fromUs: 0, untilUs: 0 };
const NOTHING: StagedRows = { ranges: [], firstId: 0, replaced: [] };

function count1(counters: number[], index: number): void {
  const slot = Math.min(index, counters.length - 1);
  counters[slot] = (counters[slot] ?? 0) + 1;
}
