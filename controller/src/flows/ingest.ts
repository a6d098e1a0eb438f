// Batches from agents into history and to live tails: once each, by column.
import { Confidence, Reason } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowColumns, FlowUploadMessage } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { BLOCK_RECORDS, type FlowBlock, type FlowEndInfo, UNKNOWN_END } from './block.js';
import { columnsProblem, copyFixed, copyUint64, uint32 } from './decode.js';
import type { EndResolver } from './ends.js';
import type { Followers } from './followers.js';
import type { FlowHistory } from './history.js';
import { HostFlowLedger, type HostLosses } from './losses.js';
import type { BlockRange, FlowArchive } from './store/archive.js';
import { MemoryArchive } from './store/memory-archive.js';

/** What came of a batch. */
export type IngestOutcome =
  /** `sequence`: everything up to it is here, and safe once settled. */
  | { readonly taken: true; readonly sequence: bigint }
  /** Why it never can be taken, a sentence fragment that completes "found …". */
  | { readonly taken: false; readonly problem: string };

export class FlowIngest {
  readonly #history: FlowHistory;
  readonly #archive: FlowArchive;
  readonly #followers: Followers;
  readonly #ends: EndResolver;
  readonly #hosts = new Map<string, HostFlowLedger>();
  /** Records taken, by Verdict's and by Reason's number. */
  readonly byVerdict = Array.from({ length: 4 }, () => 0);
  readonly byReason = Array.from({ length: 32 }, () => 0);

  /** `history` stages what `archive` keeps; its ids start at the archive's. */
  constructor(history: FlowHistory, followers: Followers, ends: EndResolver, archive?: FlowArchive) {
    this.#history = history;
    this.#archive = archive ?? new MemoryArchive(history);
    for (const { hostId, run, sequence, loss } of this.#archive.marks) {
      this.#ledger(hostId).resume(Buffer.from(run, 'hex').toString('latin1'), sequence, loss);
    }
    this.#followers = followers;
    this.#ends = ends;
  }

  /** Records that are taken and not safe yet. */
  get pending(): number {
    return this.#archive.pending;
  }

  /** Calls back when everything taken so far is safe. */
  whenSettled(settled: () => void): void {
    this.#archive.barrier(settled);
  }

