// Records on their way out, column by column, in the form FlowColumns carries: no object per record. One builder per lane, so
// that a batch is all allows or all denies and the spool can drop the one and keep the other.
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';

/** Denies are what was or would be blocked. */
export type RecordLane = 'allow' | 'deny';

/** Columns of records; count of them, all of equal length. Views of the builder's memory: to be read before it begins another record. */
export interface RecordBatch {
  readonly lane: RecordLane;
  readonly columns: FlowColumns;
}

const BYTES = {
  direction: 1,
  protocol: 1,
  verdict: 1,
  reason: 1,
  mode: 1,
  kind: 1,
  tcpFlags: 1,
  confidence: 1,
} as const;
const SHORTS = { localPort: 2, remotePort: 2, servicePort: 2 } as const;
const WORDS = {
  rule: 4,
  policyVersion: 4,
  localIdentity: 4,
  remoteIdentity: 4,
  attempts: 4,
  pid: 4,
  workloadRef: 4,
  processRef: 4,
} as const;
/** Two words, low first. */
const LONGS = {
  firstSeenUs: 8,
  lastSeenUs: 8,
  bytesIn: 8,
  bytesOut: 8,
  packetsIn: 8,
  packetsOut: 8,
} as const;
/** Four words, as they lie in memory. */
const ADDRESSES = { localIp: 16, remoteIp: 16 } as const;
const WIDTHS = { ...BYTES, ...SHORTS, ...WORDS, ...LONGS, ...ADDRESSES } as const;

type Columns = { readonly [N in keyof typeof BYTES]: Uint8Array } & {
  readonly [N in keyof typeof SHORTS]: Uint16Array;
} & { readonly [N in keyof typeof WORDS | keyof typeof LONGS | keyof typeof ADDRESSES]: Uint32Array };

/**
 * Fills columns up to a fixed number of records. The caller writes row `begin()` of each column itself: this is the innermost loop
 * of the agent, and a typed array per column is what the engine makes direct stores of. Little-endian, as every BPF host here.
 */
export class RecordBatchBuilder {
  readonly #lane: RecordLane;
  readonly #capacity: number;
  /** Of the batch being filled. */
  readonly columns: Columns;
  #strings: string[] = [''];
  #refs = new Map<string, number>([['', 0]]);
  #count = 0;

  constructor(lane: RecordLane, capacity: number) {
    this.#lane = lane;
    this.#capacity = capacity;
    this.columns = allocate(capacity);
  }

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count === this.#capacity;
  }

  /** Begins a record and gives its row; every column of it must then be written. Must not be full. */
  begin(): number {
    if (this.full) throw new Error(`Cannot add a record: the batch holds ${this.#count}, wanted a taken batch`);
    this.#count += 1;
    return this.#count - 1;
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
    for (const name of Object.keys(WIDTHS) as (keyof typeof WIDTHS)[]) {
      columns[name] = Buffer.from(this.columns[name].buffer as ArrayBuffer, 0, this.#count * WIDTHS[name]);
    }
    this.#strings = [''];
    this.#refs = new Map([['', 0]]);
    this.#count = 0;
    return { lane: this.#lane, columns };
  }
}

/** Writes a number below 2^53 as 64 bits. */
export function putLong(column: Uint32Array, row: number, value: number): void {
  column[2 * row] = value % 0x1_0000_0000;
  column[2 * row + 1] = Math.floor(value / 0x1_0000_0000);
}

function allocate(capacity: number): Columns {
  const columns: Record<string, Uint8Array | Uint16Array | Uint32Array> = {};
  for (const name of Object.keys(BYTES)) columns[name] = new Uint8Array(capacity);
  for (const name of Object.keys(SHORTS)) columns[name] = new Uint16Array(capacity);
  for (const name of Object.keys(WORDS)) columns[name] = new Uint32Array(capacity);
  for (const name of Object.keys(LONGS)) columns[name] = new Uint32Array(capacity * 2);
  for (const name of Object.keys(ADDRESSES)) columns[name] = new Uint32Array(capacity * 4);
  return columns as unknown as Columns;
}
