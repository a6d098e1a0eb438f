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

/** Bytes of a record in a block. */
const RECORD_BYTES = 252;

/** One buffer for all columns of a block: many small ones are much more work for the garbage collector. */
class Room {
  readonly #buffer = new ArrayBuffer(BLOCK_RECORDS * RECORD_BYTES);
  #used = 0;

  doubles(): Float64Array {
    return new Float64Array(this.#buffer, this.#take(8), BLOCK_RECORDS);
  }

  words(): Uint32Array {
    return new Uint32Array(this.#buffer, this.#take(4), BLOCK_RECORDS);
  }

  shorts(): Uint16Array {
    return new Uint16Array(this.#buffer, this.#take(2), BLOCK_RECORDS);
  }

  /** So many to a record. */
  bytes(width: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#take(width), width * BLOCK_RECORDS);
  }

  #take(width: number): number {
    const at = this.#used;
    this.#used += width * BLOCK_RECORDS;
    return at;
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

export class FlowBlock {
  readonly #room = new Room();
  /** Id of record 0; the others follow, unless `ids` says otherwise. */
  readonly firstId: number;
  /** Ids of the records of a block that was read from a store, where what a filter left out is missing. */
  readonly ids: Float64Array | undefined;
  count = 0;
  readonly firstSeenUs = this.#room.doubles();
  readonly lastSeenUs = this.#room.doubles();
  readonly bytesIn = this.#room.doubles();
  readonly bytesOut = this.#room.doubles();
  readonly packetsIn = this.#room.doubles();
  readonly packetsOut = this.#room.doubles();
  readonly rule = this.#room.words();
  readonly policyVersion = this.#room.words();
  readonly attempts = this.#room.words();
  readonly pid = this.#room.words();
  /** Into `strings`. */
  readonly process = this.#room.words();
  /** Into `strings`: the host that reported. */
  readonly reporter = this.#room.words();
  /** Into `ends`. */
  readonly local = this.#room.words();
  /** Into `ends`. */
  readonly remote = this.#room.words();
  readonly localPort = this.#room.shorts();
  readonly remotePort = this.#room.shorts();
  readonly servicePort = this.#room.shorts();
  readonly protocol = this.#room.bytes(1);
  readonly direction = this.#room.bytes(1);
  readonly verdict = this.#room.bytes(1);
  readonly reason = this.#room.bytes(1);
  readonly mode = this.#room.bytes(1);
  readonly kind = this.#room.bytes(1);
  readonly tcpFlags = this.#room.bytes(1);
  readonly confidence = this.#room.bytes(1);
  /** 16 bytes each. */
  readonly localIp = this.#room.bytes(16);
  /** 16 bytes each. */
  readonly remoteIp = this.#room.bytes(16);
  // The other end's view, where both ends reported: then the columns above are what the opening end saw, all but the decision (verdict,
  // reason, mode, rule, policyVersion), which is that of the end that let less through. 0 where there is none.
  /** 1 << (Direction - 1) of each end that reported. */
  readonly views = this.#room.bytes(1);
  /** Direction of the end whose decision stands above. */
  readonly decider = this.#room.bytes(1);
  /** Of the end that did not decide. */
  readonly otherVerdict = this.#room.bytes(1);
  readonly otherReason = this.#room.bytes(1);
  readonly otherMode = this.#room.bytes(1);
  readonly otherRule = this.#room.words();
  readonly otherPolicyVersion = this.#room.words();
  /** How surely each view by itself named the other end. */
  readonly nearConfidence = this.#room.bytes(1);
  readonly farConfidence = this.#room.bytes(1);
  /** Into `strings`. */
  readonly farReporter = this.#room.words();
  /** Into `strings`. */
  readonly farProcess = this.#room.words();
  readonly farPid = this.#room.words();
  /** Into `ends`: whose agent it was that reported; a proxy before the workload that was called is another one. */
  readonly farEnd = this.#room.words();
  readonly farLocalPort = this.#room.shorts();
  readonly farRemotePort = this.#room.shorts();
  readonly farServicePort = this.#room.shorts();
  readonly farFirstSeenUs = this.#room.doubles();
  readonly farLastSeenUs = this.#room.doubles();
  readonly farBytesIn = this.#room.doubles();
  readonly farBytesOut = this.#room.doubles();
  readonly farPacketsIn = this.#room.doubles();
  readonly farPacketsOut = this.#room.doubles();
  /** 16 bytes each. */
  readonly farLocalIp = this.#room.bytes(16);
  /** 16 bytes each. */
  readonly farRemoteIp = this.#room.bytes(16);
  /** Id of the record that this one takes the place of, 0 for none. Not stored. */
  readonly replaces = this.#room.doubles();
  /** Not 0: another record has taken its place. Not stored. */
  readonly retired = this.#room.bytes(1);
  /** The addresses again, 4 words each. */
  readonly localIpWords = wordsOf(this.localIp);
  readonly remoteIpWords = wordsOf(this.remoteIp);
  readonly farLocalIpWords = wordsOf(this.farLocalIp);
  readonly farRemoteIpWords = wordsOf(this.farRemoteIp);
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
