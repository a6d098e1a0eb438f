// A batch as an entry of the journal, and back.
import type { FlowEndInfo } from '../block.js';
import type { Gap } from '../gaps.js';
import { END_COLUMNS } from './columns.js';
import type { EndBits } from './end-bits.js';
import type { StoreBatch } from './messages.js';
import { unpackColumns } from './packed-batch.js';

/** A batch with its place among all that were ever handed over. */
export type JournaledBatch = StoreBatch & { readonly serial: number };

/** A batch to be written, with its records as packed-batch.ts lays them out. */
export interface JournalEntry {
  readonly batch: JournaledBatch;
  readonly bytes: ArrayBuffer;
}

/** What an entry says beside replaced ids and records. */
export interface JournalHead {
  readonly serial: number;
  readonly hostId: string;
  readonly run: string;
  readonly sequence: string;
  readonly firstId: number;
  readonly count: number;
  readonly replaced: number;
  readonly strings: readonly string[];
  readonly loss: readonly string[] | undefined;
  readonly gaps: readonly Gap[];
  /** Ends with their numbers that no entry of the file before has named. */
  readonly ends: readonly (readonly [number, FlowEndInfo])[];
}

/** `written`: numbers of the ends that the file names already; those of this batch are added. */
export function headOf({ batch }: JournalEntry, written: EndBits): JournalHead {
  const { serial, hostId, run, sequence, firstId, count, replaced, strings, loss, gaps } = batch;
  const ends: [number, FlowEndInfo][] = [];
  for (const name of END_COLUMNS) {
    for (const number of words(batch.columns[name])) {
      const info = batch.ends[number];
      if (info !== undefined && written.add(number)) ends.push([number, info]);
    }
  }
  const counters = loss?.map(String);
  const head = { serial, hostId, run, sequence: String(sequence), firstId, count, strings, gaps, ends };
  return { ...head, replaced: replaced.length, loss: counters };
}

/** `ends`: those of the file so far, by number; those of this entry are added. */
export function readBatch(
  { head, body }: { readonly head: JournalHead; readonly body: Buffer },
  ends: Map<number, FlowEndInfo>,
): JournaledBatch {
  for (const [number, info] of head.ends) ends.set(number, info);
  const { serial, hostId, run, firstId, count, strings, gaps } = head;
  const bytes = new Uint8Array(body).buffer;
  const columns = unpackColumns(bytes.slice(8 * head.replaced), count);
  const places = new Map<number, number>();
  const used: FlowEndInfo[] = [];
  for (const name of END_COLUMNS) {
    const numbers = words(columns[name]);
    numbers.forEach((number, i) => {
      let place = places.get(number);
      const info = ends.get(number);
      if (place === undefined && info !== undefined) {
        place = used.push(info) - 1;
        places.set(number, place);
      }
      numbers[i] = place ?? 0;
    });
  }
  return {
    ...{ serial, hostId, run, firstId, count, strings, gaps, columns },
    sequence: BigInt(head.sequence),
    replaced: new Float64Array(bytes, 0, head.replaced),
    loss: head.loss?.map(BigInt),
    ends: used,
  };
}

function words(bytes: Uint8Array | undefined): Uint32Array {
  return bytes === undefined ? new Uint32Array(0) : new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
