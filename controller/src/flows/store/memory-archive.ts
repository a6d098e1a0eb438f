// The archive without a disk: the ring of recent records. What it answers is gone with the process.
import { randomUUID } from 'node:crypto';
import { flowPredicate, opener, RESOLVED_NAMES } from '../../api/flow-filter.js';
import { type FlowEndInfo, UNKNOWN_END } from '../block.js';
import { gapMatters, type KeptGap } from '../gaps.js';
import { GraphRows } from '../graph-rows.js';
import type { FlowHistory } from '../history.js';
import { trafficOf } from '../traffic.js';
import {
  type ArchiveBatch,
  type ArchiveStatus,
  type FlowArchive,
  type FlowPage,
  type GraphRequest,
  type GraphRow,
  groupKey,
  type PageRequest,
  type ResolvedFilter,
  type TimelineRequest,
  type TimelineRow,
  withProcess,
} from './archive.js';

/** Gaps kept, the newest. */
const GAPS_MAX = 4096;

export class MemoryArchive implements FlowArchive {
  readonly firstId = 1;
  readonly replaceableFrom = 1;
  readonly marks = [];
  readonly pending = 0;
  readonly #line = randomUUID();
  readonly #history: FlowHistory;
  readonly #gaps: KeptGap[] = [];
  #nextId = 1;

  constructor(history: FlowHistory) {
    this.#history = history;
  }

  append({ gaps, firstId, ranges }: ArchiveBatch, settled: (stored: boolean) => void): void {
    const beforeId = ranges.length > 0 ? firstId : this.#nextId;
    for (const { block, to } of ranges) this.#nextId = block.idAt(to - 1) + 1;
    for (const gap of gaps) this.#gaps.push({ ...gap, beforeId });
    this.#gaps.splice(0, this.#gaps.length - GAPS_MAX);
    settled(true);
  }

  async gaps(filter: ResolvedFilter): Promise<KeptGap[]> {
    return this.#gaps.filter((gap) => gapMatters(gap, filter));
  }

  barrier(settled: () => void): void {
    settled();
  }

  async page({ filter, afterId, limit }: PageRequest, joined?: () => void): Promise<FlowPage> {
    const matches = flowPredicate(filter, RESOLVED_NAMES);
    const all = this.#history.newest(
      (block, index) => block.idAt(index) > afterId && matches(block, index),
      Number.MAX_SAFE_INTEGER,
    );
    const records = all.slice(0, limit);
    const last = records.at(-1);
    const more = records.length < all.length;
    const lastId = last === undefined ? afterId : last.block.idAt(last.index);
    const until = more ? lastId : Number.POSITIVE_INFINITY;
    const gaps = this.#gaps.filter((gap) => gap.beforeId > afterId && gap.beforeId <= until && gapMatters(gap, filter));
    if (!more) joined?.();
    return { records, gaps, lastId, more };
  }

  async startOfNewest(filter: ResolvedFilter, limit: number): Promise<number> {
    const [oldest] = this.#history.newest(flowPredicate(filter, RESOLVED_NAMES), limit);
    return oldest === undefined ? 0 : oldest.block.idAt(oldest.index) - 1;
  }

  async graph({ filter, groupBy }: GraphRequest): Promise<GraphRow[]> {
    const groups = new WeakMap<FlowEndInfo, string>();
    const group = (info: FlowEndInfo) => {
      const known = groups.get(info) ?? groupKey(info, groupBy);
      groups.set(info, known);
      return known;
    };
    const rows = new GraphRows();
    for (const { block, index } of this.#history.newest(
      flowPredicate(filter, RESOLVED_NAMES),
      Number.MAX_SAFE_INTEGER,
    )) {
      const at = (column: ArrayLike<number>) => column[index] ?? 0;
      const process = block.strings[at(block.process)] ?? '';
      const local = withProcess(group(block.ends[at(block.local)] ?? UNKNOWN_END), groupBy, process);
      const remote = group(block.ends[at(block.remote)] ?? UNKNOWN_END);
      const outbound = opener(block, index) === 'local';
      const [source, destination] = outbound ? [local, remote] : [remote, local];
      rows.add(block, index, {
        source,
        destination,
        direction: at(block.direction),
        protocol: at(block.protocol),
        servicePort: at(block.servicePort),
        verdict: at(block.verdict),
        reason: at(block.reason),
        rule: at(block.rule),
        views: at(block.views),
        decider: at(block.decider),
        otherReason: at(block.otherReason),
        otherRule: at(block.otherRule),
        process,
        farProcess: block.strings[at(block.farProcess)] ?? '',
      });
    }
    return rows.all;
  }

  async timeline({ filter, fromUs, stepUs, steps }: TimelineRequest): Promise<TimelineRow[]> {
    const rows = new Map<string, { -readonly [K in keyof TimelineRow]: TimelineRow[K] }>();
    const matches = flowPredicate(filter, RESOLVED_NAMES);
    for (const { block, index } of this.#history.newest(matches, Number.MAX_SAFE_INTEGER)) {
      const at = (column: ArrayLike<number>) => column[index] ?? 0;
      const step = Math.floor((at(block.lastSeenUs) - fromUs) / stepUs);
      if (step < 0 || step >= steps) continue;
      const verdict = at(block.verdict);
      const key = `${step} ${verdict}`;
      const row = rows.get(key) ?? { step, verdict, attempts: 0, bytes: 0 };
      row.attempts += at(block.attempts);
      const { bytesForward, bytesBack } = trafficOf(block, index);
      row.bytes += bytesForward + bytesBack;
      rows.set(key, row);
    }
    return [...rows.values()];
  }

  async oldestUs(): Promise<number> {
    let oldest = 0;
    for (const { block, index } of this.#history.newest(() => true, Number.MAX_SAFE_INTEGER)) {
      const first = block.firstSeenUs[index] ?? 0;
      if (oldest === 0 || first < oldest) oldest = first;
    }
    return oldest;
  }

  status(): ArchiveStatus {
    return { ...this.#history.status(), lost: 0, bytes: 0, problem: '', line: this.#line };
  }

  async backup(): Promise<void> {
    throw new Error('Cannot back up flow records: found them in memory only, wanted a flow store (--flow-store on)');
  }

  async close(): Promise<void> {}
}
