// The store on disk: one DuckDB file. Lives in a worker thread, since commits and scans block. One call at a time.
//
// A transaction holds the records of a batch, the dictionary entries that they use, and the mark of the agent's run (run, sequence,
// counters): after a crash a batch is there with its mark or not at all, so that it is taken exactly once.
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { byHop, type Gap, type KeptGap } from '../gaps.js';
import type {
  ArchiveStatus,
  GraphRequest,
  GraphRow,
  PageRequest,
  ResolvedFilter,
  RunMark,
  TimelineRequest,
  TimelineRow,
} from './archive.js';
import { backupTo } from './backup.js';
import { DICTIONARY_DDL, Dictionary } from './dictionary.js';
import { extend } from './extents.js';
import { dropGaps, GAP_DDL, readGaps, storeGaps } from './gap-table.js';
import { graphOf } from './graph-sql.js';
import { dayOf, Hours, inTransaction, rolledDays } from './hours.js';
import { Marks } from './marks.js';
import type { Opened, PageColumns, StoreBatch, StoreSettings } from './messages.js';
import { gapsOf, lostWith } from './missing.js';
import {
  addMissingColumns,
  HOUR_MS,
  HOURS_PER_DAY,
  PARTITION_DDL,
  type Partition,
  ROLLED_DDL,
  recordTable,
  wholeDayTable,
} from './partitions.js';
import { readPage } from './reader.js';
import { removeRows } from './replaced-rows.js';
import { sqlCondition, timeCondition } from './sql-filter.js';
import { timelineOf } from './timeline-sql.js';
import { appendRows, type NumberedBatch } from './writer.js';

/** Ids of a new process start on a multiple of this: an id that was shown but never stored is not given again. */
const ID_BLOCK = 1_000_000;
/** Days for which rollups stay when their records have left. */
const ROLLUP_DAYS = 400;
/** Commits between two looks at the size. */
const SIZE_EVERY = 32;
const RETRY_MS = 2000;

export class FlowDatabase {
  readonly #settings: StoreSettings;
  #instance: DuckDBInstance | undefined;
  #connection: DuckDBConnection | undefined;
  #dictionary = new Dictionary();
  #marks = new Marks();
  readonly #hours = new Hours();
  #line = '';
  #dropped = 0;
  #lost = 0;
  #bytes = 0;
  #problem = '';
  #commits = 0;
  #storedSerial = 0;
  #retryAtMs = 0;
  /** Lost since the last transaction that committed. */
  #missed: Gap[] = [];

  constructor(settings: StoreSettings) {
    this.#settings = settings;
  }

  /** Opens or makes the file at Unix time `nowMs`. Rejects when it is damaged, foreign or cannot be written. */
  async open(line: string, nowMs = 0): Promise<Opened> {
    await this.#connect(line);
    this.#hours.onClockSet(nowMs);
    const [firstId, { replaceableFrom, marks }] = [this.firstIdAfter(0), this];
    return { firstId, replaceableFrom, marks, status: this.status() };
  }

  /** The first id from which on rows may still be replaced. */
  get replaceableFrom(): number {
    return this.#hours.replaceableFrom;
  }

