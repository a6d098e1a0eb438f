// Batches as rows of a table: columns of bytes are laid end to end and copied into vectors, a full vector at a time.
import { type DuckDBConnection, DuckDBDataChunk, UBIGINT } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import { END_COLUMNS, STORED_COLUMNS, TEXT_COLUMNS } from './columns.js';
import type { StoreBatch } from './messages.js';
import { translate } from './packed-batch.js';

/** Rows of one vector. */
const VECTOR_ROWS = 2048;
const TYPES = STORED_COLUMNS.map(({ type }) => type);
const ENDS: ReadonlySet<string> = new Set(END_COLUMNS);
const TEXTS: ReadonlySet<string> = new Set(TEXT_COLUMNS);

/** Numbers that the dictionary gave to a batch's ends and texts. */
export interface NumberedBatch {
  readonly batch: StoreBatch;
  /** By place in the batch's ends. */
  readonly ends: Uint32Array;
  /** By place in the batch's strings. */
  readonly strings: Uint32Array;
}

/** Appends all rows of all batches, in order, inside the caller's transaction. */
export async function appendRows(
  connection: DuckDBConnection,
  table: string,
  batches: readonly NumberedBatch[],
): Promise<void> {
  const total = batches.reduce((sum, { batch }) => sum + batch.count, 0);
  if (total === 0) return;
  const columns = STORED_COLUMNS.map(({ name, width }) => {
    const bytes = new Uint8Array(total * width);
    let at = 0;
    for (const numbered of batches) {
      fill(numbered, name, bytes.subarray(at, at + numbered.batch.count * width));
      at += numbered.batch.count * width;
    }
    return { bytes, width };
  });
  const appender = await connection.createAppender(table);
  try {
    for (let start = 0; start < total; start += VECTOR_ROWS) {
      const count = Math.min(VECTOR_ROWS, total - start);
      const chunk = DuckDBDataChunk.create(TYPES, count);
      columns.forEach(({ bytes, width }, index) => {
        const vector = duckdb.data_chunk_get_vector(chunk.chunk, index);
        duckdb.copy_data_to_vector(vector, 0, bytes.buffer, start * width, count * width);
      });
      appender.appendDataChunk(chunk);
    }
    appender.flushSync();
  } finally {
    appender.closeSync();
  }
}

/** Appends numbers to a table of one column of 8 bytes. */
export async function appendIds(
  connection: DuckDBConnection,
  table: string,
  lists: readonly Float64Array[],
): Promise<void> {
  const ids = BigUint64Array.from(
    lists.flatMap((list) => [...list]),
    BigInt,
  );
  const appender = await connection.createAppender(table);
  try {
    for (let start = 0; start < ids.length; start += VECTOR_ROWS) {
      const count = Math.min(VECTOR_ROWS, ids.length - start);
      const chunk = DuckDBDataChunk.create([UBIGINT], count);
      const vector = duckdb.data_chunk_get_vector(chunk.chunk, 0);
      duckdb.copy_data_to_vector(vector, 0, ids.buffer, start * 8, count * 8);
      appender.appendDataChunk(chunk);
    }
    appender.flushSync();
  } finally {
    appender.closeSync();
  }
}

/** Writes one column of a batch; `to` begins at a multiple of the column's width. */
function fill({ batch, ends, strings }: NumberedBatch, name: string, to: Uint8Array): void {
  if (name === 'id') {
    const halves = words(to);
    for (let i = 0; i < batch.count; i += 1) {
      halves[2 * i] = (batch.firstId + i) >>> 0;
      halves[2 * i + 1] = Math.floor((batch.firstId + i) / 0x1_0000_0000);
    }
  } else if (ENDS.has(name)) translate(words(columnOf(batch, name)), ends, words(to));
  else if (TEXTS.has(name)) translate(words(columnOf(batch, name)), strings, words(to));
  else to.set(columnOf(batch, name));
}

function columnOf({ columns }: StoreBatch, name: string): Uint8Array {
  const bytes = columns[name];
  if (bytes === undefined) throw new Error(`Cannot store a batch: found no column ${name}`);
  return bytes;
}

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
