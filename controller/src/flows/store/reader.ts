// Records of the store as columns, in order of arrival.
import type { DuckDBConnection } from '@duckdb/node-api';
import type { FlowEndInfo } from '../block.js';
import { END_COLUMNS, STORED_COLUMNS, TEXT_COLUMNS } from './columns.js';
import type { Dictionary } from './dictionary.js';
import type { PageColumns } from './messages.js';

const NAMES = STORED_COLUMNS.map(({ name }) => name);
/** Halves of addresses are bit patterns; everything else fits a double. */
const isBits = (name: string) => name.includes('_ip_');

/** At most `limit` records with an id above `afterId` from tables that are given oldest first. */
export async function readPage(
  connection: DuckDBConnection,
  tables: readonly string[],
  condition: string,
  afterId: number,
  limit: number,
  dictionary: Dictionary,
): Promise<Omit<PageColumns, 'gaps'>> {
  const columns = Object.fromEntries(
    NAMES.map((name) => [name, isBits(name) ? new BigUint64Array(limit) : new Float64Array(limit)]),
  );
  let count = 0;
  let more = false;
  for (const table of tables) {
    const room = limit - count;
    const reader = await connection.runAndReadAll(
      `SELECT ${NAMES.join(', ')} FROM ${table} WHERE id > ${afterId} AND ${condition} ORDER BY id LIMIT ${room + 1}`,
    );
    const found = reader.getColumns();
    const rows = found[0]?.length ?? 0;
    const taken = Math.min(rows, room);
    NAMES.forEach((name, index) => {
      const to = columns[name];
      const values = found[index] ?? [];
      if (to instanceof BigUint64Array) for (let i = 0; i < taken; i += 1) to[count + i] = values[i] as bigint;
      else if (to !== undefined) for (let i = 0; i < taken; i += 1) to[count + i] = Number(values[i]);
    });
    count += taken;
    if (rows > room) {
      more = true;
      break;
    }
  }
  const ends = new Map<number, FlowEndInfo>();
  const strings = new Map<number, string>();
  for (let i = 0; i < count; i += 1) {
    for (const name of END_COLUMNS) {
      const number = Number(columns[name]?.[i]);
      const info = dictionary.endAt(number);
      if (info !== undefined) ends.set(number, info);
    }
    for (const name of TEXT_COLUMNS) {
      const number = Number(columns[name]?.[i]);
      strings.set(number, dictionary.stringAt(number));
    }
  }
  const cut = Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values.slice(0, count)]));
  return { count, columns: cut, ends, strings, more };
}
