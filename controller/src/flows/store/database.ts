// The store on disk: one DuckDB file. Lives in a worker thread, since commits and scans block. One call at a time.
//
// A transaction holds the records of a batch, the dictionary entries that they use, and the mark of the agent's run (run, sequence,
// counters): after a crash a batch is there with its mark or not at all, so that it is taken exactly once.
import { rmSync } from 'node:fs';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { byHop, type Gap, type KeptGap } from '../gaps.js';
import type {
  ArchiveStatus,
  GraphRequest,
  GraphRow,
  PageRequest,
  ResolvedFilter,
  TimelineRequest,
  TimelineRow,
} from './archive.js';
import { DICTIONARY_DDL, Dictionary } from './dictionary.js';
import { dropGaps, GAP_DDL, readGaps, storeGaps } from './gap-table.js';
import { graphOf } from './graph-sql.js';
import { Marks } from './marks.js';
import type { Opened, PageColumns, StoreBatch, StoreSettings } from './messages.js';
import {
  addMissingColumns,
  closeHour,
  createRecordTable,
  HOUR_MS,
  HOURS_PER_DAY,
  measure,
  PARTITION_DDL,
  type Partition,
  partitionOf,
  recordTable,
} from './partitions.js';
import { readPage } from './reader.js';
import { sqlCondition, timeCondition } from './sql-filter.js';
import { timelineOf } from './timeline-sql.js';
import { appendIds, appendRows, type NumberedBatch } from './writer.js';

/** Ids of a new process start on a multiple of this: an id that was shown but never stored is not given again. */
const ID_BLOCK = 1_000_000;
/** Days for which rollups stay when their records have left. */
const ROLLUP_DAYS = 400;
/** Commits between two looks at the size. */
const SIZE_EVERY = 32;
const RETRY_MS = 2000;
/** So long after an hour its rows may still be replaced by fuller ones; longer than the stitching window. */
const OPEN_AFTER_MS = 5 * 60_000;

export class FlowDatabase {
  readonly #settings: StoreSettings;
  #instance: DuckDBInstance | undefined;
  #connection: DuckDBConnection | undefined;
  #dictionary = new Dictionary();
  #marks = new Marks();
  /** Ascending by hour. */
  #parts: Partition[] = [];
  #line = '';
  #dropped = 0;
  #lost = 0;
  #bytes = 0;
  #problem = '';
  #commits = 0;
  #retryAtMs = 0;
  /** Lost since the last transaction that committed. */
  #missed: Gap[] = [];

  constructor(settings: StoreSettings) {
    this.#settings = settings;
  }

  /** Opens or makes the file. Rejects when it is damaged, foreign or cannot be written. */
  async open(line: string): Promise<Opened> {
    await this.#connect(line);
    const newest = this.#parts.reduce((most, { maxId }) => Math.max(most, maxId), 0);
    return {
      firstId: newest === 0 ? 1 : Math.ceil((newest + 1) / ID_BLOCK) * ID_BLOCK + 1,
      marks: this.#marks.all(),
      status: this.status(),
    };
  }