  /** First id of a process that begins now, when ids up to `known` are taken beside what is stored. */
  firstIdAfter(known: number): number {
    const newest = Math.max(known, this.#hours.maxId);
    return newest === 0 ? 1 : Math.ceil((newest + 1) / ID_BLOCK) * ID_BLOCK + 1;
  }

  get marks(): RunMark[] {
    return this.#marks.all();
  }

  /** Everything handed over up to this one is stored; 0: nothing ever was. */
  get storedSerial(): number {
    return this.#storedSerial;
  }

  /** Stores batches in one transaction; false: they are lost and counted. Never rejects. */
  async commit(batches: readonly StoreBatch[], nowMs: number): Promise<boolean> {
    const stored = await this.tryCommit(batches, nowMs);
    if (!stored) this.lose(batches);
    return stored;
  }

  /**
   * Stores batches in one transaction; false: nothing of them is stored, and they may be given again. `onStored` is called in the turn in
   * which `status` begins to count them. Never rejects.
   */
  async tryCommit(batches: readonly StoreBatch[], nowMs: number, onStored = () => {}): Promise<boolean> {
    // What was in doubt is read back: a transaction that did commit is not stored twice.
    const again = async () => {
      await this.#connect(this.#line);
      const missing = batches.filter((batch) => !this.#has(batch));
      await this.#store(missing, nowMs, onStored);
    };
    try {
      if (this.#problem === '') await this.#store(batches, nowMs, onStored).catch(again);
      else {
        if (this.#tooSoon(nowMs)) throw new Error(this.#problem);
        await again();
      }
      this.#problem = '';
    } catch (error) {
      await this.#onTrouble(error, nowMs);
      return false;
    }
    await this.#maintain(nowMs);
    return true;
  }

  /** Counts batches as lost: told as gaps with the next ones that are stored. */
  lose(batches: readonly StoreBatch[]): void {
    this.#lost += batches.reduce((sum, { count }) => sum + count, 0);
    this.#missed = byHop([...this.#missed, ...batches.flatMap((batch) => [...batch.gaps, ...lostWith(batch)])]);
  }

  /** The clock of `nowMs` has been set: how old rows are is not known by it. */
  onClockSet(nowMs: number): void {
    this.#hours.onClockSet(nowMs);
  }

  /** Retention and rollups. Never rejects. */
  async tick(nowMs: number): Promise<void> {
    if (this.#problem !== '') return;
    this.#commits = 0;
    await this.#maintain(nowMs);
  }

  async page({ filter, afterId, limit }: PageRequest): Promise<PageColumns> {
    const condition = `${sqlCondition(filter, this.#dictionary)} AND ${timeCondition(filter)}`;
    const tables = this.#hours
      .matching(filter)
      .filter(({ maxId }) => maxId > afterId)
      .map(({ hour }) => recordTable(hour));
    const page = await readPage(this.#open(), tables, condition, afterId, limit, this.#dictionary);
    const lastId = page.more ? Number(page.columns.id?.[page.count - 1] ?? afterId) : undefined;
    return { ...page, gaps: await readGaps(this.#open(), filter, afterId, lastId) };
  }

  /** What is missing among the records of these times. */
  async gaps(filter: ResolvedFilter): Promise<KeptGap[]> {
    return readGaps(this.#open(), filter);
  }

  async startOfNewest(filter: ResolvedFilter, limit: number): Promise<number> {
    const condition = `${sqlCondition(filter, this.#dictionary)} AND ${timeCondition(filter)}`;
    let wanted = limit;
    for (const { hour } of this.#hours.matching(filter).reverse()) {
      const table = recordTable(hour);
      const found = Number(await this.#one(`SELECT count(*) FROM ${table} WHERE ${condition}`));
      if (found >= wanted) {
        const sql = `SELECT id FROM ${table} WHERE ${condition} ORDER BY id DESC LIMIT 1 OFFSET ${wanted - 1}`;
        return Number(await this.#one(sql)) - 1;
      }
      wanted -= found;
    }
    return 0;
  }

  async graph(request: GraphRequest): Promise<GraphRow[]> {
    return graphOf(this.#open(), this.#hours.all, request, this.#dictionary, await rolledDays(this.#open()));
  }

  async timeline(request: TimelineRequest): Promise<TimelineRow[]> {
    return timelineOf(this.#open(), this.#hours.all, request, this.#dictionary, await rolledDays(this.#open()));
  }

  /** First packet of the oldest record that is kept; 0: none. */
  oldestUs(): number {
    return this.#hours.oldestUs;
  }

  /** Days of which there are rollups, and of these the ones that are over. */
  async rollups(): Promise<{ readonly days: number; readonly wholeDays: number }> {
    const { hourly, whole } = await rolledDays(this.#open());
    return { days: hourly.length, wholeDays: whole.size };
  }

  /** See backupTo. */
  async backup(file: string): Promise<void> {
    await backupTo(this.#open(), file);
  }

  status(): ArchiveStatus {
    return {
      kept: this.#hours.kept,
      keptMax: 0,
      dropped: this.#dropped,
      lost: this.#lost,
      bytes: this.#bytes,
      problem: this.#problem,
      line: this.#line,
    };
  }

  close(): void {
    this.#connection?.closeSync();
    this.#instance?.closeSync();
    this.#connection = undefined;
    this.#instance = undefined;
  }

  #open(): DuckDBConnection {
    if (this.#connection === undefined) throw new Error(`Cannot read the flow store: ${this.#problem}`);
    return this.#connection;
  }

  async #connect(line: string): Promise<void> {
    this.close();
    const { file, memoryBytes } = this.#settings;
    this.#instance = await DuckDBInstance.create(file, {
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      memory_limit: `${memoryBytes}B`,
      threads: '2',
      preserve_insertion_order: 'true',
      checkpoint_threshold: '64MB',
      temp_directory: `${file}.tmp`,
    });
    const connection = await this.#instance.connect();
    this.#connection = connection;
    const ddl = [
      ...DICTIONARY_DDL,
      ...Marks.ddl,
      PARTITION_DDL,
      ROLLED_DDL,
      GAP_DDL,
      'CREATE TABLE IF NOT EXISTS flow_journal (stored UBIGINT NOT NULL)',
      'CREATE TABLE IF NOT EXISTS flow_meta (line VARCHAR NOT NULL)',
    ];
    for (const statement of ddl) await connection.run(statement);
    const known = await this.#one('SELECT line FROM flow_meta');
    if (known === undefined) await connection.run(`INSERT INTO flow_meta VALUES ('${line.replaceAll("'", "''")}')`);
    this.#line = known === undefined ? line : String(known);
    this.#dictionary = await Dictionary.load(connection);
    this.#marks = await Marks.load(connection);
    await addMissingColumns(connection);
    // Ids of rows that go with a batch, while its transaction lasts.
    await connection.run('CREATE TEMP TABLE going (id UBIGINT)');
    this.#storedSerial = Number((await this.#one('SELECT max(stored) FROM flow_journal')) ?? 0);
    await this.#hours.load(connection);
    await this.#measureSize();
  }

  async #store(batches: readonly StoreBatch[], nowMs: number, onStored: () => void): Promise<void> {
    const connection = this.#open();
    const part = this.#hours.writable(nowMs);
    const numbered = batches.map((batch) => this.#number(batch));
    const serial = batches.reduce((most, batch) => Math.max(most, batch.serial ?? 0), this.#storedSerial);
    let gone = new Map<Partition, number>();
    const missed = this.#missed;
    this.#missed = [];
    await inTransaction(connection, async () => {
      await this.#hours.prepare(connection, part);
      await this.#dictionary.store(connection);
      await appendRows(connection, recordTable(part.hour), numbered);
      gone = await removeRows(connection, batches, this.#hours.all, part);
      await this.#marks.store(connection, batches);
      await storeGaps(connection, gapsOf(missed, batches, part));
      if (serial > this.#storedSerial) await storeSerial(connection, serial);
    }).catch((error: unknown) => {
      this.#missed = byHop([...missed, ...this.#missed]);
      throw error;
    });
    this.#storedSerial = serial;
    this.#dictionary.committed();
    this.#marks.take(batches);
    for (const batch of batches) extend(part, batch);
    this.#hours.written(part, nowMs);
    for (const [from, rows] of gone) from.rows -= rows;
    onStored();
  }

  /** Whether a batch is stored already. */
  #has(batch: StoreBatch): boolean {
    return batch.serial === undefined ? this.#marks.has(batch) : batch.serial <= this.#storedSerial;
  }

  #number(batch: StoreBatch): NumberedBatch {
    return {
      batch,
      ends: this.#dictionary.endNumbers(batch.ends),
      strings: Uint32Array.from(batch.strings, (text) => this.#dictionary.stringNumber(text)),
    };
  }

  /** After an error nothing is trusted: the file is opened anew before the next attempt, not more often than each RETRY_MS. */
  async #onTrouble(error: unknown, nowMs: number): Promise<void> {
    const text = error instanceof Error ? error.message : String(error);
    const first = this.#problem === '';
    this.#problem = text;
    if (!first && this.#tooSoon(nowMs)) return;
    this.#retryAtMs = nowMs + RETRY_MS;
    try {
      await this.#connect(this.#line);
      this.#problem = text;
    } catch {
      this.close();
    }
  }

  /** Whether the last attempt is too near. A clock that has gone back since does not put off the next one. */
  #tooSoon(nowMs: number): boolean {
    return nowMs < this.#retryAtMs && nowMs >= this.#retryAtMs - RETRY_MS;
  }

  async #maintain(nowMs: number): Promise<void> {
    const connection = this.#open();
    try {
      await this.#hours.rollUp(connection, nowMs);
      await this.#hours.close(connection, nowMs, () => this.#marks.compact(connection));
      const oldest = Math.floor(nowMs / HOUR_MS) - this.#settings.days * HOURS_PER_DAY;
      const believed = this.#hours.believes(nowMs);
      while (believed && (this.#hours.all[0]?.hour ?? oldest) < oldest) await this.#dropOldest(connection);
      if (this.#commits % SIZE_EVERY === 0) {
        if (believed) await this.#dropOldRollups(connection, dayOf(oldest) - ROLLUP_DAYS);
        await this.#measureSize();
        while (this.#bytes > this.#settings.bytes && this.#hours.all.length > 1) {
          await this.#dropOldest(connection);
          await connection.run('CHECKPOINT');
          await this.#measureSize();
        }
      }
      this.#commits += 1;
    } catch (error) {
      await this.#onTrouble(error, nowMs);
    }
  }

  async #dropOldest(connection: DuckDBConnection): Promise<void> {
    const left = await this.#hours.dropOldest(connection);
    if (left === undefined) return;
    await dropGaps(connection, (left.hour + 1) * HOUR_MS * 1000);
    this.#dropped += left.rows;
  }

  async #dropOldRollups(connection: DuckDBConnection, oldestDay: number): Promise<void> {
    const { hourly } = await rolledDays(connection);
    for (const day of hourly.filter((each) => each < oldestDay)) {
      await connection.run(`DROP TABLE IF EXISTS ${wholeDayTable(day)}`);
      await connection.run(`DROP TABLE r_${day}`);
    }
    await dropGaps(connection, oldestDay * HOURS_PER_DAY * HOUR_MS * 1000);
  }

  async #measureSize(): Promise<void> {
    const sql = 'SELECT used_blocks * block_size FROM pragma_database_size() LIMIT 1';
    this.#bytes = Number(await this.#one(sql));
  }

  async #one(sql: string): Promise<unknown> {
    const reader = await this.#open().runAndReadAll(sql);
    return reader.getRows()[0]?.[0];
  }
}

async function storeSerial(connection: DuckDBConnection, serial: number): Promise<void> {
  await connection.run('DELETE FROM flow_journal');
  await connection.run(`INSERT INTO flow_journal VALUES (${serial})`);
}
