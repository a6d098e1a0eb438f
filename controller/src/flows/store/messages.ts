// What the main thread and the store's worker say to each other. Batches are settled in their order; what questions wait
// for: serving.ts.
import type { FlowEndInfo } from '../block.js';
import type { Gap, KeptGap } from '../gaps.js';
import type {
  ArchiveStatus,
  GraphRequest,
  GraphRow,
  PageRequest,
  ResolvedFilter,
  RunMark,
  TimelineRequest,
  TimelineRow,
} from './archive.js';

export interface StoreSettings {
  readonly file: string;
  /** Whole hours of records older than this leave. */
  readonly days: number;
  /** Oldest hours leave above this. */
  readonly bytes: number;
  /** Memory that the database may take, bytes. */
  readonly memoryBytes: number;
}

/** What both forms of a batch say beside its records. */
interface BatchHead {
  readonly hostId: string;
  readonly run: string;
  readonly sequence: bigint;
  readonly firstId: number;
  readonly count: number;
  /** Ids of rows that go with this batch. */
  readonly replaced: Float64Array;
  /** Texts that the records refer to. */
  readonly strings: readonly string[];
  /** Counters of agent.proto's LossCounters in their order; undefined: none came. */
  readonly loss: readonly bigint[] | undefined;
  readonly gaps: readonly Gap[];
}

/** A batch as the database takes it. */
export interface StoreBatch extends BatchHead {
  /** By name of the stored column; END_COLUMNS and TEXT_COLUMNS are references. */
  readonly columns: Readonly<Record<string, Uint8Array>>;
  /** What END_COLUMNS refer to. Batches may share one list, which may grow between them. */
  readonly ends: readonly FlowEndInfo[];
  /** Places of the records that are to be stored, ascending; undefined: all of them. */
  readonly live?: Uint32Array;
  /** Ascends over all batches ever handed over; undefined: only marks tell whether it is stored. */
  readonly serial?: number;
}

/** A batch on its way between the threads. */
export interface BatchMessage extends BatchHead {
  /** As packed-batch.ts lays it out. */
  readonly bytes: ArrayBuffer;
  /** Ends that no batch before has named; references count all of them from the first batch on. */
  readonly freshEnds: readonly FlowEndInfo[];
}

export type StoreRequest =
  | { readonly type: 'append'; readonly nowMs: number; readonly batch: BatchMessage }
  | { readonly type: 'page'; readonly call: number; readonly request: PageRequest }
  | { readonly type: 'start'; readonly call: number; readonly filter: ResolvedFilter; readonly limit: number }
  | { readonly type: 'graph'; readonly call: number; readonly request: GraphRequest }
  | { readonly type: 'timeline'; readonly call: number; readonly request: TimelineRequest }
  | { readonly type: 'gaps'; readonly call: number; readonly filter: ResolvedFilter }
  | { readonly type: 'oldest'; readonly call: number }
  | { readonly type: 'backup'; readonly call: number; readonly file: string }
  /** Once an hour or so: retention and rollups also without traffic. */
  | { readonly type: 'tick'; readonly nowMs: number }
  | { readonly type: 'close'; readonly call: number };

/** Rows by column; `ends` and `strings` hold what the refs in them point to. */
export interface PageColumns {
  readonly count: number;
  readonly columns: Readonly<Record<string, Float64Array | BigUint64Array>>;
  readonly ends: ReadonlyMap<number, FlowEndInfo>;
  readonly strings: ReadonlyMap<number, string>;
  readonly gaps: readonly KeptGap[];
  readonly more: boolean;
}

export interface Opened {
  readonly firstId: number;
  /** The first id from which on rows may still be replaced. */
  readonly replaceableFrom: number;
  readonly marks: readonly RunMark[];
  readonly status: ArchiveStatus;
}

export type StoreAnswer =
  | { readonly type: 'opened'; readonly opened: Opened }
  /** So many of the batches handed over, the oldest first. */
  | { readonly type: 'settled'; readonly batches: number; readonly stored: boolean; readonly status: ArchiveStatus }
  | { readonly type: 'status'; readonly status: ArchiveStatus }
  | { readonly type: 'page'; readonly call: number; readonly page: PageColumns }
  | { readonly type: 'start'; readonly call: number; readonly afterId: number }
  | { readonly type: 'graph'; readonly call: number; readonly rows: readonly GraphRow[] }
  | { readonly type: 'timeline'; readonly call: number; readonly rows: readonly TimelineRow[] }
  | { readonly type: 'gaps'; readonly call: number; readonly gaps: readonly KeptGap[] }
  | { readonly type: 'oldest'; readonly call: number; readonly oldestUs: number }
  | { readonly type: 'done'; readonly call: number }
  | { readonly type: 'failed'; readonly call: number; readonly message: string };