  /** Stores batches in one transaction; false: they are lost and counted. Never rejects. */
  async commit(batches: readonly StoreBatch[], nowMs: number): Promise<boolean> {
    try {
      if (this.#problem === '') {
        await this.#store(batches, nowMs).catch(async () => {
          // What was in doubt is read back: a transaction that did commit is not stored twice.
          await this.#connect(this.#line);
          await this.#store(
            batches.filter((batch) => !this.#marks.has(batch)),
            nowMs,
          );
        });
      } else {
        if (nowMs < this.#retryAtMs) throw new Error(this.#problem);
        await this.#connect(this.#line);
        await this.#store(batches, nowMs);
      }
      this.#problem = '';
    } catch (error) {
      this.#lost += batches.reduce((sum, { count }) => sum + count, 0);
      this.#missed.push(...batches.flatMap((batch) => [...batch.gaps, ...lostWith(batch)]));
      this.#missed = byHop(this.#missed);
      await this.#onTrouble(error, nowMs);
      return false;
    }
    await this.#maintain(nowMs);
    return true;
  }

  /** Retention and rollups. Never rejects. */
  async tick(nowMs: number): Promise<void> {
    if (this.#problem !== '') return;
    this.#commits = 0;
    await this.#maintain(nowMs);
  }

  async page({ filter, afterId, limit }: PageRequest): Promise<PageColumns> {
    const condition = `${sqlCondition(filter, this.#dictionary)} AND ${timeCondition(filter)}`;
    const tables = this.#matching(filter)
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
    for (const { hour } of this.#matching(filter).reverse()) {
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
    return graphOf(this.#open(), this.#parts, request, this.#dictionary, await this.#rolledDays());
  }

  async timeline(request: TimelineRequest): Promise<TimelineRow[]> {
    return timelineOf(this.#open(), this.#parts, request, this.#dictionary, await this.#rolledDays());
  }

  /** First packet of the oldest record that is kept; 0: none. */
  oldestUs(): number {
    const kept = this.#parts.filter(({ rows }) => rows > 0);
    return kept.reduce((oldest, { minFirstUs }) => (oldest === 0 ? minFirstUs : Math.min(oldest, minFirstUs)), 0);
  }

  /** A copy of the whole store that opens like the original. */
  async backup(file: string): Promise<void> {
    const connection = this.#open();
    const name = file.replaceAll("'", "''");
    await connection.run(`ATTACH '${name}' AS copy`);
    try {
      const from = String(await this.#one('SELECT current_database()'));
      await connection.run(`COPY FROM DATABASE "${from}" TO copy`);
    } catch (error) {
      await connection.run('DETACH copy');
      rmSync(file, { force: true });
      throw error;
    }
    await connection.run('DETACH copy');
  }

  status(): ArchiveStatus {
    const kept = this.#parts.reduce((sum, { rows }) => sum + rows, 0);
    return {
      kept,
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
      GAP_DDL,
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
    await this.#loadParts(connection);
    await this.#measureSize();
  }

  async #loadParts(connection: DuckDBConnection): Promise<void> {
    const closed = (await connection.runAndReadAll('SELECT * FROM flow_parts')).getRows();
    const parts = new Map(closed.map((row) => [Number(row[0]), partitionOf(row, true)]));
    const tables = (await connection.runAndReadAll('SELECT table_name FROM duckdb_tables()')).getRows();
    for (const [name] of tables) {
      const hour = /^f_(\d+)$/.exec(String(name))?.[1];
      if (hour !== undefined && !parts.has(Number(hour))) {
        parts.set(Number(hour), await measure(connection, Number(hour)));
      }
    }
    this.#parts = [...parts.values()].sort((a, b) => a.hour - b.hour);
  }

  async #store(batches: readonly StoreBatch[], nowMs: number): Promise<void> {
    const connection = this.#open();
    // Time never goes back here: ids and hours ascend together, whatever the clock does.
    const hour = Math.max(Math.floor(nowMs / HOUR_MS), this.#parts.at(-1)?.hour ?? 0);
    const last = this.#parts.at(-1);
    const open = last?.hour === hour && !last.closed ? last : emptyPartition(last?.hour === hour ? hour + 1 : hour);
    const numbered = batches.map((batch) => this.#number(batch));
    let gone = new Map<Partition, number>();
    await connection.run('BEGIN');
    try {
      if (open !== last) {
        await createRecordTable(connection, open.hour);
      }
      await this.#dictionary.store(connection);
      await appendRows(connection, recordTable(open.hour), numbered);
      gone = await this.#remove(connection, batches, open);
      await this.#marks.store(connection, batches);
      await storeGaps(connection, this.#gapsOf(batches, open));
      await connection.run('COMMIT');
    } catch (error) {
      await connection.run('ROLLBACK').catch(() => undefined);
      throw error;
    }
    this.#dictionary.committed();
    this.#marks.take(batches);
    this.#missed = [];
    if (open !== last) this.#parts.push(open);
    for (const batch of batches) extend(open, batch);
    for (const [part, rows] of gone) part.rows -= rows;
  }

  /** Removes what the batches replace, in the caller's transaction; gives the rows that went by hour. Closed hours keep what they have. */
  async #remove(
    connection: DuckDBConnection,
    batches: readonly StoreBatch[],
    open: Partition,
  ): Promise<Map<Partition, number>> {
    const gone = new Map<Partition, number>();
    let [low, high] = [Number.POSITIVE_INFINITY, 0];
    for (const { replaced } of batches) {
      for (const id of replaced) [low, high] = [Math.min(low, id), Math.max(high, id)];
    }
    if (high === 0) return gone;
    await appendIds(
      connection,
      'going',
      batches.map(({ replaced }) => replaced),
    );
    const hours = this.#parts.filter(
      (part) => !part.closed && part !== open && part.maxId >= low && part.minId <= high,
    );
    for (const part of [...hours, open]) {
      const { rowsChanged } = await connection.run(
        `DELETE FROM ${recordTable(part.hour)} WHERE id BETWEEN ${low} AND ${high} AND id IN (SELECT id FROM going)`,
      );
      gone.set(part, rowsChanged);
    }
    await connection.run('DELETE FROM going');
    return gone;
  }

  /** What batches tell to be missing, and what could not be stored before them, at their places. */
  #gapsOf(batches: readonly StoreBatch[], open: Partition): KeptGap[] {
    let place = open.maxId + 1;
    return [
      ...this.#missed.map((gap) => ({ ...gap, beforeId: batches.find(({ count }) => count > 0)?.firstId ?? place })),
      ...batches.flatMap(({ gaps, count, firstId }) => {
        const beforeId = count > 0 ? firstId : place;
        if (count > 0) place = firstId + count;
        return gaps.map((gap) => ({ ...gap, beforeId }));
      }),
    ];
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
    if (!first && nowMs < this.#retryAtMs) return;
    this.#retryAtMs = nowMs + RETRY_MS;
    try {
      await this.#connect(this.#line);
      this.#problem = text;
    } catch {
      this.close();
    }
  }

  async #maintain(nowMs: number): Promise<void> {
    const connection = this.#open();
    try {
      await this.#closeHours(connection, nowMs);
      const oldest = Math.floor(nowMs / HOUR_MS) - this.#settings.days * HOURS_PER_DAY;
      while ((this.#parts[0]?.hour ?? oldest) < oldest) await this.#dropOldest(connection);
      if (this.#commits % SIZE_EVERY === 0) {
        await this.#dropOldRollups(connection, Math.floor(oldest / HOURS_PER_DAY) - ROLLUP_DAYS);
        await this.#measureSize();
        while (this.#bytes > this.#settings.bytes && this.#parts.length > 1) {
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

  /** Hours but the newest are closed when no row of theirs is replaced any more. */
  async #closeHours(connection: DuckDBConnection, nowMs: number): Promise<void> {
    for (const part of this.#parts.slice(0, -1)) {
      if (part.closed || nowMs < (part.hour + 1) * HOUR_MS + OPEN_AFTER_MS) continue;
      await connection.run('BEGIN');
      try {
        await closeHour(connection, part);
        await this.#marks.compact(connection);
        await connection.run('COMMIT');
      } catch (error) {
        await connection.run('ROLLBACK').catch(() => undefined);
        throw error;
      }
      part.closed = true;
    }
  }

  async #dropOldest(connection: DuckDBConnection): Promise<void> {
    const [part] = this.#parts;
    if (part === undefined) return;
    await connection.run('BEGIN');
    try {
      if (!part.closed) await closeHour(connection, part);
      await connection.run(`DROP TABLE ${recordTable(part.hour)}`);
      await connection.run(`DELETE FROM flow_parts WHERE hour = ${part.hour}`);
      await connection.run('COMMIT');
    } catch (error) {
      await connection.run('ROLLBACK').catch(() => undefined);
      throw error;
    }
    this.#parts.shift();
    await dropGaps(connection, (part.hour + 1) * HOUR_MS * 1000);
    this.#dropped += part.rows;
  }

  async #dropOldRollups(connection: DuckDBConnection, oldestDay: number): Promise<void> {
    for (const day of await this.#rolledDays()) if (day < oldestDay) await connection.run(`DROP TABLE r_${day}`);
    await dropGaps(connection, oldestDay * HOURS_PER_DAY * HOUR_MS * 1000);
  }

  async #rolledDays(): Promise<number[]> {
    const tables = (await this.#open().runAndReadAll('SELECT table_name FROM duckdb_tables()')).getRows();
    return tables.flatMap(([name]) => /^r_(\d+)$/.exec(String(name))?.slice(1).map(Number) ?? []).sort((a, b) => a - b);
  }

  async #measureSize(): Promise<void> {
    const sql = 'SELECT used_blocks * block_size FROM pragma_database_size() LIMIT 1';
    this.#bytes = Number(await this.#one(sql));
  }

  #matching(filter: ResolvedFilter): Partition[] {
    const [since, until] = [Number(filter?.sinceUs ?? 0n), Number(filter?.untilUs ?? 0n)];
    return this.#parts.filter(
      (part) => part.rows > 0 && part.maxLastUs >= since && (until === 0 || part.minFirstUs < until),
    );
  }

  async #one(sql: string): Promise<unknown> {
    const reader = await this.#open().runAndReadAll(sql);
    return reader.getRows()[0]?.[0];
  }
}

/** A batch that could not be stored, as what is missing. */
function lostWith({ count, hostId, columns }: StoreBatch): Gap[] {
  if (count === 0) return [];
  return [{ hop: 'store', hostId, count, fromUs: extent(columns.last_us).min, untilUs: extent(columns.last_us).max }];
}

function emptyPartition(hour: number): Partition {
  const none = { rows: 0, minId: 0, maxId: 0, minFirstUs: 0, maxFirstUs: 0, minLastUs: 0, maxLastUs: 0 };
  return { hour, ...none, closed: false };
}

function extend(part: Partition, { count, firstId, columns }: StoreBatch): void {
  if (count === 0) return;
  const [first, last] = [extent(columns.first_us), extent(columns.last_us)];
  const empty = part.rows === 0;
  part.minId = empty ? firstId : Math.min(part.minId, firstId);
  part.maxId = Math.max(part.maxId, firstId + count - 1);
  part.minFirstUs = empty ? first.min : Math.min(part.minFirstUs, first.min);
  part.maxFirstUs = empty ? first.max : Math.max(part.maxFirstUs, first.max);
  part.minLastUs = empty ? last.min : Math.min(part.minLastUs, last.min);
  part.maxLastUs = empty ? last.max : Math.max(part.maxLastUs, last.max);
  part.rows += count;
}

function extent(bytes: Uint8Array = new Uint8Array(0)): { min: number; max: number } {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  let [min, max] = [Number.POSITIVE_INFINITY, 0];
  for (let at = 0; at < words.length; at += 2) {
    const value = (words[at] as number) + (words[at + 1] as number) * 0x1_0000_0000;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max };
}
