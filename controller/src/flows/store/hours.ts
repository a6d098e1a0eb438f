// The hours of the store: which there are, where rows go, what leaves. Rows of an hour that can be replaced no longer are rolled up while
// the hour is still open (p_<hour>), so that a question over everything reads few records, however many an hour holds.
import type { DuckDBConnection } from '@duckdb/node-api';
import type { ResolvedFilter } from './archive.js';
import {
  closeHour,
  createRecordTable,
  HOUR_MS,
  HOURS_PER_DAY,
  measure,
  type Partition,
  partitionOf,
  recordTable,
  rollUp,
  rollUpDay,
} from './partitions.js';

/** So long after it came a row may still be replaced by a fuller one; longer than the stitching window and what waits before the store. */
export const OPEN_AFTER_MS = 5 * 60_000;
/** An open hour is rolled up when this many ids are settled since it last was: fewer are read as they are. */
const ROLL_UP_IDS = 1 << 19;
/** How finely it is remembered when rows came. */
const STAMP_MS = 5000;

export class Hours {
  readonly #rollUpIds: number;
  /**
   * When this process took up what stood here, or its clock was set, Unix milliseconds: from then on it may replace rows of open hours for a
   * while, whatever is the time.
   */
  #openedMs = 0;
  /** Ascending by hour. */
  #parts: Partition[] = [];
  /** How far the newest hour's ids had come at which time. */
  #stamps: { readonly atMs: number; readonly maxId: number }[] = [];

  /** Days before this one are rolled up as a whole. */
  #wholeBefore = 0;

  constructor(rollUpIds = ROLL_UP_IDS) {
    this.#rollUpIds = rollUpIds;
  }

  get all(): readonly Partition[] {
    return this.#parts;
  }

  get kept(): number {
    return this.#parts.reduce((sum, { rows }) => sum + rows, 0);
  }

  get maxId(): number {
    return this.#parts.reduce((most, { maxId }) => Math.max(most, maxId), 0);
  }

  /** Rows from this id on may still be replaced, and for OPEN_AFTER_MS after `onClockSet`; none before it. */
  get replaceableFrom(): number {
    const open = this.#parts.filter(({ closed, rows }) => !closed && rows > 0);
    const [first] = open;
    return first === undefined ? this.maxId + 1 : Math.max(first.minId, ...open.map(({ rolledId }) => rolledId + 1));
  }

  /**
   * First packet of the oldest record, Unix microseconds; 0: none. Of a host whose clock says another day nothing can be told by packets: no
   * record counts as more than a day older, or newer, than the hour in which it came.
   */
  get oldestUs(): number {
    const kept = this.#parts.filter(({ rows }) => rows > 0);
    const begins = kept.map(({ hour, minFirstUs }) => {
      const [from, until] = [hour - HOURS_PER_DAY, hour + 1].map((each) => each * HOUR_MS * 1000) as [number, number];
      return Math.min(Math.max(minFirstUs, from), until);
    });
    return begins.length === 0 ? 0 : Math.min(...begins);
  }

  /** Reads what there is. */
  async load(connection: DuckDBConnection): Promise<void> {
    const closed = (await connection.runAndReadAll('SELECT * FROM flow_parts')).getRows();
    const parts = new Map(closed.map((row) => [Number(row[0]), partitionOf(row, true)]));
    const rolled = new Map(
      (await connection.runAndReadAll('SELECT hour, max(upto) FROM flow_rolled GROUP BY hour'))
        .getRows()
        .map(([hour, upto]) => [Number(hour), Number(upto)]),
    );
    const tables = (await connection.runAndReadAll('SELECT table_name FROM duckdb_tables()')).getRows();
    for (const [name] of tables) {
      const hour = /^f_(\d+)$/.exec(String(name))?.[1];
      if (hour === undefined || parts.has(Number(hour))) continue;
      const part = await measure(connection, Number(hour));
      part.rolledId = rolled.get(part.hour) ?? 0;
      parts.set(part.hour, part);
    }
    this.#parts = [...parts.values()].sort((a, b) => a.hour - b.hour);
    this.#stamps = [];
    this.#wholeBefore = 0;
  }

  /** The hour that rows go to now. Time never goes back here: ids and hours ascend together, whatever the clock does. */
  writable(nowMs: number): Partition {
    const last = this.#parts.at(-1);
    const hour = Math.max(Math.floor(nowMs / HOUR_MS), last?.hour ?? 0);
    if (last?.hour !== hour) return emptyPartition(hour);
    return last.closed ? emptyPartition(hour + 1) : last;
  }

