// Columns of a stored record: their SQL types, and where in a block their values come from. Every column is a fixed-width number, so that
// bytes of blocks become bytes of vectors.
import { BIGINT, type DuckDBType, UBIGINT, UINTEGER, USMALLINT, UTINYINT } from '@duckdb/node-api';
import type { FlowBlock } from '../block.js';

/** Where a column's values come from, and what they are. */
type Source =
  | { readonly kind: 'id' }
  /** A column of FlowBlock of the same width. */
  | { readonly kind: 'number'; readonly field: NumberField }
  /** A column of doubles, stored as whole numbers of 8 bytes. */
  | { readonly kind: 'wide'; readonly field: WideField }
  /** References into the ends, and into the texts, of a block. */
  | { readonly kind: 'end' | 'text'; readonly field: ReferenceField }
  /** Half of the addresses of this field. */
  | { readonly kind: 'address'; readonly field: AddressField };

export interface StoredColumn {
  readonly name: string;
  readonly type: DuckDBType;
  /** Bytes of one value. */
  readonly width: number;
  readonly source: Source;
}

export type WideField = { [K in keyof FlowBlock]: FlowBlock[K] extends Float64Array ? K : never }[keyof FlowBlock];
export type ReferenceField = 'local' | 'remote' | 'farEnd' | 'process' | 'reporter' | 'farProcess' | 'farReporter';
export type AddressField = 'localIp' | 'remoteIp' | 'farLocalIp' | 'farRemoteIp';
export type NumberField = Exclude<
  { [K in keyof FlowBlock]: FlowBlock[K] extends Uint32Array | Uint16Array | Uint8Array ? K : never }[keyof FlowBlock],
  ReferenceField | AddressField
>;

const id: StoredColumn = { name: 'id', type: UBIGINT, width: 8, source: { kind: 'id' } };
const wide = (name: string, field: WideField, type: DuckDBType = UBIGINT): StoredColumn => {
  return { name, type, width: 8, source: { kind: 'wide', field } };
};
const u32 = (name: string, field: NumberField) => column(name, UINTEGER, 4, { kind: 'number', field });
const u16 = (name: string, field: NumberField) => column(name, USMALLINT, 2, { kind: 'number', field });
const u8 = (name: string, field: NumberField) => column(name, UTINYINT, 1, { kind: 'number', field });
const end = (name: string, field: ReferenceField) => column(name, UINTEGER, 4, { kind: 'end', field });
const text = (name: string, field: ReferenceField) => column(name, UINTEGER, 4, { kind: 'text', field });
const address = (name: string, field: AddressField) =>
  ['a', 'b'].map((half) => column(`${name}_${half}`, UBIGINT, 8, { kind: 'address', field }));

/** In the order of the table. */
export const STORED_COLUMNS: readonly StoredColumn[] = [
  id,
  wide('first_us', 'firstSeenUs', BIGINT),
  wide('last_us', 'lastSeenUs', BIGINT),
  wide('bytes_in', 'bytesIn'),
  wide('bytes_out', 'bytesOut'),
  wide('packets_in', 'packetsIn'),
  wide('packets_out', 'packetsOut'),
  ...address('local_ip', 'localIp'),
  ...address('remote_ip', 'remoteIp'),
  end('local_end', 'local'),
  end('remote_end', 'remote'),
  text('process', 'process'),
  text('reporter', 'reporter'),
  u32('rule', 'rule'),
  u32('policy_version', 'policyVersion'),
  u32('attempts', 'attempts'),
  u32('pid', 'pid'),
  u16('local_port', 'localPort'),
  u16('remote_port', 'remotePort'),
  u16('service_port', 'servicePort'),
  u8('protocol', 'protocol'),
  u8('direction', 'direction'),
  u8('verdict', 'verdict'),
  u8('reason', 'reason'),
  u8('mode', 'mode'),
  u8('kind', 'kind'),
  u8('tcp_flags', 'tcpFlags'),
  u8('confidence', 'confidence'),
  // The other end's view (block.ts). A table made before there was one gets these with 0.
  u8('views', 'views'),
  u8('decider', 'decider'),
  u8('other_verdict', 'otherVerdict'),
  u8('other_reason', 'otherReason'),
  u8('other_mode', 'otherMode'),
  u8('near_confidence', 'nearConfidence'),
  u8('far_confidence', 'farConfidence'),
  u16('far_local_port', 'farLocalPort'),
  u16('far_remote_port', 'farRemotePort'),
  u16('far_service_port', 'farServicePort'),
  u32('other_rule', 'otherRule'),
  u32('other_policy_version', 'otherPolicyVersion'),
  u32('far_pid', 'farPid'),
  end('far_end', 'farEnd'),
  text('far_process', 'farProcess'),
  text('far_reporter', 'farReporter'),
  wide('far_first_us', 'farFirstSeenUs', BIGINT),
  wide('far_last_us', 'farLastSeenUs', BIGINT),
  wide('far_bytes_in', 'farBytesIn'),
  wide('far_bytes_out', 'farBytesOut'),
  wide('far_packets_in', 'farPacketsIn'),
  wide('far_packets_out', 'farPacketsOut'),
  ...address('far_local_ip', 'farLocalIp'),
  ...address('far_remote_ip', 'farRemoteIp'),
];

/** Names of the columns that refer to ends, and to texts. */
export const END_COLUMNS = namesOf('end');
export const TEXT_COLUMNS = namesOf('text');
/** Fields of addresses with the name that their halves begin with. */
export const ADDRESS_FIELDS = [
  ['local_ip', 'localIp'],
  ['remote_ip', 'remoteIp'],
  ['far_local_ip', 'farLocalIp'],
  ['far_remote_ip', 'farRemoteIp'],
] as const;

/** Columns of a table of records, for CREATE TABLE. */
export const RECORD_DDL = STORED_COLUMNS.map(({ name, type }) => `${name} ${type.toString()} NOT NULL`).join(', ');

/**
 * The two halves of n addresses of 16 bytes as columns of 8 bytes each: the address's own bytes, read as little-endian numbers by the
 * database. Masks are made the same way (addressHalves), so comparing under a mask needs no byte order.
 */
export function splitAddresses(bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const count = bytes.length / 16;
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, 4 * count);
  const [a, b] = [new Uint32Array(2 * count), new Uint32Array(2 * count)];
  for (let i = 0; i < count; i += 1) {
    a[2 * i] = words[4 * i] ?? 0;
    a[2 * i + 1] = words[4 * i + 1] ?? 0;
    b[2 * i] = words[4 * i + 2] ?? 0;
    b[2 * i + 1] = words[4 * i + 3] ?? 0;
  }
  return [new Uint8Array(a.buffer), new Uint8Array(b.buffer)];
}

/** One address or mask of 16 bytes as the numbers that its halves are in the database. */
export function addressHalves(bytes: Uint8Array): [bigint, bigint] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return [view.getBigUint64(0, true), view.getBigUint64(8, true)];
}

function column(name: string, type: DuckDBType, width: number, source: Source): StoredColumn {
  return { name, type, width, source };
}

function namesOf(kind: Source['kind']): string[] {
  return STORED_COLUMNS.filter(({ source }) => source.kind === kind).map(({ name }) => name);
}
