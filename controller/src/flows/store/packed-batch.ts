// A batch on its way to the store's thread: all columns in one buffer, so that one object changes hands instead of thirty. Wide columns
// come first: every column begins at a multiple of its width, whatever the number of records.
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { BatchEnds } from '../batch-ends.js';
import { aligned32 } from '../decode.js';
import { AS_SENT, splitAddresses } from './columns.js';

const NUMBERS: readonly (readonly [name: string, width: number])[] = [
  ['first_us', 8],
  ['last_us', 8],
  ['bytes_in', 8],
  ['bytes_out', 8],
  ['packets_in', 8],
  ['packets_out', 8],
  ['rule', 4],
  ['policy_version', 4],
  ['attempts', 4],
  ['pid', 4],
  ['local_end', 4],
  ['remote_end', 4],
  ['process', 4],
  ['local_port', 2],
  ['remote_port', 2],
  ['service_port', 2],
  ['protocol', 1],
  ['direction', 1],
  ['verdict', 1],
  ['reason', 1],
  ['mode', 1],
  ['kind', 1],
  ['tcp_flags', 1],
  ['confidence', 1],
];
/** The addresses of both ends, 16 bytes each, stand before all numbers. */
const ADDRESS_BYTES = 32;
const RECORD_BYTES = NUMBERS.reduce((sum, [, width]) => sum + width, ADDRESS_BYTES);

export interface PackedBatch {
  readonly bytes: ArrayBuffer;
  /** Names of processes that the records use. */
  readonly strings: readonly string[];
}

/** Packs a checked batch; `endNumbers` are by place in `ends.ends`. */
export function packColumns(columns: FlowColumns, ends: BatchEnds, endNumbers: Uint32Array): PackedBatch {
  const { count } = columns;
  const bytes = new ArrayBuffer(count * RECORD_BYTES);
  const all = new Uint8Array(bytes);
  all.set(columns.localIp, 0);
  all.set(columns.remoteIp, 16 * count);
  const strings: string[] = [];
  for (const { name, at } of places(count)) {
    const sent = AS_SENT[name as keyof typeof AS_SENT];
    if (sent !== undefined) all.set(columns[sent], at);
    else if (name === 'process') {
      translateStrings(aligned32(columns.processRef), columns.strings, new Uint32Array(bytes, at, count), strings);
    } else {
      const refs = name === 'local_end' ? ends.local : ends.remote;
      translate(refs, endNumbers, new Uint32Array(bytes, at, count));
    }
  }
  return { bytes, strings };
}

/** The columns by the names of the stored ones; views of the buffer but for the halves of addresses. */
export function unpackColumns(bytes: ArrayBuffer, count: number): Record<string, Uint8Array> {
  const columns: Record<string, Uint8Array> = {};
  for (const { name, at, width } of places(count)) columns[name] = new Uint8Array(bytes, at, count * width);
  [columns.local_ip_a, columns.local_ip_b] = splitAddresses(new Uint8Array(bytes, 0, 16 * count));
  [columns.remote_ip_a, columns.remote_ip_b] = splitAddresses(new Uint8Array(bytes, 16 * count, 16 * count));
  return columns;
}

/** `numbers` by reference, one for each reference. */
export function translate(refs: Uint32Array, numbers: Uint32Array, to: Uint32Array): void {
  for (let i = 0; i < refs.length; i += 1) to[i] = numbers[refs[i] as number] as number;
}

function places(count: number): { name: string; width: number; at: number }[] {
  let at = ADDRESS_BYTES * count;
  return NUMBERS.map(([name, width]) => {
    const place = { name, width, at };
    at += width * count;
    return place;
  });
}

/** Only texts that a record names travel: a batch's strings hold workload ids as well. */
function translateStrings(refs: Uint32Array, texts: readonly string[], to: Uint32Array, used: string[]): void {
  /** By reference: place in `used` + 1. */
  const known = new Uint32Array(texts.length);
  for (let i = 0; i < refs.length; i += 1) {
    const ref = refs[i] as number;
    if (known[ref] === 0) known[ref] = used.push(texts[ref] ?? '');
    to[i] = (known[ref] as number) - 1;
  }
}
