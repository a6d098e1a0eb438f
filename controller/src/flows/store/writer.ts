// Batches as rows of a table: columns of bytes are laid end to end and copied into vectors, a full vector at a time.
import { type DuckDBAppender, type DuckDBConnection, DuckDBDataChunk, UBIGINT } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import { END_COLUMNS, STORED_COLUMNS, TEXT_COLUMNS } from './columns.js';
import { liveCount } from './extents.js';
import type { StoreBatch } from './messages.js';
import { translate } from './packed-batch.js';

/** Rows of one vector. */
const VECTOR_ROWS = 2048;
/** Rows written in one turn, about. */
const TURN_ROWS = 8 * VECTOR_ROWS;
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

/** Appends all rows of all batches, in order, inside the caller's transaction. Others get their turn in between. */
export async function appendRows(
  connection: DuckDBConnection,
  table: string,
  batches: readonly NumberedBatch[],
): Promise<void> {
  if (batches.every(({ batch }) => liveCount(batch) === 0)) return;
  const appender = await connection.createAppender(table);
  try {
    for (let from = 0; from < batches.length; ) {
      let [to, rows] = [from, 0];
      for (; to < batches.length && rows < TURN_ROWS; to += 1) rows += liveCount((batches[to] as NumberedBatch).batch);
      appendChunks(appender, batches.slice(from, to), rows);
      from = to;
      await new Promise(setImmediate);
    }
    appender.flushSync();
  } finally {
    appender.closeSync();
  }
}

function appendChunks(appender: DuckDBAppender, batches: readonly NumberedBatch[], rows: number): void {
  const columns = STORED_COLUMNS.map(({ name, width }) => {
    const bytes = new Uint8Array(rows * width);
    let at = 0;
    for (const numbered of batches) {
      const room = liveCount(numbered.batch) * width;
      fill(numbered, name, width, bytes.subarray(at, at + room));
      at += room;
    }
    return { bytes, width };
  });
  for (let start = 0; start < rows; start += VECTOR_ROWS) {
    const count = Math.min(VECTOR_ROWS, rows - start);
    const chunk = DuckDBDataChunk.create(TYPES, count);
    columns.forEach(({ bytes, width }, index) => {
      const vector = duckdb.data_chunk_get_vector(chunk.chunk, index);
      duckdb.copy_data_to_vector(vector, 0, bytes.buffer, start * width, count * width);
    });
    appender.appendDataChunk(chunk);
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
function fill({ batch, ends, strings }: NumberedBatch, name: string, width: number, to: Uint8Array): void {
  const { live } = batch;
  if (name === 'id') {
    const halves = words(to);
    for (let i = 0; i < liveCount(batch); i += 1) {
      const id = batch.firstId + (live === undefined ? i : (live[i] as number));
      halves[2 * i] = id >>> 0;
      halves[2 * i + 1] = Math.floor(id / 0x1_0000_0000);
    }
    return;
  }
  const column = columnOf(batch, name);
  if (live === undefined) to.set(column);
  else gather(column, width, live, to);
  if (ENDS.has(name)) translate(words(to), ends, words(to));
  else if (TEXTS.has(name)) translate(words(to), strings, words(to));
}

/** Copies values of a width at places. */
function gather(from: Uint8Array, width: number, places: Uint32Array, to: Uint8Array): void {
  if (width === 1) for (let i = 0; i < places.length; i += 1) to[i] = from[places[i] as number] as number;
  else if (width === 2) pick(shorts(from), places, shorts(to));
  else if (width === 4) pick(words(from), places, words(to));
  else pickPairs(words(from), places, words(to));
}

function pick<T extends Uint16Array | Uint32Array>(from: T, places: Uint32Array, to: T): void {
  for (let i = 0; i < places.length; i += 1) to[i] = from[places[i] as number] as number;
}

function pickPairs(from: Uint32Array, places: Uint32Array, to: Uint32Array): void {
  for (let i = 0; i < places.length; i += 1) {
    const at = 2 * (places[i] as number);
    to[2 * i] = from[at] as number;
    to[2 * i + 1] = from[at + 1] as number;
  }
}

function columnOf({ columns }: StoreBatch, name: string): Uint8Array {
  const bytes = columns[name];
  if (bytes === undefined) throw new Error(`Cannot store a batch: found no column ${name}`);
  return bytes;
}

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function shorts(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}
