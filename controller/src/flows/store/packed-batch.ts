// A batch on its way to the store's thread: all columns in one buffer, so that one object changes hands instead of fifty. Addresses come
// first, then wide columns: every column begins at a multiple of its width, whatever the number of records.
import type { FlowBlock } from '../block.js';
import type { BlockRange } from './archive.js';
import { ADDRESS_FIELDS, STORED_COLUMNS, type StoredColumn, splitAddresses } from './columns.js';

const NUMBERS = STORED_COLUMNS.filter(({ source }) => source.kind !== 'id' && source.kind !== 'address')
  .slice()
  .sort((a, b) => b.width - a.width);
const ADDRESS_BYTES = 16;
const RECORD_BYTES = NUMBERS.reduce((sum, { width }) => sum + width, ADDRESS_BYTES * ADDRESS_FIELDS.length);

export interface PackedBatch {
  readonly bytes: ArrayBuffer;
  /** Texts that the records use. */
  readonly strings: readonly string[];
}

/** Packs records; `endNumbers` gives the numbers of a block's ends by place. */
export function packRows(
  ranges: readonly BlockRange[],
  endNumbers: (block: FlowBlock) => ArrayLike<number>,
): PackedBatch {
  const count = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  const bytes = new ArrayBuffer(count * RECORD_BYTES);
  const all = new Uint8Array(bytes);
  const texts = new Texts();
  let row = 0;
  for (const { block, from, to } of ranges) {
    ADDRESS_FIELDS.forEach(([, field], place) => {
      const addresses = block[field].subarray(16 * from, 16 * to);
      all.set(addresses, ADDRESS_BYTES * (place * count + row));
    });
    const ends = endNumbers(block);
    const strings = texts.of(block);
    for (const { width, source, at } of places(count)) {
      const begin = at + row * width;
      if (source.kind === 'wide') {
        putWide(block[source.field], from, to, new Uint32Array(bytes, begin, 2 * (to - from)));
      } else if (source.kind === 'number') {
        const column = block[source.field];
        all.set(new Uint8Array(column.buffer, column.byteOffset + from * width, (to - from) * width), begin);
      } else if (source.kind === 'end' || source.kind === 'text') {
        const numbers = new Uint32Array(bytes, begin, to - from);
        const refs = block[source.field];
        if (source.kind === 'end')
          for (let i = from; i < to; i += 1) numbers[i - from] = ends[refs[i] as number] as number;
        else for (let i = from; i < to; i += 1) numbers[i - from] = strings(refs[i] as number);
      }
    }
    row += to - from;
  }
  return { bytes, strings: texts.used };
}

/** The columns by the names of the stored ones; views of the buffer but for the halves of addresses. */
export function unpackColumns(bytes: ArrayBuffer, count: number): Record<string, Uint8Array> {
  const columns: Record<string, Uint8Array> = {};
  for (const { name, at, width } of places(count)) columns[name] = new Uint8Array(bytes, at, count * width);
  ADDRESS_FIELDS.forEach(([name], place) => {
    const addresses = new Uint8Array(bytes, ADDRESS_BYTES * place * count, ADDRESS_BYTES * count);
    [columns[`${name}_a`], columns[`${name}_b`]] = splitAddresses(addresses);
  });
  return columns;
}

/** The other way round: columns by the names of the stored ones in one buffer. */
export function packColumns(columns: Readonly<Record<string, Uint8Array>>, count: number): ArrayBuffer {
  const bytes = new ArrayBuffer(count * RECORD_BYTES);
  const all = new Uint8Array(bytes);
  for (const { name, at } of places(count)) all.set(columns[name] ?? new Uint8Array(0), at);
  ADDRESS_FIELDS.forEach(([name], place) => {
    for (const [half, column] of [columns[`${name}_a`], columns[`${name}_b`]].entries()) {
      for (let i = 0; column !== undefined && i < count; i += 1) {
        all.set(column.subarray(8 * i, 8 * i + 8), ADDRESS_BYTES * (place * count + i) + 8 * half);
      }
    }
  });
  return bytes;
}

/** `numbers` by reference, one for each reference. */
export function translate(refs: Uint32Array, numbers: Uint32Array, to: Uint32Array): void {
  for (let i = 0; i < refs.length; i += 1) to[i] = numbers[refs[i] as number] as number;
}

function places(count: number): (StoredColumn & { readonly at: number })[] {
  let at = ADDRESS_BYTES * ADDRESS_FIELDS.length * count;
  return NUMBERS.map((column) => {
    const place = { ...column, at };
    at += column.width * count;
    return place;
  });
}

/** Whole numbers of 8 bytes. */
function putWide(from: Float64Array, begin: number, end: number, to: Uint32Array): void {
  for (let i = begin; i < end; i += 1) {
    const value = from[i] as number;
    const high = Math.floor(value / 0x1_0000_0000);
    to[2 * (i - begin)] = value - high * 0x1_0000_0000;
    to[2 * (i - begin) + 1] = high;
  }
}

/** Texts that records name, each once. */
class Texts {
  readonly used: string[] = [];
  readonly #places = new Map<string, number>();

  /** Places of a block's strings, by reference. */
  of({ strings }: FlowBlock): (ref: number) => number {
    /** Place + 1. */
    const known = new Uint32Array(strings.length);
    return (ref) => {
      if (known[ref] === 0) known[ref] = this.#placeOf(strings[ref] ?? '') + 1;
      return (known[ref] as number) - 1;
    };
  }

  #placeOf(text: string): number {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    this.#places.set(text, this.used.length);
    return this.used.push(text) - 1;
  }
}
