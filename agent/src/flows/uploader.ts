// Batches on their way to the controller: numbered once, sent in order, kept until acknowledged, sent again under the same number
// after a reconnect. While the controller is away they go to the spool; while it is slow, memory holds a few and the spool the
// rest. Knows no gRPC: a connection is an UploadStream.
//
// States: away (no stream; every batch goes to disk) → sending (stream; at most `window` batches unacknowledged, none while the
// stream is full) → away. Order is always: sent and unacknowledged, then memory, then spool.
import { codeOf, messageOf } from '../errors.js';
import type { RecordLane } from './record-batch.js';
import type { FlowSpool, SpooledBatch } from './spool.js';

/** One connection to the controller's FlowUpload. */
export interface UploadStream {
  /** Sends a FlowUploadMessage in its wire form; false: send no more before onDrain. */
  write(message: Uint8Array): boolean;
}

export interface UploaderOptions {
  /** 16 bytes, hexadecimal: numbers the batches of this process. */
  readonly run: string;
  /** Sent and unacknowledged batches at most. */
  readonly window: number;
  /** Batches waiting in memory at most, before the spool takes them. */
  readonly memoryBatches: number;
}

export interface UploaderCounters {
  batches: number;
  records: number;
  acknowledged: number;
  resent: number;
  /** Records lost because neither memory nor spool could take them. */
  lost: number;
}

/** Batches sent and not acknowledged of which it is known that they were sent: the spool may have dropped them. */
const SENT_REMEMBERED = 4096;

export class FlowUploader {
  readonly counters: UploaderCounters = { batches: 0, records: 0, acknowledged: 0, resent: 0, lost: 0 };
  #refused: { code: string; message: string } | undefined;
  readonly #options: UploaderOptions;
  readonly #spool: FlowSpool;
  #stream: UploadStream | undefined;
  #blocked = false;
  #sequence = 0;
  #unacknowledged: { batch: SpooledBatch; spooled: boolean }[] = [];
  #queue: SpooledBatch[] = [];
  readonly #sentOnce = new Set<string>();

  constructor(options: UploaderOptions, spool: FlowSpool) {
    this.#options = options;
    this.#spool = spool;
  }

  /** Why the spool refused the last batch, or cannot make sure of those it took; undefined when all is well. */
  get spoolProblem(): { code: string; message: string } | undefined {
    const unsure = this.#spool.syncProblem;
    return (
      this.#refused ??
      (unsure === undefined ? undefined : { code: 'RF_SPOOL', message: `Cannot sync the spool: ${unsure}` })
    );
  }

  get connected(): boolean {
    return this.#stream !== undefined;
  }

  /** Batches not yet acknowledged that are in memory. */
  get inMemory(): number {
    return this.#unacknowledged.length + this.#queue.length;
  }

  /** Takes a batch. encode gets its number and gives the wire form, once. */
  offer(lane: RecordLane, records: number, encode: (sequence: number) => Uint8Array): void {
    this.#sequence += 1;
    this.counters.batches += 1;
    this.counters.records += records;
    const batch = { run: this.#options.run, sequence: this.#sequence, lane, records, message: encode(this.#sequence) };
    const room = this.#stream !== undefined && this.#spool.empty && this.#queue.length < this.#options.memoryBatches;
    if (room) this.#queue.push(batch);
    else this.#toSpool(batch);
    this.#pump();
  }

  /** A connection is there. Everything unacknowledged goes out on it, oldest first. */
  attach(stream: UploadStream): void {
    this.#stream = stream;
    this.#blocked = false;
    this.#pump();
  }

  /** The connection is gone. What it did not acknowledge is in the spool when this returns. */
  detach(): void {
    this.#stream = undefined;
    this.#spool.rewind();
    // Of what came from the spool, some may have made room there, or be damaged by now.
    const sent = this.#unacknowledged.filter(({ batch, spooled }) => !spooled || !this.#spool.holds(batch));
    const memory = [...sent.map(({ batch }) => batch), ...this.#queue];
    this.#unacknowledged = [];
    this.#queue = [];
    for (const batch of memory) this.#toSpool(batch);
    this.#spool.sync();
  }

  /** The stream takes messages again. */
  onDrain(): void {
    this.#blocked = false;
    this.#pump();
  }

  /** All of the run up to the sequence is with the controller. */
  onAck(run: string, sequence: number): void {
    const before = this.#unacknowledged.length;
    this.#unacknowledged = this.#unacknowledged.filter(({ batch }) => {
      const acknowledged = batch.run === run && batch.sequence <= sequence;
      if (acknowledged) this.#sentOnce.delete(`${batch.run}.${batch.sequence}`);
      return !acknowledged;
    });
    this.counters.acknowledged += before - this.#unacknowledged.length;
    this.#spool.acknowledge(run, sequence);
    this.#pump();
  }

  #pump(): void {
    while (this.#stream && !this.#blocked && this.#unacknowledged.length < this.#options.window) {
      const queued = this.#queue.shift();
      const batch = queued ?? this.#spool.take();
      if (!batch) return;
      this.#unacknowledged.push({ batch, spooled: queued === undefined });
      const name = `${batch.run}.${batch.sequence}`;
      if (this.#sentOnce.has(name)) this.counters.resent += 1;
      this.#sentOnce.add(name);
      const oldest = this.#sentOnce.values().next();
      if (this.#sentOnce.size > SENT_REMEMBERED && !oldest.done) this.#sentOnce.delete(oldest.value);
      this.#blocked = !this.#stream.write(batch.message);
    }
  }

  #toSpool(batch: SpooledBatch): void {
    try {
      this.#spool.append(batch);
      this.#refused = undefined;
    } catch (error) {
      this.#refused = { code: codeOf(error, 'RF_SPOOL'), message: messageOf(error) };
      // Denies displace allows; beyond that the newest goes, so that what is kept has no holes.
      if (this.#queue.length < this.#options.memoryBatches) {
        this.#queue.push(batch);
        return;
      }
      const victim = batch.lane === 'deny' ? this.#queue.findIndex((b) => b.lane === 'allow') : -1;
      const dropped = victim >= 0 ? this.#queue.splice(victim, 1)[0] : batch;
      if (victim >= 0) this.#queue.push(batch);
      this.counters.lost += dropped?.records ?? 0;
    }
  }
}
