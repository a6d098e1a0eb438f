// The store as its thread runs it: what is taken goes into the journal at once, which makes it safe, waits in memory for a few seconds,
// and is then written to the database, but for rows that others have taken the place of meanwhile. Whoever reads has it all written first.
//
//   append ──► journal (safe: agents are answered, tails told) ──► waiting rows ──(HOLD_MS, or too many)──► database ──► journal files go
//                 │ disk full                                        ▲ replaced here: never stored
//                 ▼                                                  │
//               lost, counted                    a process that died: read from the journal, what the database has not
import { statSync } from 'node:fs';
import type { FlowEndInfo } from '../block.js';
import type { ArchiveStatus, RunMark } from './archive.js';
import { FlowDatabase } from './database.js';
import { OPEN_AFTER_MS } from './hours.js';
import { Journal, journalBase } from './journal.js';
import type { JournalEntry, JournaledBatch } from './journal-entry.js';
import { lossOf } from './marks.js';
import type { BatchMessage, Opened, StoreSettings } from './messages.js';
import { unpackColumns } from './packed-batch.js';
import { WaitingRows } from './waiting-rows.js';

export interface KeeperOptions {
  /** How long a row waits for another one to take its place, milliseconds. */
  readonly holdMs: number;
  /** Rows that wait at most, replaced ones included: about 0.25 kB of memory each, and as much in the journal. */
  readonly rowsMax: number;
}

export const KEEPER_DEFAULTS: KeeperOptions = { holdMs: 3000, rowsMax: 393_216 };
/** Rows are stored when the oldest has waited this much longer than need be: a transaction costs whatever is in it. */
const GROUP_MS = 1000;
/** The controller's clock has been set when it went on by so much more or less than time did: rows would pass for older than they are. */
const CLOCK_SET_MS = OPEN_AFTER_MS / 2;

export class FlowKeeper {
  readonly #database: FlowDatabase;
  readonly #settings: StoreSettings;
  readonly #options: KeeperOptions;
  readonly #waiting = new WaitingRows();
  /** Every end that the main thread has numbered. */
  readonly #ends: FlowEndInfo[] = [];
  #journal: Journal | undefined;
  #serial = 0;
  #nowMs = 0;
  /** When that was, by a clock that nobody sets. */
  #atMs = 0;
  /** Of the journal; the database has its own. */
  #problem = '';
  /** The database does one thing at a time. */
  #under: Promise<unknown> = Promise.resolve();

  constructor(settings: StoreSettings, options: KeeperOptions = KEEPER_DEFAULTS) {
    this.#settings = settings;
    this.#options = options;
    this.#database = new FlowDatabase(settings);
  }

