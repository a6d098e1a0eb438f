// Records on their way out, column by column, in the form FlowColumns carries: no object per record. One builder per lane, so
// that a batch is all allows or all denies and the spool can drop the one and keep the other.
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';

/** Denies are what was or would be blocked. */
export type RecordLane = 'allow' | 'deny';

/** Columns of records; count of them, all of equal length. */
export interface RecordBatch {
  readonly lane: RecordLane;
  readonly columns: FlowColumns;
}

const WIDTHS = {
  firstSeenUs: 8,
  lastSeenUs: 8,
  localIp: 16,
  remoteIp: 16,
  localPort: 2,
  remotePort: 2,
  protocol: 1,
  direction: 1,
  verdict: 1,
  reason: 1,
  mode: 1,
  kind: 1,
  tcpFlags: 1,
  confidence: 1,
  rule: 4,
  policyVersion: 4,
  localIdentity: 4,
  remoteIdentity: 4,
  bytesIn: 8,
  bytesOut: 8,
  packetsIn: 8,
  packetsOut: 8,
  attempts: 4,
  pid: 4,
  workloadRef: 4,
  processRef: 4,
  servicePort: 2,
} as const;

export type ColumnName = keyof typeof WIDTHS;
const NAMES = Object.keys(WIDTHS) as ColumnName[];

/** Fills columns up to a fixed number of records. */
export class RecordBatchBuilder {
  readonly #lane: RecordLane;
  readonly #capacity: number;
  #columns: Record<ColumnName, Buffer>;
  #strings: string[] = [''];
  #refs = new Map<string, number>([['', 0]]);
  #count = 0;

  constructor(lane: RecordLane, capacity: number) {
    this.#lane = lane;
    this.#capacity = capacity;
    this.#columns = allocate(capacity);
  }

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count === this.#capacity;
  }

  /** Begins a record; every column of it must then be set. Must not be full. */
  begin(): void {
    if (this.full) throw new Error(`Cannot add a record: the batch holds ${this.#count}, wanted a taken batch`);
    this.#count += 1;
  }

  /** Sets a number of 8, 16 or 32 bits in the newest record. */
  set(column: Exclude<ColumnName, 'localIp' | 'remoteIp'>, value: number): void {
    const buffer = this.#columns[column];
    const at = this.#count - 1;
    switch (WIDTHS[column]) {
      case 1:
        buffer[at] = value;
        break;
      case 2:
        buffer.writeUInt16LE(value & 0xffff, at * 2);
        break;
      case 4:
        buffer.writeUInt32LE(value >>> 0, at * 4);
        break;
      default:
        // Below 2^53, as every number here is.
        buffer.writeUInt32LE(value % 0x1_0000_0000, at * 8);
        buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at * 8 + 4);
    }
  }

  /** Sets an address of the newest record from 16 bytes at an offset. */
  setAddress(column: 'localIp' | 'remoteIp', bytes: Uint8Array, offset: number): void {
    this.#columns[column].set(bytes.subarray(offset, offset + 16), (this.#count - 1) * 16);
  }

  /** Number of a string in this batch's dictionary. */
  ref(text: string): number {
    const known = this.#refs.get(text);
    if (known !== undefined) return known;
    this.#strings.push(text);
    this.#refs.set(text, this.#strings.length - 1);
    return this.#strings.length - 1;
  }

  /** What was gathered, and begins anew; undefined when nothing was. */
  take(): RecordBatch | undefined {
    if (this.#count === 0) return undefined;
    const columns = { count: this.#count, strings: this.#strings } as FlowColumns;
    for (const name of NAMES) columns[name] = this.#columns[name].subarray(0, this.#count * WIDTHS[name]);
    this.#columns = allocate(this.#capacity);
    this.#strings = [''];
    this.#refs = new Map([['', 0]]);
    this.#count = 0;
    return { lane: this.#lane, columns };
  }
}

function allocate(capacity: number): Record<ColumnName, Buffer> {
  const columns = {} as Record<ColumnName, Buffer>;
  for (const name of NAMES) columns[name] = Buffer.alloc(capacity * WIDTHS[name]);
  return columns;
}
