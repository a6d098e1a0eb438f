// Gaps in the store: added in the transaction of the batch that told them, kept as long as rollups are.
import type { DuckDBConnection } from '@duckdb/node-api';
import type { KeptGap } from '../gaps.js';
import type { ResolvedFilter } from './archive.js';

export const GAP_DDL = `CREATE TABLE IF NOT EXISTS flow_gaps (before_id UBIGINT NOT NULL, from_us BIGINT NOT NULL,
  until_us BIGINT NOT NULL, host VARCHAR NOT NULL, hop VARCHAR NOT NULL, lost UBIGINT NOT NULL)`;

/** Gaps of one answer at most, the newest. */
const GAPS_MAX = 10_000;

export async function storeGaps(connection: DuckDBConnection, gaps: readonly KeptGap[]): Promise<void> {
  if (gaps.length === 0) return;
  const appender = await connection.createAppender('flow_gaps');
  for (const { beforeId, fromUs, untilUs, hostId, hop, count } of gaps) {
    appender.appendUBigInt(BigInt(beforeId));
    appender.appendBigInt(BigInt(Math.round(fromUs)));
    appender.appendBigInt(BigInt(Math.round(untilUs)));
    for (const text of [hostId, hop]) appender.appendVarchar(text);
    appender.appendUBigInt(BigInt(count));
    appender.endRow();
  }
  appender.closeSync();
}

/** Gaps that stand after `afterId` and not after `lastId`, and that a filter's times and reporters do not leave out; oldest first. */
export async function readGaps(
  connection: DuckDBConnection,
  filter: ResolvedFilter,
  afterId = 0,
  lastId = Number.MAX_SAFE_INTEGER,
): Promise<KeptGap[]> {
  const parts = [`before_id > ${afterId}`, `before_id <= ${lastId}`];
  if (filter !== undefined && filter.sinceUs > 0n) parts.push(`(until_us = 0 OR until_us >= ${filter.sinceUs})`);
  if (filter !== undefined && filter.untilUs > 0n) parts.push(`from_us < ${filter.untilUs}`);
  if (filter !== undefined && filter.reporters.length > 0) {
    parts.push(`host IN (${['', ...filter.reporters].map(quoted).join(', ')})`);
  }
  const reader = await connection.runAndReadAll(
    `SELECT before_id, from_us, until_us, host, hop, lost FROM flow_gaps WHERE ${parts.join(' AND ')}
      ORDER BY rowid DESC LIMIT ${GAPS_MAX}`,
  );
  return reader
    .getRows()
    .reverse()
    .map(([beforeId, fromUs, untilUs, host, hop, lost]) => ({
      beforeId: Number(beforeId),
      fromUs: Number(fromUs),
      untilUs: Number(untilUs),
      hostId: String(host),
      hop: String(hop),
      count: Number(lost),
    }));
}

/** Removes what lies before a time, in Unix microseconds. */
export async function dropGaps(connection: DuckDBConnection, beforeUs: number): Promise<void> {
  await connection.run(`DELETE FROM flow_gaps WHERE until_us < ${beforeUs} AND until_us > 0`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
