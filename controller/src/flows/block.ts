// Flow records in columns, a fixed number to a block: what ingest writes, filters scan, and rows are made from at the API's edge.
// Times and counters are doubles: exact up to 2^53.

/** One end of a flow as it was when the record arrived. Shared by all records of the same workload and version. */
export interface FlowEndInfo {
  /** Empty when not known. */
  readonly workloadId: string;
  readonly workloadName: string;
  /** Empty when unmanaged or not known. */
  readonly hostId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly identity: number;
}

/** Nothing is known of this end but its address. */
export const UNKNOWN_END: FlowEndInfo = { workloadId: '', workloadName: '', hostId: '', labels: {}, identity: 0 };

/** Records of a block. */
export const BLOCK_RECORDS = 4096;

export class FlowBlock {
  /** Id of record 0; the others follow, unless `ids` says otherwise. */
  readonly firstId: number;
  /** Ids of the records of a block that was read from a store, where what a filter left out is missing. */
  readonly ids: Float64Array | undefined;
  count = 0;
  readonly firstSeenUs = new Float64Array(BLOCK_RECORDS);
  readonly lastSeenUs = new Float64Array(BLOCK_RECORDS);
  readonly bytesIn = new Float64Array(BLOCK_RECORDS);
  readonly bytesOut = new Float64Array(BLOCK_RECORDS);
  readonly packetsIn = new Float64Array(BLOCK_RECORDS);
  readonly packetsOut = new Float64Array(BLOCK_RECORDS);
  readonly rule = new Uint32Array(BLOCK_RECORDS);
  readonly policyVersion = new Uint32Array(BLOCK_RECORDS);
  readonly attempts = new Uint32Array(BLOCK_RECORDS);
  readonly pid = new Uint32Array(BLOCK_RECORDS);
  /** Into `strings`. */
  readonly process = new Uint32Array(BLOCK_RECORDS);
  /** Into `strings`: the host that reported. */
  readonly reporter = new Uint32Array(BLOCK_RECORDS);
  /** Into `ends`. */
  readonly local = new Uint32Array(BLOCK_RECORDS);
  /** Into `ends`. */
  readonly remote = new Uint32Array(BLOCK_RECORDS);
  readonly localPort = new Uint16Array(BLOCK_RECORDS);
  readonly remotePort = new Uint16Array(BLOCK_RECORDS);
  readonly servicePort = new Uint16Array(BLOCK_RECORDS);
  readonly protocol = new Uint8Array(BLOCK_RECORDS);
  readonly direction = new Uint8Array(BLOCK_RECORDS);
  readonly verdict = new Uint8Array(BLOCK_RECORDS);
  readonly reason = new Uint8Array(BLOCK_RECORDS);
  readonly mode = new Uint8Array(BLOCK_RECORDS);
  readonly kind = new Uint8Array(BLOCK_RECORDS);
  readonly tcpFlags = new Uint8Array(BLOCK_RECORDS);
  readonly confidence = new Uint8Array(BLOCK_RECORDS);
  /** 16 bytes each. */
  readonly localIp = new Uint8Array(16 * BLOCK_RECORDS);
  /** 16 bytes each. */
  readonly remoteIp = new Uint8Array(16 * BLOCK_RECORDS);
  readonly strings: string[] = [];
  readonly ends: FlowEndInfo[] = [];
  readonly #stringIndex = new Map<string, number>();
  readonly #endIndex = new Map<FlowEndInfo, number>();

  constructor(firstId: number, ids?: Float64Array) {
    this.firstId = firstId;
    this.ids = ids;
  }

  idAt(index: number): number {
    return this.ids?.[index] ?? this.firstId + index;
  }

  stringRef(text: string): number {
    const known = this.#stringIndex.get(text);
    if (known !== undefined) return known;
    this.#stringIndex.set(text, this.strings.length);
    return this.strings.push(text) - 1;
  }

  endRef(end: FlowEndInfo): number {
    const known = this.#endIndex.get(end);
    if (known !== undefined) return known;
    this.#endIndex.set(end, this.ends.length);
    return this.ends.push(end) - 1;
  }
}
