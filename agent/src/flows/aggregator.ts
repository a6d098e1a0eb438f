// Events of the kernel become one record per connection and interval. Counters in events are cumulative for the connection;
// records carry what was added since the last record, so that they can be summed. No object is made per event: rows are columns
// of typed arrays, found through ConnectionIndex.
//
// A connection's row lives from its first event to one regular flush after the one that reported its END (its events come from several
// CPUs' rings and may overtake each other by milliseconds). Rows that are idle go only when room is short. A row for denies lives for
// one interval; an eighth of the table is theirs alone, so that no flood of allowed connections costs one. Between regular flushes a
// prompt one may report what is new: a connection that ends later then makes two records.
import { EventKind, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { confidenceOf } from './confidence.js';
import { ConnectionIndex, KEY_WORDS } from './connection-index.js';
import { type CutConnection, cutConnection } from './cut-connection.js';
import { BYTE, EVENT_BYTES, EVENT_FLAG, EVENT_WORDS, u64, WORD } from './event-layout.js';
import { putLong, type RecordBatch, RecordBatchBuilder } from './record-batch.js';
import { RowColumns, RowState } from './row-columns.js';

/** The local workload of an endpoint number, also when the endpoint is gone by now. */
export type ResolveEndpoint = (endpoint: number) => { workloadId: string; identity: number } | undefined;

export interface AggregatorOptions {
  /** Connections held at once. */
  readonly tableEntries: number;
  /** Records in one batch at most. */
  readonly batchRecords: number;
  /** Rows that only saw UPDATE events leave every so many milliseconds, each at its own time; all others with every flush. */
  readonly updateMs: number;
  /** When this run began, CLOCK_MONOTONIC: what an older connection had counted before is not known to this run. */
  readonly startedNs: number;
}

export interface AggregatorPorts {
  readonly resolve: ResolveEndpoint;
  /** Unix microseconds of a monotonic time. */
  readonly toWallUs: (monotonicNs: number) => number;
  /** Takes each batch as it is complete. Its columns are used again after the call. */
  readonly onBatch: (batch: RecordBatch) => void;
  /** A ring told of a connection that was cut. */
  readonly onCut: (cut: CutConnection) => void;
  /** A better name than the kernel's for a process; absent: none. */
  readonly nameProcess?: (pid: number, comm: string) => string;
}

/** What the aggregator saw and could not keep. */
export interface AggregatorCounters {
  events: number;
  records: number;
  /** Events that found no room, or told of a connection that was already replaced by another with the same ports. */
  dropped: number;
  /** Connections taken up in the middle: traffic before is not in the records. */
  baselineUnknown: number;
}

/** By EventKind: 1 when it is worth a prompt flush. */
const PROMPT = new Uint8Array(256);
for (const kind of [EventKind.EVENT_KIND_NEW, EventKind.EVENT_KIND_VERDICT, EventKind.EVENT_KIND_DENY])
  PROMPT[kind] = 1;

/**
 * Parts of an UPDATE interval, a power of two. A row leaves in the part of its number: what many open connections have to tell goes bit
 * by bit, also when all of them began (or were taken up by a new run) at once.
 */
const PARTS = 128;

export class FlowAggregator {
  readonly counters: AggregatorCounters = { events: 0, records: 0, dropped: 0, baselineUnknown: 0 };
  readonly #options: AggregatorOptions;
  readonly #ports: AggregatorPorts;
  readonly #index: ConnectionIndex;
  readonly #rows: RowColumns;
  readonly #key = new Uint32Array(KEY_WORDS);
  readonly #allows: RecordBatchBuilder;
  readonly #denies: RecordBatchBuilder;
  readonly #comm = Buffer.alloc(16);
  /** Connections first seen up to here may have counted before they got their present row. */
  #baselineFloorNs: number;
  #dirty: number[] = [];
  /** Ended, and reported by a prompt flush since the last regular one. */
  #endedPrompt: number[] = [];
  /** Ended: these go with the next regular flush. */
  #ended: number[] = [];
  #prompt = false;
  /** Parts of UPDATE intervals since startedNs that were told. */
  #partsTold = 0;
  #reclaimed = false;

  constructor(options: AggregatorOptions, ports: AggregatorPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#index = new ConnectionIndex(options.tableEntries);
    this.#rows = new RowColumns(options.tableEntries);
    this.#allows = new RecordBatchBuilder('allow', options.batchRecords);
    this.#denies = new RecordBatchBuilder('deny', options.batchRecords);
    this.#baselineFloorNs = options.startedNs;
  }

  /** Connections held. */
  get size(): number {
    return this.#index.size;
  }

  /** Takes count packed events. The buffer is not kept. */
  ingest(buffer: ArrayBuffer, count: number): void {
    const words = new Uint32Array(buffer, 0, count * EVENT_WORDS);
    const bytes = new Uint8Array(buffer, 0, count * EVENT_BYTES);
    this.counters.events += count;
    for (let i = 0; i < count; i++) this.#ingestOne(words, bytes, i * EVENT_WORDS, i * EVENT_BYTES);
  }

  /** Since the last flush of any kind a connection began, was denied or was decided anew. */
  get wantsPrompt(): boolean {
    return this.#prompt;
  }

  /** Reports what need not wait for the end of the interval. Rows stay. */
  flushPrompt(): void {
    this.#prompt = false;
    this.#reportThose(RowState.urgent);
    for (const builder of [this.#denies, this.#allows]) this.#pass(builder);
  }

  /** Between regular flushes: reports rows with any of these bits. */
  #reportThose(bits: number): void {
    const waiting: number[] = [];
    for (const row of this.#dirty) {
      const state = this.#rows.state[row] as number;
      if ((state & bits) === 0) waiting.push(row);
      else this.#report(row, state, this.#endedPrompt);
    }
    this.#dirty = waiting;
  }

  /** Ends the interval: records leave. nowNs is CLOCK_MONOTONIC. With all, those waiting for their UPDATE interval leave too. */
  flush(nowNs: number, all = false): void {
    const { startedNs, updateMs } = this.#options;
    const part = this.#partsTold;
    this.#partsTold = Math.max(part, Math.floor(((nowNs - startedNs) * PARTS) / (updateMs * 1e6)));
    const due = all ? PARTS : this.#partsTold - part;
    this.#removeEnded();
    [this.#ended, this.#endedPrompt] = [this.#endedPrompt, []];
    const waiting: number[] = [];
    for (const row of this.#dirty) {
      const state = this.#rows.state[row] as number;
      if ((state & RowState.urgent) === 0 && ((row - part) & (PARTS - 1)) >= due) waiting.push(row);
      else this.#report(row, state, this.#ended);
    }
    this.#dirty = waiting;
    this.#reclaimed = false;
    this.#prompt = false;
    for (const builder of [this.#denies, this.#allows]) this.#pass(builder);
  }

  #report(row: number, state: number, ended: number[]): void {
    this.#emit(row);
    if (state & RowState.transient) this.#removeRow(row);
    else {
      this.#rows.state[row] = state & ~(RowState.dirty | RowState.urgent);
      if (state & RowState.ended) ended.push(row);
    }
  }

  #ingestOne(words: Uint32Array, bytes: Uint8Array, w: number, b: number): void {
    const kind = bytes[b + BYTE.kind] as number;
    const flags = bytes[b + BYTE.flags] as number;
    // A sweep has closed the sockets of what it cut.
    if ((flags & (EVENT_FLAG.CUT | EVENT_FLAG.SWEPT)) === EVENT_FLAG.CUT)
      this.#ports.onCut(cutConnection(words, bytes, w, b));
    const deny = kind === EventKind.EVENT_KIND_DENY;
    const key = this.#key;
    for (let i = 0; i < 8; i++) key[i] = words[w + WORD.local + i] as number;
    key[8] = words[w + WORD.ports] as number;
    key[9] = words[w + WORD.endpoint] as number;
    key[10] = (bytes[b + BYTE.proto] as number) | (deny ? 0x100 : 0);
    let row = this.#index.find(key);
    const fresh = row < 0;
    if (fresh) {
      row = this.#insert(key, deny);
      if (row < 0) {
        this.counters.dropped += 1;
        return;
      }
    }
    const timeNs = u64(words, w + WORD.timeNs);
    const firstSeenNs = u64(words, w + WORD.firstSeenNs) || timeNs;
    if (PROMPT[kind] !== 0) this.#prompt = true;
    if (deny) this.#addDeny(row, fresh, timeNs, words, bytes, w, b);
    else if (flags & EVENT_FLAG.LATE) this.#addLate(row, fresh, firstSeenNs, timeNs, words, bytes, w, b);
    else this.#addFlow(row, fresh, kind, firstSeenNs, timeNs, words, bytes, w, b);
  }

  #addDeny(
    row: number,
    fresh: boolean,
    timeNs: number,
    words: Uint32Array,
    bytes: Uint8Array,
    w: number,
    b: number,
  ): void {
    const rows = this.#rows;
    if (fresh) {
      rows.clear(row);
      rows.firstSeenUs[row] = this.#ports.toWallUs(timeNs);
    } else if (this.#decidedOtherwise(row, words, bytes, w, b)) this.#split(row, timeNs);
    this.#markDirty(row, RowState.urgent | RowState.transient);
    rows.addAttempts(row, words, bytes, w, b);
    rows.takeDecision(row, words, bytes, w, b);
    rows.lastNs[row] = Math.max(rows.lastNs[row] as number, timeNs);
  }

  #addFlow(
    row: number,
    fresh: boolean,
    kind: number,
    firstSeenNs: number,
    timeNs: number,
    words: Uint32Array,
    bytes: Uint8Array,
    w: number,
    b: number,
  ): void {
    const rows = this.#rows;
    const decidedAnew = fresh || rows.differs(row, words, bytes, w, b);
    if (fresh) this.#open(row, kind, firstSeenNs, words, w);
    else if (firstSeenNs > (rows.firstSeenNs[row] as number)) {
      // The ports were used again: what the former connection still had goes out as its own record.
      if ((rows.state[row] as number) & RowState.dirty) this.#emit(row);
      this.#open(row, kind, firstSeenNs, words, w);
    } else if (firstSeenNs < (rows.firstSeenNs[row] as number)) {
      this.counters.dropped += 1; // the last word of a connection whose ports are in use again
      return;
    } else if (timeNs < (rows.lastNs[row] as number)) {
      // Overtaken on another CPU's ring: newer counters are here already.
      rows.tcpFlags[row] = (rows.tcpFlags[row] as number) | (bytes[b + BYTE.tcpFlags] as number);
      return;
    } else if (this.#decidedOtherwise(row, words, bytes, w, b)) this.#split(row, timeNs);
    const added = rows.addCounters(row, words, w);
    rows.takeDecision(row, words, bytes, w, b);
    rows.lastNs[row] = timeNs;
    // The sweep tells a flow once more when it cannot know whether anything came after its last report.
    const nothingNew =
      !added && kind === EventKind.EVENT_KIND_UPDATE && ((rows.state[row] as number) & RowState.dirty) === 0;
    if (nothingNew && !decidedAnew) return;
    rows.attempts[row] = 1;
    const ended = kind === EventKind.EVENT_KIND_END ? RowState.ended : 0;
    this.#markDirty(row, ended | (kind === EventKind.EVENT_KIND_UPDATE ? 0 : RowState.urgent));
  }

  /**
   * What came after an END: its counters are of nothing else, so they are added whether or not the connection is remembered, and in
   * whatever order the rings of two processors give END and this.
   */
  #addLate(
    row: number,
    fresh: boolean,
    firstSeenNs: number,
    timeNs: number,
    words: Uint32Array,
    bytes: Uint8Array,
    w: number,
    b: number,
  ): void {
    const rows = this.#rows;
    if (fresh) {
      rows.clear(row);
      rows.firstSeenNs[row] = firstSeenNs;
      rows.firstSeenUs[row] = this.#ports.toWallUs(firstSeenNs);
    } else if (firstSeenNs !== rows.firstSeenNs[row]) {
      this.counters.dropped += 1; // its ports are in use again
      return;
    } else if (this.#decidedOtherwise(row, words, bytes, w, b)) this.#emit(row);
    rows.addLate(row, words, w);
    rows.lateNs[row] = Math.max(rows.lateNs[row] as number, timeNs);
    rows.takeDecision(row, words, bytes, w, b);
    rows.attempts[row] = 1;
    this.#markDirty(row, RowState.ended | RowState.urgent);
  }

  /** Begins a connection's row. Its counters start where this run can vouch for them. */
  #open(row: number, kind: number, firstSeenNs: number, words: Uint32Array, w: number): void {
    const rows = this.#rows;
    const keep = (rows.state[row] as number) & RowState.dirty;
    rows.clear(row);
    rows.state[row] = keep | RowState.used;
    rows.firstSeenNs[row] = firstSeenNs;
    rows.firstSeenUs[row] = this.#ports.toWallUs(firstSeenNs);
    if (kind === EventKind.EVENT_KIND_NEW || firstSeenNs > this.#baselineFloorNs) return;
    this.counters.baselineUnknown += 1;
    rows.setBaseline(row, words, w);
  }

  /** A record tells one decision: a changed one begins another record. */
  #decidedOtherwise(row: number, words: Uint32Array, bytes: Uint8Array, w: number, b: number): boolean {
    return ((this.#rows.state[row] as number) & RowState.dirty) !== 0 && this.#rows.differs(row, words, bytes, w, b);
  }

  #split(row: number, timeNs: number): void {
    this.#emit(row);
    if ((this.#rows.state[row] as number) & RowState.transient) {
      this.#rows.firstSeenUs[row] = this.#ports.toWallUs(timeNs);
    }
  }

  #markDirty(row: number, bits: number): void {
    const state = this.#rows.state[row] as number;
    if ((state & RowState.dirty) === 0) this.#dirty.push(row);
    this.#rows.state[row] = state | RowState.used | RowState.dirty | bits;
  }

  #insert(key: Uint32Array, deny: boolean): number {
    const spared = deny ? 0 : this.#index.capacity >>> 3;
    let row = this.#index.insert(key, spared);
    if (row < 0 && this.#removeEndedEarly()) row = this.#index.insert(key, spared);
    if (row < 0 && !this.#reclaimed) {
      this.#reclaimed = true; // once per interval: it walks the table
      this.#reclaim();
      row = this.#index.insert(key, spared);
    }
    if (row >= 0 || !deny) return row;
    // Then at least the spared eighth is denies: they leave early.
    this.#reportThose(RowState.transient);
    return this.#index.insert(key);
  }

  /** Rows that wait for what other processors' rings may still hold of an ended connection; whether there were any. */
  #removeEndedEarly(): boolean {
    if (this.#ended.length + this.#endedPrompt.length === 0) return false;
    this.#ended = this.#ended.concat(this.#endedPrompt);
    this.#endedPrompt = [];
    this.#removeEnded();
    return true;
  }

  /** Makes room when no ended connection is left: the quarter of the rest that was silent longest. */
  #reclaim(): void {
    const rows = this.#rows;
    const idle: number[] = [];
    for (let row = 0; row < this.#index.capacity; row++) {
      if (((rows.state[row] as number) & (RowState.used | RowState.dirty)) === RowState.used) idle.push(row);
    }
    idle.sort((a, b) => (rows.lastNs[a] as number) - (rows.lastNs[b] as number));
    for (const row of idle.slice(0, Math.ceil(idle.length / 4))) {
      this.#baselineFloorNs = Math.max(this.#baselineFloorNs, rows.firstSeenNs[row] as number);
      this.#removeRow(row);
    }
  }

  #removeEnded(): void {
    for (const row of this.#ended) {
      // Dirty again: its ports were taken by a new connection, or a late event came; the next flush sees to it.
      const state = this.#rows.state[row] as number;
      if ((state & (RowState.ended | RowState.dirty)) === RowState.ended) this.#removeRow(row);
    }
    this.#ended = [];
  }

  #removeRow(row: number): void {
    this.#rows.state[row] = 0;
    this.#index.remove(row);
  }

  #emit(row: number): void {
    const rows = this.#rows;
    const verdict = rows.verdict[row] as number;
    const denied = verdict === Verdict.VERDICT_BLOCKED || verdict === Verdict.VERDICT_WOULD_BLOCK;
    const builder = denied ? this.#denies : this.#allows;
    const keys = this.#index.keys;
    const key = row * KEY_WORDS;
    const owner = this.#ports.resolve(keys[key + 9] as number);
    const at = builder.begin();
    const c = builder.columns;
    for (let i = 0; i < 4; i++) {
      c.localIp[4 * at + i] = keys[key + i] as number;
      c.remoteIp[4 * at + i] = keys[key + 4 + i] as number;
    }
    // Both ports lie in network order in one word: local in its first two bytes.
    const ports = keys[key + 8] as number;
    c.localPort[at] = ((ports & 0xff) << 8) | ((ports >>> 8) & 0xff);
    c.remotePort[at] = ((ports >>> 8) & 0xff00) | (ports >>> 24);
    c.protocol[at] = (keys[key + 10] as number) & 0xff;
    c.workloadRef[at] = builder.ref(owner?.workloadId ?? '');
    c.localIdentity[at] = owner?.identity ?? 0;
    const seenNs = Math.max(rows.lastNs[row] as number, rows.lateNs[row] as number);
    putLong(c.lastSeenUs, at, rows.tellUntil(row, this.#ports.toWallUs(seenNs)));
    c.confidence[at] = confidenceOf(rows.identity[row] as number, rows.flags[row] as number);
    rows.writeTo(row, builder, at);
    const comm = rows.processName(row, this.#comm);
    const name = this.#ports.nameProcess?.(c.pid[at] as number, comm) ?? comm;
    c.processRef[at] = builder.ref(name);
    rows.clearDeltas(row);
    this.counters.records += 1;
    if (builder.full) this.#pass(builder);
  }

  #pass(builder: RecordBatchBuilder): void {
    const batch = builder.take();
    if (batch) this.#ports.onBatch(batch);
  }
}