  /** Opens or makes the store, and takes up what an earlier process had taken and not stored. Rejects as FlowDatabase does. */
  async open(line: string, nowMs: number): Promise<Opened> {
    const opened = await this.#database.open(line, nowMs);
    [this.#nowMs, this.#atMs] = [nowMs, performance.now()];
    const base = journalBase(this.#settings.file);
    const stored = this.#database.storedSerial;
    const { batches, foreign } = Journal.read(base, opened.status.line);
    const left = batches.filter(({ serial }) => serial > stored);
    this.#database.lose(foreign);
    this.#serial = left.at(-1)?.serial ?? stored;
    this.#journal = new Journal(base, opened.status.line, this.#serial);
    const lastId = left.reduce((most, { firstId, count }) => Math.max(most, firstId + count - 1), 0);
    for (const batch of left) this.#waiting.add(batch, Number.NEGATIVE_INFINITY);
    await this.settle();
    const marks = withBatches(this.#database.marks, this.#waiting.batches);
    const { replaceableFrom } = this.#database;
    return { firstId: this.#database.firstIdAfter(lastId), replaceableFrom, marks, status: this.status() };
  }

  /** Takes batches: true when they are safe, false when they are lost and counted. Never rejects. */
  async append(messages: readonly BatchMessage[], nowMs: number): Promise<boolean> {
    this.#passTo(nowMs);
    const entries = messages.map((message) => this.#entry(message));
    const batches = entries.map(({ batch }) => batch);
    // More than may wait: either the database keeps up, or what comes is lost.
    while (this.#waiting.rows > this.#options.rowsMax) {
      if (await this.#store(Number.NEGATIVE_INFINITY, this.#options.rowsMax / 2)) continue;
      this.#database.lose(batches);
      return false;
    }
    try {
      this.#journal?.write(entries);
      this.#problem = '';
    } catch (error) {
      this.#problem = `Cannot write the flow journal: ${error instanceof Error ? error.message : String(error)}`;
      this.#database.lose(batches);
      return false;
    }
    const atMs = performance.now();
    for (const batch of batches) this.#waiting.add(batch, atMs);
    return true;
  }

  /** Call a few times a second: stores what has waited long enough. False: there was nothing to do. Never rejects. */
  async beat(): Promise<boolean> {
    const { holdMs, rowsMax } = this.#options;
    const now = performance.now();
    const old = (this.#waiting.oldestMs ?? now) <= now - holdMs - GROUP_MS;
    if (!old && this.#waiting.rows <= rowsMax / 2) return false;
    await this.#store(now - holdMs, rowsMax / 2);
    return true;
  }

  /** Stores everything that was taken so far, if that can be done: `status` tells what is wrong when not. Never rejects. */
  async settle(): Promise<void> {
    await this.#under;
    if (this.#waiting.oldestMs !== undefined) await this.#store(Number.POSITIVE_INFINITY, 0);
  }

  /** Resolves when the database has done what it was asked to do before. */
  async free(): Promise<void> {
    await this.#under;
  }

  /** Asks the database, once everything that was taken so far is in it. */
  async ask<T>(question: (database: FlowDatabase) => Promise<T>): Promise<T> {
    await this.settle();
    return this.#alone(() => question(this.#database));
  }

  /** Retention and rollups. Never rejects. */
  async tick(nowMs: number): Promise<void> {
    this.#passTo(nowMs);
    await this.#alone(() => this.#database.tick(nowMs));
  }

  status(): ArchiveStatus {
    const status = this.#database.status();
    const kept = Math.max(0, status.kept + this.#waiting.net);
    // What is safe and not in the database's own file yet is most of it, for the first hour.
    const log = statSync(`${this.#settings.file}.wal`, { throwIfNoEntry: false })?.size ?? 0;
    const bytes = status.bytes + log + (this.#journal?.bytes ?? 0);
    return { ...status, kept, bytes, problem: status.problem || this.#problem };
  }

  async close(): Promise<void> {
    await this.settle();
    if (this.#waiting.oldestMs === undefined) this.#journal?.remove();
    else this.#journal?.close();
    this.#database.close();
  }

  #passTo(nowMs: number): void {
    const atMs = performance.now();
    const setBy = nowMs - this.#nowMs - (atMs - this.#atMs);
    [this.#nowMs, this.#atMs] = [nowMs, atMs];
    if (Math.abs(setBy) > CLOCK_SET_MS) this.#database.onClockSet(nowMs);
  }

  #entry({ bytes, freshEnds, ...head }: BatchMessage): JournalEntry {
    for (const end of freshEnds) this.#ends.push(end);
    this.#serial += 1;
    const columns = unpackColumns(bytes, head.count);
    return { batch: { ...head, serial: this.#serial, columns, ends: this.#ends }, bytes };
  }

  /** Stores the oldest batches (see WaitingRows.take); false: it cannot be done now. */
  #store(beforeMs: number, rowsMax: number): Promise<boolean> {
    return this.#alone(async () => {
      const batches = this.#waiting.take(beforeMs, rowsMax);
      if (batches.length === 0) return true;
      const stored = await this.#database.tryCommit(batches, this.#nowMs, () => this.#waiting.settle(true));
      if (!stored) this.#waiting.settle(false);
      if (stored) this.#release();
      return stored;
    });
  }

  #release(): void {
    try {
      this.#journal?.release(this.#database.storedSerial);
    } catch {
      // A file that cannot be removed now is for the next process: it knows that all of it is stored.
    }
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#under;
    const done = before.then(work);
    this.#under = done.catch(() => undefined);
    return done;
  }
}

/** Marks as they will be when these batches are stored. */
function withBatches(marks: readonly RunMark[], batches: readonly JournaledBatch[]): RunMark[] {
  const all = new Map(marks.map((mark) => [`${mark.hostId} ${mark.run}`, mark]));
  for (const { hostId, run, sequence, loss } of batches) {
    const key = `${hostId} ${run}`;
    const before = all.get(key);
    const highest = before !== undefined && before.sequence > sequence ? before.sequence : sequence;
    all.set(key, { hostId, run, sequence: highest, loss: loss === undefined ? before?.loss : lossOf(loss) });
  }
  return [...all.values()];
}
