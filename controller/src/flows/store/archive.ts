// The storage interface of flow records: what ingest writes to and readers ask. Two implementations: MemoryArchive (the ring of this
// process) and DuckArchive (on disk, in a worker thread). Batches are settled in the order in which they were handed
// over, pages are answered between them: that is what joins history and live records without a gap or a duplicate.
import type { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import type { LossCounters } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { FlowBlock, FlowEndInfo } from '../block.js';
import type { Gap, KeptGap } from '../gaps.js';
import type { FlowRef } from '../history.js';

/** Records from..to of a block. */
export interface BlockRange {
  readonly block: FlowBlock;
  readonly from: number;
  readonly to: number;
}

/** What one batch of one agent comes to. */
export interface ArchiveBatch {
  /** Empty for what the controller itself has found out since. */
  readonly hostId: string;
  /** 16 bytes as hexadecimal digits. */
  readonly run: string;
  readonly sequence: bigint;
  /** Rows with ids firstId, firstId + 1, … */
  readonly firstId: number;
  readonly ranges: readonly BlockRange[];
  /** Ids of rows that go: these take their place, or nothing does. */
  readonly replaced: readonly number[];
  readonly loss: LossCounters | undefined;
  /** What is missing before these rows. */
  readonly gaps: readonly Gap[];
}

/** Where one agent's run stands: what a restarted controller must not take again. */
export interface RunMark {
  readonly hostId: string;
  readonly run: string;
  /** Highest sequence that is stored. */
  readonly sequence: bigint;
  readonly loss: LossCounters | undefined;
}

/** A filter whose host names are ids and whose rules are numbers already: no further lookups are needed to read it. */
export type ResolvedFilter = FlowFilter | undefined;

export interface PageRequest {
  readonly filter: ResolvedFilter;
  /** Records with a higher id only. */
  readonly afterId: number;
  /** Records at most. */
  readonly limit: number;
}

export interface FlowPage {
  /** Ascending by id. */
  readonly records: readonly FlowRef[];
  /** What is missing among them, in order of their places; with `more` false also what is missing after the last one. */
  readonly gaps: readonly KeptGap[];
  /** Ask again from here. */
  readonly lastId: number;
  /** False: no record stored at the time of the answer is left out. */
  readonly more: boolean;
}

/** Traffic between two groups of ends by service, as seen from one side. Groups are keys as groupKey makes them. */
export interface GraphRow {
  readonly source: string;
  readonly destination: string;
  /** Direction: whose view stands first. */
  readonly direction: number;
  /** 1 << (Direction - 1) of each end whose view is in it. */
  readonly views: number;
  /** Direction of the end that decided; the other end's reason and rule, 0 where it did not report. */
  readonly decider: number;
  readonly otherReason: number;
  readonly otherRule: number;
  readonly protocol: number;
  readonly servicePort: number;
  readonly verdict: number;
  readonly reason: number;
  /** Number of the deciding rule, 0 for none. */
  readonly rule: number;
  readonly process: string;
  /** At the other end, where both reported. */
  readonly farProcess: string;
  readonly bytesForward: number;
  readonly bytesBack: number;
  readonly packetsForward: number;
  readonly packetsBack: number;
  readonly records: number;
  /** Attempts that the records stand for. */
  readonly attempts: number;
  /** Connections that ended, and attempts that were denied. */
  readonly connections: number;
  /** Sum over records of last minus first packet. */
  readonly durationUs: number;
  readonly firstSeenUs: number;
  readonly lastSeenUs: number;
}

export interface GraphRequest {
  readonly filter: ResolvedFilter;
  /** Label dimensions; "workload" and "host" name the end's own, "process" the one at the end that reported. */
  readonly groupBy: readonly string[];
}

export interface TimelineRequest {
  /** Its times bound nothing here: only records in the steps count, by their last packet. */
  readonly filter: ResolvedFilter;
  /** Begin of the first step, Unix microseconds. */
  readonly fromUs: number;
  readonly stepUs: number;
  readonly steps: number;
}

/** Records of one verdict in one step. */
export interface TimelineRow {
  /** From 0. */
  readonly step: number;
  readonly verdict: number;
  readonly attempts: number;
  readonly bytes: number;
}

export interface ArchiveStatus {
  readonly kept: number;
  /** 0: bounded by age and bytes only. */
  readonly keptMax: number;
  /** Records that left to stay inside the bounds. */
  readonly dropped: number;
  /** Records that could not be stored. */
  readonly lost: number;
  /** Bytes on disk; 0 in memory. */
  readonly bytes: number;
  /** Why records cannot be stored; empty while they can. */
  readonly problem: string;
  /** Ids ascend and are unique for as long as this stays the same. */
  readonly line: string;
}

export interface FlowArchive {
  /** Id of the first record to come. */
  readonly firstId: number;
  /** Of what earlier processes stored: rows from this id on may still be replaced for some minutes, none before it. */
  readonly replaceableFrom: number;
  /** What earlier processes stored. */
  readonly marks: readonly RunMark[];
  /** Records handed over that are not settled yet. */
  readonly pending: number;
  /** Keeps a batch. `settled` is called once, in order of the calls: true when it is safe, false when it is lost (and counted). */
  append(batch: ArchiveBatch, settled: (stored: boolean) => void): void;
  /** Calls `settled` when everything handed over before is settled. */
  barrier(settled: () => void): void;
  /**
   * Matching records in order of arrival. With `more` false `joined` is called in the same turn in which the answer arrives: every
   * batch settled before is in the answer or before it, none settled later is.
   */
  page(request: PageRequest, joined?: () => void): Promise<FlowPage>;
  /** The id after which the newest `limit` matching records begin. */
  startOfNewest(filter: ResolvedFilter, limit: number): Promise<number>;
  graph(request: GraphRequest): Promise<readonly GraphRow[]>;
  /** What is missing among the records of the filter's times and reporters. */
  gaps(filter: ResolvedFilter): Promise<readonly KeptGap[]>;
  /** Steps without any record are missing. */
  timeline(request: TimelineRequest): Promise<readonly TimelineRow[]>;
  /** First packet of the oldest record, Unix microseconds; 0: there is none. */
  oldestUs(): Promise<number>;
  status(): ArchiveStatus;
  /** Writes a copy that can be opened instead of the original. Rejects when it cannot. */
  backup(file: string): Promise<void>;
  close(): Promise<void>;
}

/** The group of an end: its values of the dimensions in their order, as a JSON array; null where it has none. */
export function groupKey(info: FlowEndInfo, groupBy: readonly string[]): string {
  return JSON.stringify(
    groupBy.map((dimension) => {
      if (dimension === 'workload') return info.workloadId || null;
      if (dimension === 'host') return info.hostId || null;
      if (dimension === 'process') return null;
      return info.labels[dimension] ?? null;
    }),
  );
}

/** The key of the end that reported, with its process: groupKey leaves its place empty. */
export function withProcess(key: string, groupBy: readonly string[], process: string): string {
  const at = groupBy.indexOf('process');
  if (at < 0 || process === '') return key;
  const values = JSON.parse(key) as (string | null)[];
  values[at] = process;
  return JSON.stringify(values);
}
