// How much of what happened when: from records where they are needed, from rollups where steps are whole hours.
import type { DuckDBConnection } from '@duckdb/node-api';
import type { TimelineRequest, TimelineRow } from './archive.js';
import type { Dictionary } from './dictionary.js';
import type { RolledDays } from './hours.js';
import { HOUR_MS, type Partition, recordTable } from './partitions.js';
import { RAW_ONLY, sqlCondition } from './sql-filter.js';

const HOUR_US = HOUR_MS * 1000;

/**
 * Records count in the step of their last packet. Hours whose records have left, and closed hours when a step holds whole ones, count by
 * their rollups (of which each lies in the step in which its hour began). Whole days do not help here.
 */
export async function timelineOf(
  connection: DuckDBConnection,
  parts: readonly Partition[],
  { filter, fromUs, stepUs, steps }: TimelineRequest,
  dictionary: Dictionary,
  { hourly: days }: RolledDays,
): Promise<TimelineRow[]> {
  const condition = sqlCondition(filter, dictionary);
  const untilUs = fromUs + steps * stepUs;
  const coarse = !RAW_ONLY.test(condition) && fromUs % HOUR_US === 0 && stepUs % HOUR_US === 0;
  const stepAt = (column: string) => `floor((${column} - ${fromUs}::DOUBLE) / ${stepUs})::INTEGER`;
  const raw = parts.filter(
    (part) => part.rows > 0 && part.maxLastUs >= fromUs && part.minLastUs < untilUs && !(coarse && part.closed),
  );
  const sources = raw.map(
    ({ hour }) => `SELECT ${stepAt('last_us')} AS step, verdict, attempts::DOUBLE AS attempts,
      (greatest(bytes_in, far_bytes_out) + greatest(bytes_out, far_bytes_in))::DOUBLE AS bytes FROM ${recordTable(hour)}
      WHERE ${condition} AND last_us >= ${fromUs} AND last_us < ${untilUs}`,
  );
  if (!RAW_ONLY.test(condition)) {
    const counted = [...(coarse ? raw : parts).map(({ hour }) => hour), -1].join(',');
    const [first, last] = [fromUs / HOUR_US, untilUs / HOUR_US];
    for (const day of days) {
      sources.push(`SELECT ${stepAt(`(hour::DOUBLE * ${HOUR_US})`)} AS step, verdict, attempts, bytes_in + bytes_out AS bytes
        FROM r_${day} WHERE ${condition} AND hour >= ${first} AND hour < ${last} AND hour NOT IN (${counted})`);
    }
  }
  if (sources.length === 0) return [];
  const sql = `SELECT step, verdict, sum(attempts), sum(bytes) FROM (${sources.join(' UNION ALL ')}) GROUP BY ALL`;
  const rows = (await connection.runAndReadAll(sql)).getRows();
  return rows.map((row): TimelineRow => {
    const [step = 0, verdict = 0, attempts = 0, bytes = 0] = row.map(Number);
    return { step, verdict, attempts, bytes };
  });
}
