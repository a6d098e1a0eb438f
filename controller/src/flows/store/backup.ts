// A copy of the store while it is open.
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';

/**
 * A copy of the whole store that opens like the original, with a line of its own: from here on each gives ids to records of its own. The file
 * has its name when it is whole and on disk. Rejects when it cannot be written, or is there.
 */
export async function backupTo(connection: DuckDBConnection, file: string): Promise<void> {
  if (existsSync(file)) throw new Error(`Cannot write flow backup: found ${file}, wanted a new file`);
  const partial = `${file}.partial`;
  const remove = () => {
    for (const path of [partial, `${partial}.wal`]) rmSync(path, { force: true });
  };
  // What a process left that was killed.
  remove();
  try {
    await connection.run(`ATTACH '${partial.replaceAll("'", "''")}' AS copy`);
    try {
      const [name] = (await connection.runAndReadAll('SELECT current_database()')).getRows();
      await connection.run(`COPY FROM DATABASE "${name?.[0]}" TO copy`);
      await connection.run(`UPDATE copy.flow_meta SET line = '${randomUUID()}'`);
      await connection.run('CHECKPOINT copy');
    } finally {
      await connection.run('DETACH copy');
    }
    sync(partial);
    renameSync(partial, file);
    sync(dirname(file));
  } catch (error) {
    remove();
    throw error;
  }
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
