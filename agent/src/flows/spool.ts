// Flow batches on disk while the controller is away. A directory of segments, each a CBOR sequence of batches of one lane and one
// run, named <run order>-<run>-<first sequence>.<lane>; the oldest first. Appended only; read back in the order of sequences over
// both lanes; a segment goes when all in it is acknowledged. Over the bound, the oldest segment of allows goes first, then the
// oldest of denies; what goes is counted. A crash can cut the last batch of a segment short: it is dropped and the rest kept. What somebody
// else deletes, or the disk does not give back, is counted too: only append throws.
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { Decoder, Encoder } from 'cbor-x';
import { AgentError, messageOf } from '../errors.js';
import type { RecordLane } from './record-batch.js';
import { SegmentFile } from './segment-file.js';

/** A numbered batch in its wire form. */
export interface SpooledBatch {
  /** 16 bytes, hexadecimal. */
  readonly run: string;
  readonly sequence: number;
  readonly lane: RecordLane;
  readonly records: number;
  /** A FlowUploadMessage. */
  readonly message: Uint8Array;
}

interface Segment {
  readonly file: string;
  readonly order: number;
  readonly run: string;
  readonly lane: RecordLane;
  bytes: number;
  /** Batches not yet taken; undefined: on disk only. */
  rest: SpooledBatch[] | undefined;
  /** Records not yet taken. */
  records: number;
  /** Taken and not yet acknowledged. */
  out: Set<number>;
  readonly first: number;
}

export interface SpoolOptions {
  readonly directory: string;
  /** Bytes on disk at most. */
  readonly bytesMax: number;
}

/** The segment that a lane is appended to. */
interface OpenSegment {
  readonly segment: Segment;
  readonly file: SegmentFile;
  last: number;
}

const encoder = new Encoder({ useRecords: false });
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true });
const NAME = /^([0-9]{12})-([0-9a-f]{32})-([0-9]{16})\.(allow|deny)$/;

/** What one segment file may hold before the next is begun: an eighth of the bound, at most 2 MiB, since one is read whole. */
const segmentBytes = (bytesMax: number) => Math.min(2 << 20, Math.max(4096, Math.floor(bytesMax / 8)));

export class FlowSpool {
  /** Records dropped to stay inside the bound, and unreadable ones after damage. */
  readonly dropped = { allow: 0, deny: 0, damagedSegments: 0 };
  readonly #options: SpoolOptions;
  readonly #run: string;
  readonly #order: number;
  #segments: Segment[] = [];
  #open: Partial<Record<RecordLane, OpenSegment>> = {};
  #syncProblem: string | undefined;

  /** Opens the directory, made when missing. Batches appended here belong to the run. Throws RF_SPOOL. */
  constructor(options: SpoolOptions, run: string) {
    this.#options = options;
    this.#run = run;
    try {
      mkdirSync(options.directory, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(options.directory).sort()) this.#adopt(name);
    } catch (error) {
      throw new AgentError(
        'RF_SPOOL',
        `Cannot open spool ${options.directory}: ${messageOf(error)}, wanted a directory`,
        {
          cause: error,
        },
      );
    }
    this.#order = Math.max(0, ...this.#segments.map((s) => s.order)) + 1;
  }

  /** Nothing to send. Batches taken and not acknowledged count as sent. */
  get empty(): boolean {
    return this.#segments.every((s) => s.rest !== undefined && s.rest.length === 0);
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#segments.reduce((sum, s) => sum + s.bytes, 0);
  }

  /** Why the disk did not make sure of what was appended when it was last asked to; undefined: it did. */
  get syncProblem(): string | undefined {
    return this.#syncProblem;
  }

