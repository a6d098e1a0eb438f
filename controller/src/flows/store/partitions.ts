// Tables of the store: records by the hour in which they arrived (f_<hour>), rollups of its hours by day (r_<day>), and of days
// that are over as a whole (d_<day>). A closed hour has been rolled up
// and its extent is written down; the open one is the newest, and what is rolled up of it already stands in p_<hour>. Hours and days count
// from 1970.
import type { DuckDBConnection } from '@duckdb/node-api';
import { EventKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { RECORD_DDL, STORED_COLUMNS } from './columns.js';

export const HOUR_MS = 3_600_000;
export const HOURS_PER_DAY = 24;

/** What is known of one hour's table. Times in Unix microseconds; all 0 when it is empty. */
export interface Partition {
  readonly hour: number;
  rows: number;
  minId: number;
  maxId: number;
  minFirstUs: number;
  maxFirstUs: number;
  minLastUs: number;
  maxLastUs: number;
  /** Rows up to this id stand in p_<hour> as well, and are replaced no more; 0: none. */
  rolledId: number;
  /** Rolled up: nothing is added any more. */
  closed: boolean;
}

export const PARTITION_DDL = `CREATE TABLE IF NOT EXISTS flow_parts (hour BIGINT NOT NULL, rows UBIGINT NOT NULL,
  min_id UBIGINT NOT NULL, max_id UBIGINT NOT NULL, min_first BIGINT NOT NULL, max_first BIGINT NOT NULL,
  min_last BIGINT NOT NULL, max_last BIGINT NOT NULL)`;
/** How far open hours are rolled up: the highest of an hour counts. */
export const ROLLED_DDL = 'CREATE TABLE IF NOT EXISTS flow_rolled (hour BIGINT NOT NULL, upto UBIGINT NOT NULL)';

/** Columns by which rollups are grouped: what the graph and its filters ask for. */
const KEY_TYPES = {
  ...{ local_end: 'UINTEGER', remote_end: 'UINTEGER', process: 'UINTEGER', reporter: 'UINTEGER', rule: 'UINTEGER' },
  ...{ service_port: 'USMALLINT', protocol: 'UTINYINT', direction: 'UTINYINT', verdict: 'UTINYINT' },
  ...{ reason: 'UTINYINT', mode: 'UTINYINT', views: 'UTINYINT', decider: 'UTINYINT', other_reason: 'UTINYINT' },
  ...{ other_mode: 'UTINYINT', other_rule: 'UINTEGER', far_process: 'UINTEGER', far_reporter: 'UINTEGER' },
};
const KEYS = Object.keys(KEY_TYPES).join(', ');
const SUMS = ['bytes_in', 'bytes_out', 'packets_in', 'packets_out', 'records', 'attempts', 'connections', 'duration'];
const ROLLUP_COLUMNS = { hour: 'BIGINT', ...KEY_TYPES, ...doubles([...SUMS, 'first', 'last']) };

/** Sums of one group, from records. Of a connection's two views the fuller counts. Sums are doubles: exact up to 2^53. */
export const SUMS_OF_RECORDS = `sum(greatest(bytes_in, far_bytes_out))::DOUBLE AS bytes_in,
  sum(greatest(bytes_out, far_bytes_in))::DOUBLE AS bytes_out,
  sum(greatest(packets_in, far_packets_out))::DOUBLE AS packets_in,
  sum(greatest(packets_out, far_packets_in))::DOUBLE AS packets_out, count(*)::DOUBLE AS records,
  sum(attempts)::DOUBLE AS attempts,
  sum(CASE WHEN kind = ${EventKind.EVENT_KIND_END} THEN 1 WHEN kind = ${EventKind.EVENT_KIND_DENY} THEN attempts ELSE 0 END)::DOUBLE
    AS connections,
  sum(last_us - first_us)::DOUBLE AS duration, min(first_us)::DOUBLE AS first, max(last_us)::DOUBLE AS last`;

/** The same from rollups. */
export const SUMS_OF_ROLLUPS = `sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out, sum(packets_in) AS packets_in,
  sum(packets_out) AS packets_out, sum(records) AS records, sum(attempts) AS attempts, sum(connections) AS connections,
  sum(duration) AS duration, min(first) AS first, max(last) AS last`;

export function recordTable(hour: number): string {
  return `f_${hour}`;
}

export function rollupTable(hour: number): string {
  return `r_${Math.floor(hour / HOURS_PER_DAY)}`;
}

/** The rollup of a day as a whole. */
export function wholeDayTable(day: number): string {
  return `d_${day}`;
}

/** What is rolled up of an hour that is open. */
export function partialTable(hour: number): string {
  return `p_${hour}`;
}

export async function createRecordTable(connection: DuckDBConnection, hour: number): Promise<void> {
  await connection.run(`CREATE TABLE IF NOT EXISTS ${recordTable(hour)} (${RECORD_DDL})`);
}

/** Measures a table; for the open hour after a restart. */
export async function measure(connection: DuckDBConnection, hour: number): Promise<Partition> {
  const reader = await connection.runAndReadAll(
    `SELECT count(*), coalesce(min(id), 0), coalesce(max(id), 0), coalesce(min(first_us), 0), coalesce(max(first_us), 0),
      coalesce(min(last_us), 0), coalesce(max(last_us), 0) FROM ${recordTable(hour)}`,
  );
  return partitionOf([hour, ...(reader.getRows()[0] ?? [])], false);
}

/** A row of flow_parts. */
export function partitionOf(row: readonly unknown[], closed: boolean): Partition {
  const [hour = 0, rows = 0, minId = 0, maxId = 0, minFirstUs = 0, maxFirstUs = 0, minLastUs = 0, maxLastUs = 0] = row
    .slice(0, 8)
    .map(Number);
  return { hour, rows, minId, maxId, minFirstUs, maxFirstUs, minLastUs, maxLastUs, rolledId: 0, closed };
}

/** Rolls up an open hour's rows from where it is rolled up to an id, in the caller's transaction. */
export async function rollUp(connection: DuckDBConnection, part: Partition, upto: number): Promise<void> {
  const partial = partialTable(part.hour);
  await connection.run(`CREATE TABLE IF NOT EXISTS ${partial} (${ddl(ROLLUP_COLUMNS)})`);
  await connection.run(
    `INSERT INTO ${partial} BY NAME SELECT ${part.hour} AS hour, ${KEYS}, ${SUMS_OF_RECORDS}
      FROM ${recordTable(part.hour)} WHERE id > ${part.rolledId} AND id <= ${upto} GROUP BY ${KEYS}`,
  );
  await connection.run(`INSERT INTO flow_rolled VALUES (${part.hour}, ${upto})`);
}

/** Rolls an hour up and writes its extent down, in the caller's transaction. */
export async function closeHour(connection: DuckDBConnection, part: Partition): Promise<void> {
  const rollup = rollupTable(part.hour);
  await connection.run(`CREATE TABLE IF NOT EXISTS ${rollup} (${ddl(ROLLUP_COLUMNS)})`);
  const rest = `SELECT ${KEYS}, ${SUMS_OF_RECORDS} FROM ${recordTable(part.hour)} WHERE id > ${part.rolledId} GROUP BY ${KEYS}`;
  if (part.rolledId === 0) {
    await connection.run(`INSERT INTO ${rollup} BY NAME SELECT ${part.hour} AS hour, * FROM (${rest})`);
  } else {
    const all = `${rest} UNION ALL SELECT ${KEYS}, ${SUMS.join(', ')}, first, last FROM ${partialTable(part.hour)}`;
    await connection.run(
      `INSERT INTO ${rollup} BY NAME SELECT ${part.hour} AS hour, ${KEYS}, ${SUMS_OF_ROLLUPS} FROM (${all}) GROUP BY ${KEYS}`,
    );
    await connection.run(`DROP TABLE ${partialTable(part.hour)}`);
    await connection.run(`DELETE FROM flow_rolled WHERE hour = ${part.hour}`);
  }
  await connection.run(
    `INSERT INTO flow_parts VALUES (${part.hour}, ${part.rows}, ${part.minId}, ${part.maxId}, ${part.minFirstUs},
      ${part.maxFirstUs}, ${part.minLastUs}, ${part.maxLastUs})`,
  );
}

/** Rolls up a day whose hours are all closed, in the caller's transaction. */
export async function rollUpDay(connection: DuckDBConnection, day: number): Promise<void> {
  const whole = wholeDayTable(day);
  await connection.run(`CREATE TABLE ${whole} (${ddl(ROLLUP_COLUMNS)})`);
  await connection.run(
    `INSERT INTO ${whole} BY NAME SELECT ${day * HOURS_PER_DAY} AS hour, ${KEYS}, ${SUMS_OF_ROLLUPS}
      FROM r_${day} GROUP BY ${KEYS}`,
  );
}

/** Tables that an earlier program made get the columns that came later, with what they mean for its records. */
export async function addMissingColumns(connection: DuckDBConnection): Promise<void> {
  const wanted: readonly [RegExp, Readonly<Record<string, string>>][] = [
    [/^f_\d+$/, Object.fromEntries(STORED_COLUMNS.map(({ name, type }) => [name, type.toString()]))],
    [/^[rpd]_\d+$/, ROLLUP_COLUMNS],
  ];
  const found = new Map<string, Set<string>>();
  const columns = await connection.runAndReadAll('SELECT table_name, column_name FROM duckdb_columns()');
  for (const [table, column] of columns.getRows().map((row) => row.map(String))) {
    found.set(table ?? '', (found.get(table ?? '') ?? new Set()).add(column ?? ''));
  }
  for (const [table, known] of found) {
    const types = wanted.find(([pattern]) => pattern.test(table))?.[1] ?? {};
    const missing = Object.entries(types).filter(([name]) => !known.has(name));
    for (const [name, type] of missing)
      await connection.run(`ALTER TABLE ${table} ADD COLUMN ${name} ${type} DEFAULT 0`);
    if (missing.some(([name]) => name === 'views')) {
      await connection.run(`UPDATE ${table} SET views = direction, decider = direction`);
    }
  }
}

function ddl(columns: Readonly<Record<string, string>>): string {
  return Object.entries(columns)
    .map(([name, type]) => `${name} ${type}`)
    .join(', ');
}

function doubles(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, 'DOUBLE']));
}