  /** Makes the hour's table where there is none, in the caller's transaction. */
  async prepare(connection: DuckDBConnection, part: Partition): Promise<void> {
    if (!this.#parts.includes(part)) await createRecordTable(connection, part.hour);
  }

  /** The transaction that wrote to it has committed. */
  written(part: Partition, nowMs: number): void {
    if (!this.#parts.includes(part)) {
      this.#parts.push(part);
      this.#stamps = [];
    }
    if (nowMs - (this.#stamps.at(-1)?.atMs ?? 0) >= STAMP_MS) this.#stamps.push({ atMs: nowMs, maxId: part.maxId });
  }

  /** Hours that may hold what a filter's times do not leave out. */
  matching(filter: ResolvedFilter): Partition[] {
    const [since, until] = [Number(filter?.sinceUs ?? 0n), Number(filter?.untilUs ?? 0n)];
    return this.#parts.filter(
      (part) => part.rows > 0 && part.maxLastUs >= since && (until === 0 || part.minFirstUs < until),
    );
  }

  /** How old rows are is counted from now: the process begins, or its clock was set. */
  onClockSet(nowMs: number): void {
    this.#openedMs = nowMs;
    this.#stamps = [];
  }

  /** Whether the time has gone on as time does for long enough to be believed, where something would leave for good. */
  believes(nowMs: number): boolean {
    return nowMs >= this.#openedMs + OPEN_AFTER_MS;
  }

  /** Rolls up what is settled of the newest hour, when that is worth it. */
  async rollUp(connection: DuckDBConnection, nowMs: number): Promise<void> {
    const part = this.#parts.at(-1);
    if (part === undefined || part.closed) return;
    const settled = this.#stamps.filter(({ atMs }) => atMs + OPEN_AFTER_MS <= nowMs).at(-1);
    if (settled === undefined || settled.maxId - Math.max(part.rolledId, part.minId) < this.#rollUpIds) return;
    await inTransaction(connection, () => rollUp(connection, part, settled.maxId));
    part.rolledId = settled.maxId;
    this.#stamps = this.#stamps.filter(({ maxId }) => maxId > settled.maxId);
  }

  /** Hours but the newest are closed when no row of theirs is replaced any more. `within` takes part in the transaction. */
  async close(connection: DuckDBConnection, nowMs: number, within: () => Promise<void>): Promise<void> {
    for (const part of this.#parts.slice(0, -1)) {
      if (part.closed || nowMs < Math.max((part.hour + 1) * HOUR_MS, this.#openedMs) + OPEN_AFTER_MS) continue;
      await inTransaction(connection, async () => {
        await closeHour(connection, part);
        await within();
      });
      part.closed = true;
    }
    const open = this.#parts.find(({ closed }) => !closed);
    if (open !== undefined && dayOf(open.hour) > this.#wholeBefore)
      await this.#rollUpDays(connection, dayOf(open.hour));
  }

  /** Days before this one get nothing any more: each is rolled up as a whole. */
  async #rollUpDays(connection: DuckDBConnection, before: number): Promise<void> {
    const { hourly, whole } = await rolledDays(connection);
    for (const day of hourly) {
      if (day < before && !whole.has(day)) await inTransaction(connection, () => rollUpDay(connection, day));
    }
    this.#wholeBefore = before;
  }

  /** Drops the oldest hour's records; its rollup stays. Gives what left. */
  async dropOldest(connection: DuckDBConnection): Promise<Partition | undefined> {
    const [part] = this.#parts;
    if (part === undefined) return undefined;
    await inTransaction(connection, async () => {
      if (!part.closed) await closeHour(connection, part);
      await connection.run(`DROP TABLE ${recordTable(part.hour)}`);
      await connection.run(`DELETE FROM flow_parts WHERE hour = ${part.hour}`);
    });
    this.#parts.shift();
    return part;
  }
}

/** Days of which rollups exist, ascending. */
export interface RolledDays {
  /** By hour. */
  readonly hourly: readonly number[];
  /** All of the day in one, too. */
  readonly whole: ReadonlySet<number>;
}

export async function rolledDays(connection: DuckDBConnection): Promise<RolledDays> {
  const tables = (await connection.runAndReadAll('SELECT table_name FROM duckdb_tables()')).getRows();
  const days = (letter: string) =>
    tables
      .map(([name]) => String(name))
      .filter((name) => name.startsWith(letter) && /^._\d+$/.test(name))
      .map((name) => Number(name.slice(2)))
      .sort((a, b) => a - b);
  return { hourly: days('r'), whole: new Set(days('d')) };
}

/** The day that an hour lies in. */
export function dayOf(hour: number): number {
  return Math.floor(hour / HOURS_PER_DAY);
}

/** All of it, or nothing. */
export async function inTransaction(connection: DuckDBConnection, work: () => Promise<void>): Promise<void> {
  await connection.run('BEGIN');
  try {
    await work();
    await connection.run('COMMIT');
  } catch (error) {
    await connection.run('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

function emptyPartition(hour: number): Partition {
  const none = { rows: 0, minId: 0, maxId: 0, minFirstUs: 0, maxFirstUs: 0, minLastUs: 0, maxLastUs: 0 };
  return { hour, ...none, rolledId: 0, closed: false };
}
