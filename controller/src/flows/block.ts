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
  // The other end's view, where both ends reported: then the columns above are what the opening end saw, all but the decision (verdict,
  // reason, mode, rule, policyVersion), which is that of the end that let less through. 0 where there is none.
  /** 1 << (Direction - 1) of each end that reported. */
  readonly views = new Uint8Array(BLOCK_RECORDS);
  /** Direction of the end whose decision stands above. */
  readonly decider = new Uint8Array(BLOCK_RECORDS);
  /** Of the end that did not decide. */
  readonly otherVerdict = new Uint8Array(BLOCK_RECORDS);
  readonly otherReason = new Uint8Array(BLOCK_RECORDS);
  readonly otherMode = new Uint8Array(BLOCK_RECORDS);
  readonly otherRule = new Uint32Array(BLOCK_RECORDS);
  readonly otherPolicyVersion = new Uint32Array(BLOCK_RECORDS);
  /** How surely each view by itself named the other end. */
  readonly nearConfidence = new Uint8Array(BLOCK_RECORDS);
  readonly farConfidence = new Uint8Array(BLOCK_RECORDS);
  /** Into `strings`. */
  readonly farReporter = new Uint32Array(BLOCK_RECORDS);
  /** Into `strings`. */
  readonly farProcess = new Uint32Array(BLOCK_RECORDS);
  readonly farPid = new Uint32Array(BLOCK_RECORDS);
  /** Into `ends`: whose agent it was that reported; a proxy before the workload that was called is another one. */
  readonly farEnd = new Uint32Array(BLOCK_RECORDS);
  readonly farLocalPort = new Uint16Array(BLOCK_RECORDS);
  readonly farRemotePort = new Uint16Array(BLOCK_RECORDS);
  readonly farServicePort = new Uint16Array(BLOCK_RECORDS);
  readonly farFirstSeenUs = new Float64Array(BLOCK_RECORDS);
  readonly farLastSeenUs = new Float64Array(BLOCK_RECORDS);
  readonly farBytesIn = new Float64Array(BLOCK_RECORDS);
  readonly farBytesOut = new Float64Array(BLOCK_RECORDS);
  readonly farPacketsIn = new Float64Array(BLOCK_RECORDS);
  readonly farPacketsOut = new Float64Array(BLOCK_RECORDS);
  /** 16 bytes each. */
  readonly farLocalIp = new Uint8Array(16 * BLOCK_RECORDS);
  /** 16 bytes each. */
  readonly farRemoteIp = new Uint8Array(16 * BLOCK_RECORDS);
  /** Id of the record that this one takes the place of, 0 for none. Not stored. */
  readonly replaces = new Float64Array(BLOCK_RECORDS);
  /** Not 0: another record has taken its place. Not stored. */
  readonly retired = new Uint8Array(BLOCK_RECORDS);
  /** The addresses again, 4 words each. */
  readonly localIpWords = new Uint32Array(this.localIp.buffer);
  readonly remoteIpWords = new Uint32Array(this.remoteIp.buffer);
  readonly farLocalIpWords = new Uint32Array(this.farLocalIp.buffer);
  readonly farRemoteIpWords = new Uint32Array(this.farRemoteIp.buffer);
  /** Entry 0 is the empty string. */
  readonly strings: string[] = [''];
  readonly ends: FlowEndInfo[] = [];
  readonly #stringIndex = new Map<string, number>([['', 0]]);
  readonly #endIndex = new Map<FlowEndInfo, number>();

  constructor(firstId: number, ids?: Float64Array) {
    this.firstId = firstId;
    this.ids = ids;
  }

  /** Empties the block, to be written again; for blocks that are kept by nobody. */
  reset(): void {
    this.count = 0;
    this.strings.length = 1;
    this.ends.length = 0;
    this.#stringIndex.clear();
    this.#stringIndex.set('', 0);
    this.#endIndex.clear();
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
