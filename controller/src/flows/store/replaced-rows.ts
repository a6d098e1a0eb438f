// Rows that others take the place of, out of the hours that are open.
import type { DuckDBConnection } from '@duckdb/node-api';
import type { StoreBatch } from './messages.js';
import { type Partition, recordTable } from './partitions.js';
import { appendIds } from './writer.js';

/**
 * Removes what the batches replace, in the caller's transaction; gives the rows that went by hour. What is rolled up stays as it is. The
 * session has a table `going` of ids.
 */
export async function removeRows(
  connection: DuckDBConnection,
  batches: readonly StoreBatch[],
  parts: readonly Partition[],
  written: Partition,
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
  const open = parts.filter((part) => !part.closed && part !== written && part.maxId >= low && part.minId <= high);
  for (const part of [...open, written]) {
    const from = Math.max(low, part.rolledId + 1);
    const { rowsChanged } = await connection.run(
      `DELETE FROM ${recordTable(part.hour)} WHERE id BETWEEN ${from} AND ${high} AND id IN (SELECT id FROM going)`,
    );
    gone.set(part, rowsChanged);
  }
  await connection.run('DELETE FROM going');
  return gone;
}
