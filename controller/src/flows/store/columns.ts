// Columns of a stored record: their SQL types, and where their bytes come from. Every column is a fixed-width number, so that bytes of
// an agent's batch become bytes of a vector without a value in between.
import { BIGINT, type DuckDBType, UBIGINT, UINTEGER, USMALLINT, UTINYINT } from '@duckdb/node-api';

export interface StoredColumn {
  readonly name: string;
  readonly type: DuckDBType;
  /** Bytes of one value. */
  readonly width: number;
}

/** In the order of the table. */
export const STORED_COLUMNS = [
  column('id', UBIGINT, 8),
  column('first_us', BIGINT, 8),
  column('last_us', BIGINT, 8),
  column('bytes_in', UBIGINT, 8),
  column('bytes_out', UBIGINT, 8),
  column('packets_in', UBIGINT, 8),
  column('packets_out', UBIGINT, 8),
  column('local_ip_a', UBIGINT, 8),
  column('local_ip_b', UBIGINT, 8),
  column('remote_ip_a', UBIGINT, 8),
  column('remote_ip_b', UBIGINT, 8),
  column('local_end', UINTEGER, 4),
  column('remote_end', UINTEGER, 4),
  column('process', UINTEGER, 4),
  column('reporter', UINTEGER, 4),
  column('rule', UINTEGER, 4),
  column('policy_version', UINTEGER, 4),
  column('attempts', UINTEGER, 4),
  column('pid', UINTEGER, 4),
  column('local_port', USMALLINT, 2),
  column('remote_port', USMALLINT, 2),
  column('service_port', USMALLINT, 2),
  column('protocol', UTINYINT, 1),
  column('direction', UTINYINT, 1),
  column('verdict', UTINYINT, 1),
  column('reason', UTINYINT, 1),
  column('mode', UTINYINT, 1),
  column('kind', UTINYINT, 1),
  column('tcp_flags', UTINYINT, 1),
  column('confidence', UTINYINT, 1),
] as const;

/** Columns that are taken from an agent's batch as they are. */
export const AS_SENT = {
  first_us: 'firstSeenUs',
  last_us: 'lastSeenUs',
  bytes_in: 'bytesIn',
  bytes_out: 'bytesOut',
  packets_in: 'packetsIn',
  packets_out: 'packetsOut',
  rule: 'rule',
  policy_version: 'policyVersion',
  attempts: 'attempts',
  pid: 'pid',
  local_port: 'localPort',
  remote_port: 'remotePort',
  service_port: 'servicePort',
  protocol: 'protocol',
  direction: 'direction',
  verdict: 'verdict',
  reason: 'reason',
  mode: 'mode',
  kind: 'kind',
  tcp_flags: 'tcpFlags',
  confidence: 'confidence',
} as const;

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

function column(name: string, type: DuckDBType, width: number): StoredColumn {
  return { name, type, width };
}