  /** Adds a batch of this run. Makes room first. Throws RF_SPOOL (disk full …): then nothing was added. */
  append(batch: SpooledBatch): void {
    const item = encoder.encode([
      batch.sequence,
      batch.records,
      checksum(batch.sequence, batch.records, batch.message),
      batch.message,
    ]);
    this.#makeRoom(item.length);
    try {
      const open = this.#writable(batch, item.length);
      const { segment } = open;
      this.#write(open, item);
      open.last = batch.sequence;
      segment.rest?.push(batch);
      segment.records += batch.records;
    } catch (error) {
      throw new AgentError('RF_SPOOL', `Cannot write spool ${this.#options.directory}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Begins to make what was appended survive a loss of power; the process may die as soon as append returned. */
  sync(): void {
    for (const open of Object.values(this.#open)) open.file.sync();
  }

  /** The oldest batch not yet taken; undefined when there is none. It stays on disk until acknowledged. */
  take(): SpooledBatch | undefined {
    for (let segment = this.#oldest(); segment; segment = this.#oldest()) {
      const batch = this.#restOf(segment).shift();
      if (!batch) {
        this.#remove(segment); // nothing in it can be read
        continue;
      }
      segment.records -= batch.records;
      segment.out.add(batch.sequence);
      return batch;
    }
    return undefined;
  }

  /** What was taken and not acknowledged is offered by take again, oldest first: as far as `holds` says. */
  rewind(): void {
    for (const segment of [...this.#segments]) {
      if (segment.out.size === 0) continue;
      const again = this.#read(segment).filter((b) => segment.out.has(b.sequence));
      segment.rest = [...again, ...(segment.rest ?? [])];
      segment.records = recordsOf(segment.rest);
      segment.out.clear();
      if (segment.rest.length === 0) this.#remove(segment);
    }
  }

  /** The batch is here and not taken. */
  holds({ run, lane, sequence }: SpooledBatch): boolean {
    const isOf = (s: Segment) => s.run === run && s.lane === lane && s.first <= sequence;
    return this.#segments.some((s) => isOf(s) && s.rest?.some((b) => b.sequence === sequence));
  }

  /** All batches of the run up to the sequence are safe with the controller: whole segments of them go. */
  acknowledge(run: string, sequence: number): void {
    for (const segment of [...this.#segments]) {
      if (segment.run !== run) continue;
      for (const taken of segment.out) if (taken <= sequence) segment.out.delete(taken);
      if (segment.rest !== undefined && segment.rest.length === 0 && segment.out.size === 0) this.#remove(segment);
    }
  }

  /** Closes the files and waits for the disk. What is in them stays; what the disk refused is `syncProblem`. */
  close(): void {
    const files = Object.values(this.#open).map(({ file }) => file);
    this.#open = {};
    for (const file of files) {
      try {
        file.closeNow();
      } catch (error) {
        this.#syncProblem = messageOf(error);
      }
    }
  }

  #adopt(name: string): void {
    const match = NAME.exec(name);
    if (!match) return;
    const file = join(this.#options.directory, name);
    this.#segments.push({
      file,
      order: Number(match[1]),
      run: match[2] ?? '',
      lane: match[4] === 'deny' ? 'deny' : 'allow',
      bytes: statSync(file).size,
      rest: undefined,
      records: 0,
      out: new Set(),
      first: Number(match[3]),
    });
  }

  /** The segment whose next batch is the oldest: segments stand by age, but the lanes of one run overlap. */
  #oldest(): Segment | undefined {
    const head = (s: Segment) => s.rest?.[0]?.sequence ?? s.first;
    let best: Segment | undefined;
    for (const segment of this.#segments) {
      if (segment.rest?.length === 0) continue;
      if (best && segment.order > best.order) break;
      if (!best || head(segment) < head(best)) best = segment;
    }
    return best;
  }

  /** A segment is in memory only when its turn comes. */
  #restOf(segment: Segment): SpooledBatch[] {
    if (segment.rest === undefined) {
      segment.rest = this.#read(segment);
      const found = recordsOf(segment.rest);
      // Of what this process wrote it knows how much is missing.
      this.dropped[segment.lane] += Math.max(0, segment.records - found);
      segment.records = found;
    }
    return segment.rest;
  }

  #read(segment: Segment): SpooledBatch[] {
    const batches: SpooledBatch[] = [];
    const take = (item: unknown) => {
      if (!Array.isArray(item)) return false;
      const [sequence, records, sum, message] = item as unknown[];
      if (typeof sequence !== 'number' || typeof records !== 'number' || !(message instanceof Uint8Array)) return false;
      if (checksum(sequence, records, message) !== sum) return false;
      batches.push({ run: segment.run, sequence, lane: segment.lane, records, message });
      return true;
    };
    let whole = true;
    try {
      const bytes = readFileSync(segment.file);
      decoder.decodeMultiple(bytes, (item: unknown) => {
        whole &&= take(item);
        return whole; // false ends the reading: what follows damage cannot be trusted
      });
    } catch {
      whole = false;
    }
    if (!whole) this.dropped.damagedSegments += 1;
    return batches;
  }

  /** Sequences grow inside a segment: older batches, spilled late, get their own. */
  #writable(batch: SpooledBatch, itemBytes: number): OpenSegment {
    const open = this.#open[batch.lane];
    const fits = open && open.segment.bytes + itemBytes <= segmentBytes(this.#options.bytesMax);
    if (fits && batch.sequence > open.last) return open;
    if (open) {
      delete this.#open[batch.lane];
      open.file.end();
    }
    const name = [String(this.#order).padStart(12, '0'), this.#run, String(batch.sequence).padStart(16, '0')].join('-');
    const path = join(this.#options.directory, `${name}.${batch.lane}`);
    mkdirSync(this.#options.directory, { recursive: true, mode: 0o700 });
    const file = new SegmentFile(path, (problem) => {
      this.#syncProblem = problem;
    });
    const segment: Segment = {
      file: path,
      order: this.#order,
      run: this.#run,
      lane: batch.lane,
      bytes: 0,
      rest: undefined,
      records: 0,
      out: new Set(),
      first: batch.sequence,
    };
    this.#segments.push(segment);
    this.#segments.sort((a, b) => a.order - b.order || a.first - b.first);
    const made = { segment, file, last: batch.sequence };
    this.#open[batch.lane] = made;
    return made;
  }

  /** A write that failed half way would make everything after it unreadable: the segment ends there. */
  #write({ file, segment }: OpenSegment, item: Uint8Array): void {
    try {
      file.append(item);
    } catch (error) {
      delete this.#open[segment.lane];
      file.end();
      throw error;
    } finally {
      segment.bytes = file.bytes;
    }
  }

  #makeRoom(bytes: number): void {
    while (this.bytes + bytes > this.#options.bytesMax) {
      const victim = this.#segments.find((s) => s.lane === 'allow') ?? this.#segments[0];
      if (!victim) return;
      this.#restOf(victim);
      this.dropped[victim.lane] += victim.records;
      this.#remove(victim);
    }
  }

  #remove(segment: Segment): void {
    const open = this.#open[segment.lane];
    if (open?.segment === segment) {
      delete this.#open[segment.lane];
      open.file.discard();
    }
    this.#segments = this.#segments.filter((s) => s !== segment);
    try {
      rmSync(segment.file, { force: true });
    } catch (error) {
      this.#syncProblem = messageOf(error);
    }
  }
}

function recordsOf(batches: readonly SpooledBatch[]): number {
  return batches.reduce((sum, { records }) => sum + records, 0);
}

function checksum(sequence: number, records: number, message: Uint8Array): number {
  return crc32(message, crc32(`${sequence},${records}`));
}
