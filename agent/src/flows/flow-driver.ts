// From the kernel's rings to numbered batches:
//
//   rings ─► RingConsumer (native thread) ─► FlowAggregator ─► FlowUploader ─► controller
//   sweeps of conntrack ───────────────────┘                        └─► FlowSpool
//
// Counts at every hop: what the kernel produced and lost, what was lost in the hand-off or the table, what the spool dropped.
import { type BpfMap, type RingBatch, RingConsumer, readClocks } from '@ringfence/native';
import { FlowUploadMessage, LossCounters, type TranslationColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { LaneTotals } from '../datapath/types.js';
import type { Timers } from '../timers.js';
import { FlowAggregator, type ResolveEndpoint } from './aggregator.js';
import { WallClock } from './clock.js';
import type { CutConnection } from './cut-connection.js';
import { type DeniedMap, DeniedTails } from './denied-tails.js';
import { EVENT_BYTES, EVENT_FOLD } from './event-layout.js';
import { procSource } from './proc-source.js';
import { ProcessNames } from './process-names.js';
import { PromptBudget } from './prompt-budget.js';
import type { RecordBatch } from './record-batch.js';
import type { FlowSpool } from './spool.js';
import type { FlowUploader } from './uploader.js';

export interface FlowDriverOptions {
  /** Hexadecimal, as the uploader's. */
  readonly run: string;
  readonly flushMs: number;
  /** Flushes a second at most that do not wait for the interval, when something new is to be told. */
  readonly promptPerSecond: number;
  readonly updateMs: number;
  readonly tableEntries: number;
  readonly batchRecords: number;
}

export interface FlowDriverPorts {
  /** Ring buffers by lane; closed once the consumer has them. */
  readonly rings: () => readonly [readonly BpfMap[], readonly BpfMap[]];
  /** Totals of the kernel's lanes since they were made. */
  readonly lanes: () => { readonly flows: LaneTotals; readonly denies: LaneTotals };
  /** Attempts that the kernel folded and did not tell yet. */
  readonly denied: () => DeniedMap;
  readonly resolve: ResolveEndpoint;
  /** An open connection was cut: close its socket. */
  readonly onCut: (cut: CutConnection) => void;
  readonly uploader: FlowUploader;
  readonly spool: FlowSpool;
  readonly timers: Timers;
}

/** Batches in memory beyond which translations wait: flow records come first. */
const TRANSLATIONS_WAIT = 32;
const FLOW_LANE = 0;
const DENY_LANE = 1;
/** Half a second above the kernel's period of folding. */
const QUIET_NS = 1.5e9;
/** Prompt flushes that may come one after the other on a host that was quiet. */
const PROMPT_BURST = 16;

export class FlowDriver {
  readonly aggregator: FlowAggregator;
  readonly #options: FlowDriverOptions;
  readonly #ports: FlowDriverPorts;
  readonly #clock = new WallClock(readClocks);
  #consumer: RingConsumer | undefined;
  readonly #lanesAtStart: { readonly flows: LaneTotals; readonly denies: LaneTotals };
  readonly #runBytes: Buffer;
  readonly #tails = new DeniedTails({ flows: 16_384, quietNs: QUIET_NS });
  readonly #prompt: PromptBudget;
  readonly #names = new ProcessNames(procSource);
  /** Of the flush that is under way. */
  #nowNs = 0;
  #cancel: (() => void) | undefined;
  #cancelPrompt: (() => void) | undefined;

  constructor(options: FlowDriverOptions, ports: FlowDriverPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#runBytes = Buffer.from(options.run, 'hex');
    this.aggregator = new FlowAggregator(
      {
        tableEntries: options.tableEntries,
        batchRecords: options.batchRecords,
        updateMs: options.updateMs,
        startedNs: this.#clock.monotonicNs(),
      },
      {
        resolve: ports.resolve,
        toWallUs: (ns) => this.#clock.toWallUs(ns),
        onBatch: (batch) => this.#offer(batch),
        onCut: ports.onCut,
        nameProcess: (pid, comm) => this.#names.nameOf(pid, comm, this.#nowNs),
      },
    );
    this.#lanesAtStart = ports.lanes();
    this.#prompt = new PromptBudget(
      { perSecond: options.promptPerSecond, burst: PROMPT_BURST },
      this.#clock.monotonicNs(),
    );
  }

  /** Begins to take events; endpoints must be known by now, or their first events are given to nobody. */
  start(): void {
    const lanes = this.#ports.rings();
    const { tableEntries, flushMs, updateMs } = this.#options;
    // Held for less than a flush: a row is remembered for one flush after the sweep told its connection's end, and no report may come after.
    const maxHeldMs = Math.floor(Math.min(flushMs, updateMs) / 2);
    const fold = { ...EVENT_FOLD, lane: FLOW_LANE, entries: tableEntries, maxHeldMs };
    // Two lanes of sixteen batches of 256 KiB, touched when needed: a flood is bounded here, and what does not fit is counted.
    const options = { lanes, recordBytes: EVENT_BYTES, batchRecords: 2048, batchesPerLane: 16, fold };
    this.#consumer = new RingConsumer(options, (batch) => this.#take(batch));
    for (const ring of lanes.flat()) ring.close();
    this.#schedule();
  }

  /** Events that a sweep of conntrack reported. */
  takeSwept(events: Uint8Array): void {
    // Copied: the words of an event must begin at a multiple of eight.
    this.aggregator.ingest(events.slice().buffer, events.length / EVENT_BYTES);
  }

  /** Losses of this run so far. */
  loss(): LossCounters {
    const { flows, denies } = this.#ports.lanes();
    const { flows: flowsBefore, denies: deniesBefore } = this.#lanesAtStart;
    const handOff = this.#consumer?.counters().reduce((sum, lane) => sum + lane.dropped, 0n) ?? 0n;
    const { dropped } = this.#ports.spool;
    return LossCounters.create({
      eventsProduced: flows.produced - flowsBefore.produced,
      ringDropped: flows.dropped - flowsBefore.dropped,
      deniesProduced: denies.produced - deniesBefore.produced,
      deniesRingDropped: denies.dropped - deniesBefore.dropped,
      agentDropped: handOff + BigInt(this.aggregator.counters.dropped + this.#tails.lost),
      spoolDropped: BigInt(dropped.allow + dropped.deny + this.#ports.uploader.counters.lost),
      recordsSent: BigInt(this.#ports.uploader.counters.records),
    });
  }

  /** Sends translations as a batch without records. False: the controller is away or slow, nothing was taken. */
  offerTranslations(translations: TranslationColumns): boolean {
    const { uploader } = this.#ports;
    if (!uploader.connected || uploader.inMemory >= TRANSLATIONS_WAIT) return false;
    uploader.offer('allow', 0, (sequence) =>
      FlowUploadMessage.encode({
        run: this.#runBytes,
        sequence: BigInt(sequence),
        flows: undefined,
        loss: this.loss(),
        translations,
      }).finish(),
    );
    return true;
  }

  /** Takes in what the rings still hold and hands every record to the uploader. */
  async close(): Promise<void> {
    this.#cancel?.();
    await this.#consumer?.flush();
    await this.#consumer?.close();
    this.#cancelPrompt?.();
    this.aggregator.flush(this.#clock.monotonicNs(), true);
  }

  #schedule(): void {
    this.#cancel = this.#ports.timers.after(this.#options.flushMs, () => {
      this.#clock.resample();
      const tails = this.#tails.sweep(this.#ports.denied(), this.#clock.monotonicNs());
      if (tails.length > 0) this.takeSwept(tails);
      this.#nowNs = this.#clock.monotonicNs();
      this.aggregator.flush(this.#nowNs);
      this.#ports.spool.sync();
      this.#schedule();
    });
  }

  #take(batch: RingBatch): void {
    try {
      this.aggregator.ingest(batch.buffer, batch.recordCount);
      if (batch.lane === DENY_LANE) this.#tails.note(batch.buffer, batch.recordCount);
    } finally {
      batch.release();
    }
    this.#flushPrompt();
  }

  /** What is new leaves at once while somebody is there to see it; a spool gets whole intervals. */
  #flushPrompt(): void {
    if (!this.aggregator.wantsPrompt || !this.#ports.uploader.connected) return;
    this.#nowNs = this.#clock.monotonicNs();
    if (this.#prompt.take(this.#nowNs)) this.aggregator.flushPrompt();
    else this.#flushPromptLater();
  }

  /** As soon as it may: no other batch need come for that. */
  #flushPromptLater(): void {
    const { waitMs } = this.#prompt;
    if (waitMs === undefined || this.#cancelPrompt !== undefined) return;
    this.#cancelPrompt = this.#ports.timers.after(waitMs, () => {
      this.#cancelPrompt = undefined;
      this.#flushPrompt();
    });
  }

  #offer(batch: RecordBatch): void {
    this.#ports.uploader.offer(batch.lane, batch.columns.count, (sequence) =>
      FlowUploadMessage.encode({
        run: this.#runBytes,
        sequence: BigInt(sequence),
        flows: batch.columns,
        loss: this.loss(),
        translations: undefined,
      }).finish(),
    );
  }
}
