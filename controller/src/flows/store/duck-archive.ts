// The archive on disk, as the main thread sees it: requests to the worker, and its answers.
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { BLOCK_RECORDS, FlowBlock, UNKNOWN_END } from '../block.js';
import type { KeptGap } from '../gaps.js';
import type { FlowRef } from '../history.js';
import type {
  ArchiveBatch,
  ArchiveStatus,
  BlockRange,
  FlowArchive,
  FlowPage,
  GraphRequest,
  GraphRow,
  PageRequest,
  ResolvedFilter,
  RunMark,
  TimelineRequest,
  TimelineRow,
} from './archive.js';
import { ADDRESS_FIELDS, STORED_COLUMNS } from './columns.js';
import { EndSession } from './end-session.js';
import { LOSS_COUNTERS } from './marks.js';
import type { BatchMessage, Opened, PageColumns, StoreAnswer, StoreRequest, StoreSettings } from './messages.js';
import { OpenReadings } from './open-readings.js';
import { packRows } from './packed-batch.js';

export interface DuckArchiveOptions extends StoreSettings {
  /** Unix milliseconds: names the hour of what arrives. */
  readonly now: () => number;
  /** The thread ended by itself: nothing can be stored or read any more. */
  readonly onDeath: (error: Error) => void;
}

const TICK_MS = 60_000;

interface Call {
  readonly resolve: (answer: StoreAnswer) => void;
  readonly reject: (error: Error) => void;
}