  /**
   * Takes one batch of `hostId`. A batch that came before is acknowledged and counted, not taken again. `settled` is called when everything
   * up to the outcome's sequence is stored, or counted as lost; live tails get the records then, in order of arrival.
   */
  take(hostId: string, message: FlowUploadMessage, settled: () => void = () => {}): IngestOutcome {
    const ledger = this.#ledger(hostId);
    if (message.run.length !== 16) return { taken: false, problem: `${message.run.length} bytes of run, wanted 16` };
    const run = message.run.toString('latin1');
    const columns = message.flows;
    const window = ledger.window(run);
    const problem = columns === undefined ? undefined : columnsProblem(columns);
    if (problem !== undefined) {
      ledger.losses.recordsRefused += BigInt(columns?.count ?? 0);
      return { taken: false, problem };
    }
    if (!window.take(message.sequence)) {
      ledger.losses.recordsDuplicate += BigInt(columns?.count ?? 0);
      this.#archive.barrier(settled);
      return { taken: true, sequence: window.highest };
    }
    for (const [hop, count] of message.loss === undefined ? [] : ledger.onCounters(run, message.loss)) {
      this.#followers.offerGap({ hop, hostId, count });
    }
    const records = columns !== undefined && columns.count > 0 ? columns : undefined;
    const staged = records === undefined ? EMPTY : this.#stage(hostId, records);
    ledger.losses.recordsReceived += BigInt(records?.count ?? 0);
    const batch = { hostId, run: message.run.toString('hex'), sequence: message.sequence, loss: message.loss };
    this.#archive.append({ ...batch, columns: records, ...staged }, (stored) => {
      for (const { block, from, to } of staged.ranges) this.#followers.offer(block, from, to);
      if (!stored && records !== undefined) this.#followers.offerGap({ hop: 'store', hostId, count: records.count });
      settled();
    });
    return { taken: true, sequence: window.highest };
  }

  /** Counters of a host; undefined when it never sent anything. */
  losses(hostId: string): HostLosses | undefined {
    return this.#hosts.get(hostId)?.losses;
  }

  allLosses(): HostLosses[] {
    return [...this.#hosts.values()].map((ledger) => ledger.losses);
  }

  forget(hostId: string): void {
    this.#hosts.delete(hostId);
  }

  #ledger(hostId: string): HostFlowLedger {
    let ledger = this.#hosts.get(hostId);
    if (ledger === undefined) {
      ledger = new HostFlowLedger();
      this.#hosts.set(hostId, ledger);
    }
    return ledger;
  }

  /** Records into blocks. */
  #stage(hostId: string, columns: FlowColumns): Staged {
    const ranges: BlockRange[] = [];
    const locals = this.#localEnds(hostId, columns);
    const remotes = this.#remoteEnds(hostId, columns);
    const processes = uint32(columns.processRef);
    for (let start = 0; start < columns.count; ) {
      const block = this.#history.writable();
      const at = block.count;
      const count = Math.min(columns.count - start, BLOCK_RECORDS - at);
      copyColumns(block, at, columns, start, count);
      const reporter = block.stringRef(hostId);
      for (let i = 0; i < count; i += 1) {
        const from = start + i;
        block.reporter[at + i] = reporter;
        block.process[at + i] = block.stringRef(columns.strings[processes[from] ?? 0] ?? '');
        block.local[at + i] = block.endRef(locals[from] ?? UNKNOWN_END);
        block.remote[at + i] = block.endRef(remotes[from] ?? UNKNOWN_END);
        count1(this.byVerdict, block.verdict[at + i] ?? 0);
        count1(this.byReason, block.reason[at + i] ?? 0);
      }
      block.count += count;
      ranges.push({ block, from: at, to: at + count });
      start += count;
    }
    const [first] = ranges;
    return { ranges, locals, remotes, firstId: first === undefined ? 0 : first.block.idAt(first.from) };
  }

  #localEnds(hostId: string, columns: FlowColumns): FlowEndInfo[] {
    const refs = uint32(columns.workloadRef);
    const identities = uint32(columns.localIdentity);
    const known = new Map<number, FlowEndInfo>();
    const ends: FlowEndInfo[] = [];
    for (let i = 0; i < columns.count; i += 1) {
      const ref = refs[i] ?? 0;
      let end = known.get(ref);
      if (end === undefined) {
        end = this.#ends.local(columns.strings[ref] ?? '', hostId, identities[i] ?? 0);
        known.set(ref, end);
      }
      ends.push(end);
    }
    return ends;
  }

  #remoteEnds(hostId: string, columns: FlowColumns): FlowEndInfo[] {
    const identities = uint32(columns.remoteIdentity);
    const ips = Buffer.from(columns.remoteIp.buffer, columns.remoteIp.byteOffset, columns.remoteIp.length);
    const known = new Map<string, FlowEndInfo>();
    const ends: FlowEndInfo[] = [];
    for (let i = 0; i < columns.count; i += 1) {
      // Nobody behind a shared address was allowed, so nobody decided: the first of them is no more likely than the others.
      const undecided =
        columns.confidence[i] === Confidence.CONFIDENCE_SHARED && columns.reason[i] === Reason.REASON_IMPLICIT_DENY;
      const identity = undecided ? 0 : (identities[i] ?? 0);
      let key = ips.toString('latin1', 16 * i, 16 * i + 16) + String.fromCharCode(identity & 0xffff, identity >>> 16);
      const protocol = columns.protocol[i] ?? 0;
      const port = (columns.remotePort[2 * i] ?? 0) | ((columns.remotePort[2 * i + 1] ?? 0) << 8);
      const mapped = columns.confidence[i] === Confidence.CONFIDENCE_MAPPED ? { protocol, port } : undefined;
      if (mapped !== undefined) key += String.fromCharCode(protocol, port);
      let end = known.get(key);
      if (end === undefined) {
        end = this.#ends.remote(ips.subarray(16 * i, 16 * i + 16), identity, hostId, mapped);
        known.set(key, end);
      }
      ends.push(end);
    }
    return ends;
  }
}

interface Staged {
  readonly ranges: readonly BlockRange[];
  readonly locals: readonly FlowEndInfo[];
  readonly remotes: readonly FlowEndInfo[];
  readonly firstId: number;
}

const EMPTY: Staged = { ranges: [], locals: [], remotes: [], firstId: 0 };

function count1(counters: number[], index: number): void {
  const slot = Math.min(index, counters.length - 1);
  counters[slot] = (counters[slot] ?? 0) + 1;
}

function copyColumns(block: FlowBlock, at: number, columns: FlowColumns, start: number, count: number): void {
  for (const name of ['firstSeenUs', 'lastSeenUs', 'bytesIn', 'bytesOut', 'packetsIn', 'packetsOut'] as const) {
    copyUint64(columns[name], start, count, block[name], at);
  }
  for (const name of FIXED) copyFixed(columns[name], start, count, block[name], at);
  for (const name of ['localIp', 'remoteIp'] as const) {
    block[name].set(columns[name].subarray(16 * start, 16 * (start + count)), 16 * at);
  }
}

const FIXED = [
  'rule',
  'policyVersion',
  'attempts',
  'pid',
  'localPort',
  'remotePort',
  'servicePort',
  'protocol',
  'direction',
  'verdict',
  'reason',
  'mode',
  'kind',
  'tcpFlags',
  'confidence',
] as const;
