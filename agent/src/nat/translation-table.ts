// The connections that this host's kernel translates, row by row in typed arrays: what conntrack said of them, and what the controller is
// still to be told. A row is open (known to the kernel) or closed (kept until it was told). Everything is bounded: what finds no room is
// counted, and the next dump brings those that are still open.
import { CONNTRACK, ConntrackKind } from '@ringfence/native';
import { TranslationColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';

export interface TranslationTableOptions {
  /** Rows at most, open and untold ones together. */
  readonly rowsMax: number;
  /** Monotonic nanoseconds to Unix microseconds. */
  readonly toWallUs: (ns: number) => number;
  /** Local id of the one workload on this host that has this address (16 bytes, latin1); '' for none or several. */
  readonly localIdAt: (address: string) => string;
  /** A connection came up whose source is translated: the address before and after, as above. */
  readonly onSource: (inside: string, outside: string) => void;
  /** The same of its destination. `listed`: it was found open by a dump. */
  readonly onDestination: (at: DestinationAt, listed: boolean) => void;
}

/** A connection's destination before and after; addresses of 16 bytes, latin1. */
export interface DestinationAt {
  readonly protocol: number;
  readonly address: string;
  readonly port: number;
  readonly to: string;
  readonly toPort: number;
}

const FIRST_ROWS = 256;
/** Bits of a row's state. */
const USED = 1;
const CLOSED = 2;
const QUEUED = 4;

export class TranslationTable {
  readonly #options: TranslationTableOptions;
  #capacity = 0;
  #records = new Uint8Array(0);
  #opened = new Float64Array(0);
  #closed = new Float64Array(0);
  #state = new Uint8Array(0);
  #pass = new Uint8Array(0);
  #localIds: string[] = [];
  #free: number[] = [];
  /** Open rows by the kernel's id. */
  readonly #rows = new Map<number, number>();
  /** Rows to be told, oldest first; those before `#told` have been. */
  #queue: number[] = [];
  #told = 0;
  #dump = 0;
  /** Translations that found no room, in this run. */
  dropped = 0;

  constructor(options: TranslationTableOptions) {
    this.#options = options;
  }

  /** Open connections. */
  get open(): number {
    return this.#rows.size;
  }

  /** Rows that are to be told. */
  get waiting(): number {
    return this.#queue.length - this.#told;
  }

  /** Takes packed records (CONNTRACK). */
  take(bytes: Uint8Array, records: number): void {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < records; i += 1) {
      const at = i * CONNTRACK.bytes;
      const id = view.readUInt32LE(at + CONNTRACK.id);
      const ns = view.readUInt32LE(at) + view.readUInt32LE(at + 4) * 0x1_0000_0000;
      const kind = view[at + CONNTRACK.kind];
      const row = this.#rows.get(id);
      const same = row !== undefined && this.#isSame(row, view, at);
      if (kind === ConntrackKind.gone) {
        if (same) this.#close(id, row, this.#options.toWallUs(ns));
        continue;
      }
      if (same) {
        this.#pass[row] = this.#dump;
        continue;
      }
      // Another connection has taken the id: the end of the one before was missed.
      if (row !== undefined) this.#close(id, row, this.#options.toWallUs(ns));
      // One that a dump finds first was opened nobody knows when.
      this.#add(id, view, at, kind === ConntrackKind.listed ? 0 : this.#options.toWallUs(ns));
    }
  }

  /** A dump begins: until `endDump`, what it lists is marked. */
  beginDump(): void {
    this.#dump = this.#dump === 255 ? 1 : this.#dump + 1;
  }

  /** The dump is complete: what it did not list is over. */
  endDump(ns: number): void {
    for (const [id, row] of [...this.#rows]) {
      if (this.#pass[row] !== this.#dump) this.#close(id, row, this.#options.toWallUs(ns));
    }
  }

  /** Of the connections that are open: sourceKey of each. Looks at all of them. */
  sources(): ReadonlySet<string> {
    return this.#each((records, at) =>
      sourceKey(addressAt(records, at + CONNTRACK.source), addressAt(records, at + CONNTRACK.translatedSource)),
    );
  }

  /** The same: destinationKey of each. */
  destinations(): ReadonlySet<string> {
    return this.#each((records, at) => destinationKey(destinationAt(records, at)));
  }

  #each(keyOf: (records: Buffer, at: number) => string): ReadonlySet<string> {
    const records = Buffer.from(this.#records.buffer, this.#records.byteOffset, this.#records.byteLength);
    const keys = new Set<string>();
    for (const row of this.#rows.values()) keys.add(keyOf(records, row * CONNTRACK.bytes));
    return keys;
  }

  /** Every open connection is told again. */
  tellAll(): void {
    for (const row of this.#rows.values()) this.#tell(row);
  }

  /**
   * Gives the oldest of what is to be told, at most `max`, to `send`; what it does not take (false) stays. False too when there is nothing.
   * `overruns` goes along.
   */
  offer(max: number, overruns: bigint, send: (columns: TranslationColumns) => boolean): boolean {
    const rows = this.#queue.slice(this.#told, this.#told + max);
    if (rows.length === 0 || !send(this.#columnsOf(rows, overruns))) return false;
    this.#told += rows.length;
    if (this.#told * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#told);
      this.#told = 0;
    }
    for (const row of rows) {
      const state = (this.#state[row] ?? 0) & ~QUEUED;
      this.#state[row] = state;
      if ((state & CLOSED) !== 0) this.#release(row);
    }
    return true;
  }

  #isSame(row: number, records: Buffer, at: number): boolean {
    const base = row * CONNTRACK.bytes;
    for (let i = CONNTRACK.protocol; i < CONNTRACK.bytes; i += 1) {
      if (this.#records[base + i] !== records[at + i]) return false;
    }
    return true;
  }

  #add(id: number, records: Buffer, at: number, openedUs: number): void {
    const inside = addressAt(records, at + CONNTRACK.source);
    const outside = addressAt(records, at + CONNTRACK.translatedSource);
    const localId = this.#options.localIdAt(inside);
    if (inside !== outside) this.#options.onSource(inside, outside);
    const destination = destinationAt(records, at);
    if (destination.address !== destination.to || destination.port !== destination.toPort)
      this.#options.onDestination(destination, records[at + CONNTRACK.kind] === ConntrackKind.listed);
    const row = this.#claim();
    if (row === undefined) {
      this.dropped += 1;
      return;
    }
    this.#records.set(records.subarray(at, at + CONNTRACK.bytes), row * CONNTRACK.bytes);
    this.#opened[row] = openedUs;
    this.#closed[row] = 0;
    this.#state[row] = USED;
    this.#pass[row] = this.#dump;
    this.#localIds[row] = localId;
    this.#rows.set(id, row);
    this.#tell(row);
  }

  #close(id: number, row: number, closedUs: number): void {
    this.#rows.delete(id);
    this.#closed[row] = closedUs;
    this.#state[row] = (this.#state[row] ?? 0) | CLOSED;
    this.#tell(row);
  }

  #tell(row: number): void {
    const state = this.#state[row] ?? 0;
    if ((state & QUEUED) !== 0) return;
    this.#state[row] = state | QUEUED;
    this.#queue.push(row);
  }

  #release(row: number): void {
    this.#state[row] = 0;
    this.#localIds[row] = '';
    this.#free.push(row);
  }

  /** A free row; undefined when there is none. */
  #claim(): number | undefined {
    if (this.#free.length === 0 && this.#capacity < this.#options.rowsMax) this.#grow();
    return this.#free.pop();
  }

  #grow(): void {
    const before = this.#capacity;
    const capacity = Math.min(this.#options.rowsMax, Math.max(FIRST_ROWS, before * 2));
    const grown = <T extends Uint8Array | Float64Array>(made: T, old: T): T => {
      made.set(old);
      return made;
    };
    this.#records = grown(new Uint8Array(capacity * CONNTRACK.bytes), this.#records);
    this.#opened = grown(new Float64Array(capacity), this.#opened);
    this.#closed = grown(new Float64Array(capacity), this.#closed);
    this.#state = grown(new Uint8Array(capacity), this.#state);
    this.#pass = grown(new Uint8Array(capacity), this.#pass);
    for (let row = capacity - 1; row >= before; row -= 1) this.#free.push(row);
    this.#capacity = capacity;
  }

  #columnsOf(rows: readonly number[], overruns: bigint): TranslationColumns {
    const count = rows.length;
    const addresses: string[] = [];
    const addressRefs = new Map<string, number>();
    const strings = [''];
    const stringRefs = new Map([['', 0]]);
    const refOf = (list: string[], refs: Map<string, number>, text: string) => {
      let ref = refs.get(text);
      if (ref === undefined) {
        ref = list.push(text) - 1;
        refs.set(text, ref);
      }
      return ref;
    };
    const shorts = () => Buffer.alloc(2 * count);
    const columns = TranslationColumns.create({
      count,
      openedUs: Buffer.alloc(8 * count),
      closedUs: Buffer.alloc(8 * count),
      protocol: Buffer.alloc(count),
      sourceRef: shorts(),
      destinationRef: shorts(),
      translatedSourceRef: shorts(),
      translatedDestinationRef: shorts(),
      sourcePort: shorts(),
      destinationPort: shorts(),
      translatedSourcePort: shorts(),
      translatedDestinationPort: shorts(),
      workloadRef: shorts(),
      dropped: BigInt(this.dropped),
      overruns,
    });
    const records = Buffer.from(this.#records.buffer, this.#records.byteOffset, this.#records.byteLength);
    rows.forEach((row, i) => {
      const base = row * CONNTRACK.bytes;
      for (const [column, offset] of ADDRESSES) {
        columns[column].writeUInt16LE(refOf(addresses, addressRefs, addressAt(records, base + offset)), 2 * i);
      }
      for (const [column, offset] of PORTS) columns[column].writeUInt16LE(records.readUInt16LE(base + offset), 2 * i);
      columns.protocol[i] = records[base + CONNTRACK.protocol] ?? 0;
      columns.openedUs.writeBigUInt64LE(BigInt(Math.trunc(this.#opened[row] ?? 0)), 8 * i);
      columns.closedUs.writeBigUInt64LE(BigInt(Math.trunc(this.#closed[row] ?? 0)), 8 * i);
      columns.workloadRef.writeUInt16LE(refOf(strings, stringRefs, this.#localIds[row] ?? ''), 2 * i);
    });
    columns.addresses = Buffer.from(addresses.join(''), 'latin1');
    columns.strings = strings;
    return columns;
  }
}

/** Most rows of one batch: each may bring four addresses, and references have 16 bits. */
export const BATCH_ROWS_MAX = 4096;

const ADDRESSES = [
  ['sourceRef', CONNTRACK.source],
  ['destinationRef', CONNTRACK.destination],
  ['translatedSourceRef', CONNTRACK.translatedSource],
  ['translatedDestinationRef', CONNTRACK.translatedDestination],
] as const;
const PORTS = [
  ['sourcePort', CONNTRACK.sourcePort],
  ['destinationPort', CONNTRACK.destinationPort],
  ['translatedSourcePort', CONNTRACK.translatedSourcePort],
  ['translatedDestinationPort', CONNTRACK.translatedDestinationPort],
] as const;

/** Of an address and what it becomes (16 bytes each, latin1). */
export function sourceKey(inside: string, outside: string): string {
  return inside + outside;
}

export function destinationKey({ protocol, address, port, to, toPort }: DestinationAt): string {
  return `${address}${to}${protocol} ${port} ${toPort}`;
}

function destinationAt(records: Buffer, at: number): DestinationAt {
  return {
    protocol: records[at + CONNTRACK.protocol] ?? 0,
    address: addressAt(records, at + CONNTRACK.destination),
    port: records.readUInt16LE(at + CONNTRACK.destinationPort),
    to: addressAt(records, at + CONNTRACK.translatedDestination),
    toPort: records.readUInt16LE(at + CONNTRACK.translatedDestinationPort),
  };
}

function addressAt(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', at, at + 16);
}