export class DuckArchive implements FlowArchive {
  readonly firstId: number;
  readonly replaceableFrom: number;
  readonly marks: readonly RunMark[];
  readonly #worker: Worker;
  readonly #options: DuckArchiveOptions;
  readonly #settling: {
    readonly records: number;
    readonly ranges: readonly BlockRange[];
    readonly settled: ((stored: boolean) => void)[];
  }[] = [];
  readonly #readings = new OpenReadings();
  readonly #calls = new Map<number, Call>();
  readonly #session = new EndSession();
  readonly #tick: NodeJS.Timeout;
  #call = 0;
  #pending = 0;
  #status: ArchiveStatus;
  #dead: Error | undefined;
  #closed = false;

  /** Opens or makes the file. Rejects with what is wrong with it. */
  static async open(options: DuckArchiveOptions): Promise<DuckArchive> {
    mkdirSync(dirname(options.file), { recursive: true, mode: 0o700 });
    const { file, days, bytes, memoryBytes } = options;
    const worker = new Worker(workerUrl(), {
      workerData: { file, days, bytes, memoryBytes, nowMs: options.now() } satisfies StoreSettings & { nowMs: number },
      execArgv: [],
    });
    const opened = await new Promise<Opened>((resolve, reject) => {
      worker.once('error', (error) => reject(new Error(`Cannot open flow store ${file}: ${messageOf(error)}`)));
      worker.once('exit', (code) =>
        reject(new Error(`Cannot open flow store ${file}: found its thread ended (${code})`)),
      );
      worker.once('message', (answer: StoreAnswer) => {
        if (answer.type === 'opened') resolve(answer.opened);
        else reject(new Error(`Cannot open flow store ${file}: found answer ${answer.type}`));
      });
    });
    for (const event of ['error', 'exit']) worker.removeAllListeners(event);
    return new DuckArchive(worker, opened, options);
  }

  private constructor(worker: Worker, opened: Opened, options: DuckArchiveOptions) {
    this.#worker = worker;
    this.#options = options;
    this.firstId = opened.firstId;
    this.replaceableFrom = opened.replaceableFrom;
    this.marks = opened.marks;
    this.#status = opened.status;
    worker.on('message', (answer: StoreAnswer) => this.#onAnswer(answer));
    worker.on('error', (error) => this.#onDeath(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', (code) =>
      this.#onDeath(new Error(`Cannot keep flow records: found the store's thread ended (${code})`)),
    );
    this.#tick = setInterval(() => this.#send({ type: 'tick', nowMs: options.now() }), TICK_MS);
    this.#tick.unref();
  }

  get pending(): number {
    return this.#pending;
  }

  append(batch: ArchiveBatch, settled: (stored: boolean) => void): void {
    const records = batch.ranges.reduce((sum, { from, to }) => sum + to - from, 0);
    if (this.#dead !== undefined) {
      this.#status = { ...this.#status, lost: this.#status.lost + records };
      settled(false);
      return;
    }
    this.#pending += records;
    this.#settling.push({ records, ranges: batch.ranges, settled: [settled] });
    const message = this.#message(batch, records);
    this.#worker.postMessage({ type: 'append', nowMs: this.#options.now(), batch: message } satisfies StoreRequest, [
      message.bytes,
    ]);
  }

  barrier(settled: () => void): void {
    const last = this.#settling.at(-1);
    if (last === undefined) settled();
    else last.settled.push(settled);
  }

  async page(request: PageRequest, joined?: () => void): Promise<FlowPage> {
    let known: ReadonlyMap<number, number> = new Map();
    const answer = await this.#ask(
      (call) => ({ type: 'page', call, request }),
      (given) => {
        if (given.type !== 'page') return;
        const { more, count, columns } = given.page;
        known = this.#readings.turn(request.afterId, Number(columns.id?.[count - 1] ?? request.afterId), more);
        if (!more) joined?.();
      },
    );
    if (answer.type !== 'page') throw new Error(`Cannot read flows: found answer ${answer.type}`);
    const records = refsOf(answer.page);
    if (known.size > 0) {
      for (const { block, index } of records) block.replaces[index] = known.get(block.idAt(index)) ?? 0;
    }
    const last = records.at(-1);
    return {
      records,
      gaps: answer.page.gaps,
      lastId: last === undefined ? request.afterId : last.block.idAt(last.index),
      more: answer.page.more,
    };
  }

  async startOfNewest(filter: ResolvedFilter, limit: number): Promise<number> {
    const answer = await this.#ask((call) => ({ type: 'start', call, filter, limit }));
    return answer.type === 'start' ? answer.afterId : 0;
  }

  async graph(request: GraphRequest): Promise<readonly GraphRow[]> {
    const answer = await this.#ask((call) => ({ type: 'graph', call, request }));
    return answer.type === 'graph' ? answer.rows : [];
  }

  async timeline(request: TimelineRequest): Promise<readonly TimelineRow[]> {
    const answer = await this.#ask((call) => ({ type: 'timeline', call, request }));
    return answer.type === 'timeline' ? answer.rows : [];
  }

  async gaps(filter: ResolvedFilter): Promise<readonly KeptGap[]> {
    const answer = await this.#ask((call) => ({ type: 'gaps', call, filter }));
    return answer.type === 'gaps' ? answer.gaps : [];
  }

  async oldestUs(): Promise<number> {
    const answer = await this.#ask((call) => ({ type: 'oldest', call }));
    return answer.type === 'oldest' ? answer.oldestUs : 0;
  }

  status(): ArchiveStatus {
    return this.#status;
  }

  async backup(file: string): Promise<void> {
    await this.#ask((call) => ({ type: 'backup', call, file }));
  }

  async close(): Promise<void> {
    clearInterval(this.#tick);
    if (this.#dead === undefined) await this.#ask((call) => ({ type: 'close', call }));
    this.#closed = true;
    await this.#worker.terminate();
  }

  #message(
    { hostId, run, sequence, firstId, ranges, replaced, loss, gaps }: ArchiveBatch,
    count: number,
  ): BatchMessage {
    const packed = packRows(ranges, (block) => this.#session.numbersOf(block.ends));
    return {
      hostId,
      run,
      sequence,
      firstId,
      count,
      replaced: Float64Array.from(replaced),
      ...packed,
      freshEnds: this.#session.takeFresh(),
      loss: loss && LOSS_COUNTERS.map((name) => loss[name]),
      gaps,
    };
  }

  #send(request: StoreRequest): void {
    if (this.#dead === undefined) this.#worker.postMessage(request);
  }

  #ask(request: (call: number) => StoreRequest, onAnswer?: (answer: StoreAnswer) => void): Promise<StoreAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#dead !== undefined) {
        reject(this.#dead);
        return;
      }
      this.#call += 1;
      this.#calls.set(this.#call, {
        resolve: (answer) => {
          onAnswer?.(answer);
          resolve(answer);
        },
        reject,
      });
      this.#send(request(this.#call));
    });
  }

  #onAnswer(answer: StoreAnswer): void {
    if (answer.type === 'settled') {
      this.#status = answer.status;
      this.#readings.expire();
      for (const { records, ranges, settled } of this.#settling.splice(0, answer.batches)) {
        this.#pending -= records;
        if (answer.stored && this.#readings.size > 0) this.#noteReplaced(ranges);
        for (const call of settled) call(answer.stored);
      }
    } else if (answer.type === 'status') {
      this.#status = answer.status;
    } else if (answer.type !== 'opened') {
      const call = this.#calls.get(answer.call);
      this.#calls.delete(answer.call);
      if (answer.type === 'failed') call?.reject(new Error(answer.message));
      else call?.resolve(answer);
    }
  }

  #noteReplaced(ranges: readonly BlockRange[]): void {
    for (const { block, from, to } of ranges) {
      for (let i = from; i < to; i += 1) {
        const replaced = block.replaces[i] as number;
        if (replaced !== 0) this.#readings.note(block.idAt(i), replaced);
      }
    }
  }

  #onDeath(error: Error): void {
    if (this.#closed || this.#dead !== undefined) return;
    this.#dead = error;
    const waiting = this.#settling.splice(0);
    const lost = waiting.reduce((sum, { records }) => sum + records, 0);
    this.#status = { ...this.#status, lost: this.#status.lost + lost, problem: error.message };
    this.#pending = 0;
    for (const call of waiting.flatMap(({ settled }) => settled)) call(false);
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
    this.#options.onDeath(error);
  }
}

