// Reading packed event records without an object per event.
import { EVENT } from './structs.js';

/** Bytes of one record. */
export const EVENT_BYTES = EVENT.size;

/** Byte offset of each member inside a record; little-endian except the three ports (network order). */
export const EVENT_COLUMNS = Object.fromEntries(
  Object.entries(EVENT.fields).map(([name, field]) => [name, field.offset]),
) as { readonly [N in keyof typeof EVENT.fields]: number };

/**
 * A view on a batch of packed records, read by (row, column). Valid as long as the buffer is. Rows are not checked against count:
 * the underlying views throw RangeError past the end.
 */
export class EventColumns {
  readonly count: number;
  readonly view: DataView;
  readonly bytes: Uint8Array;

  /** count defaults to what fits; a remainder of less than one record is an error. */
  constructor(buffer: ArrayBufferLike, byteOffset = 0, count = (buffer.byteLength - byteOffset) / EVENT_BYTES) {
    if (!Number.isInteger(count) || count < 0 || byteOffset + count * EVENT_BYTES > buffer.byteLength) {
      throw new RangeError(
        `Cannot read events: found ${buffer.byteLength - byteOffset} bytes, wanted ${count} × ${EVENT_BYTES}`,
      );
    }
    this.count = count;
    this.view = new DataView(buffer, byteOffset, count * EVENT_BYTES);
    this.bytes = new Uint8Array(buffer, byteOffset, count * EVENT_BYTES);
  }

  u8(row: number, column: number): number {
    return this.view.getUint8(row * EVENT_BYTES + column);
  }

  u16(row: number, column: number): number {
    return this.view.getUint16(row * EVENT_BYTES + column, true);
  }

  /** A port, host order. */
  port(row: number, column: number): number {
    return this.view.getUint16(row * EVENT_BYTES + column, false);
  }

  u32(row: number, column: number): number {
    return this.view.getUint32(row * EVENT_BYTES + column, true);
  }

  u64(row: number, column: number): bigint {
    return this.view.getBigUint64(row * EVENT_BYTES + column, true);
  }

  /** As a double: exact up to 2^53 (104 days of nanoseconds, 9 PB). */
  number64(row: number, column: number): number {
    const at = row * EVENT_BYTES + column;
    return this.view.getUint32(at + 4, true) * 4294967296 + this.view.getUint32(at, true);
  }

  /** 16 bytes, not copied. */
  address(row: number, column: number): Uint8Array {
    const at = row * EVENT_BYTES + column;
    return this.bytes.subarray(at, at + 16);
  }

  /** A process name. */
  text(row: number, column: number): string {
    const at = row * EVENT_BYTES + column;
    let end = at;
    while (end < at + 16 && this.bytes[end] !== 0) end++;
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + at, end - at).toString('utf8');
  }
}