/** From sources (tests) the built worker is used: threads do not resolve workspaces from source. */
function workerUrl(): URL {
  const built = import.meta.url.endsWith('.ts') ? '../../../dist/flows/store/worker.js' : './worker.js';
  return new URL(built, import.meta.url);
}

/** Columns of a page as blocks. */
function refsOf({ count, columns, ends, strings }: PageColumns): FlowRef[] {
  const refs: FlowRef[] = [];
  const column = (name: string) => columns[name] as Float64Array;
  for (let start = 0; start < count; start += BLOCK_RECORDS) {
    const size = Math.min(BLOCK_RECORDS, count - start);
    const ids = column('id').subarray(start, start + size);
    const block = new FlowBlock(ids[0] ?? 0, ids);
    for (const { name, source } of STORED_COLUMNS) {
      if (source.kind === 'wide' || source.kind === 'number') {
        block[source.field].set(column(name).subarray(start, start + size));
      } else if (source.kind === 'end' || source.kind === 'text') {
        const to = block[source.field];
        for (let i = 0; i < size; i += 1) {
          const number = column(name)[start + i] ?? 0;
          to[i] =
            source.kind === 'end'
              ? block.endRef(ends.get(number) ?? UNKNOWN_END)
              : block.stringRef(strings.get(number) ?? '');
        }
      }
    }
    for (const [name, field] of ADDRESS_FIELDS) {
      const { buffer, byteOffset } = block[field];
      const words = new BigUint64Array(buffer, byteOffset, 2 * BLOCK_RECORDS);
      const [a, b] = [columns[`${name}_a`], columns[`${name}_b`]] as [BigUint64Array, BigUint64Array];
      for (let i = 0; i < size; i += 1) {
        words[2 * i] = a[start + i] ?? 0n;
        words[2 * i + 1] = b[start + i] ?? 0n;
      }
    }
    for (let i = 0; i < size; i += 1) refs.push({ block, index: i });
    block.count = size;
  }
  return refs;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
