// What the flow archive says of connections, as policy tools ask it: distinct connections with how often they were seen, and how often
// each rule decided. Both ends of a connection may have reported it; it counts once.
import { mappedAddress } from '@ringfence/proto/address.js';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction, EventKind, Reason } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { ConnectionEnd } from '../policy/connection.js';
import type { RecordedConnection } from '../policy/simulate.js';
import { Turns } from '../turns.js';
import type { FlowBlock, FlowEndInfo } from './block.js';
import type { FlowArchive, ResolvedFilter } from './store/archive.js';

/** What policy decided; failsafe, loopback and the like come before policy. */
export const DECIDED: ReadonlySet<number> = new Set([
  Reason.REASON_RULE_ALLOW,
  Reason.REASON_RULE_DENY,
  Reason.REASON_IMPLICIT_DENY,
  Reason.REASON_READMITTED,
  Reason.REASON_REVOKED,
  Reason.REASON_CONSTRAINT_UNMET,
]);

/** Records that one question reads at most; the newest count. */
const RECORDS_MAX = 1_000_000;
const PAGE_RECORDS = 8192;
/** Records between two looks at the clock. */
const VISITS = 16;

/** Connections that the archive holds. */
export interface KnownConnections {
  readonly connections: readonly RecordedConnection[];
  /** Packets of the oldest record, Unix milliseconds; 0: none. */
  readonly knownSinceMs: number;
  /** There are more distinct connections than `max`, or more records than are read at once. */
  readonly truncated: boolean;
  /** Records that policy had no say in. */
  readonly undecided: number;
}

/** Distinct connections seen since then, at most `max`. */
export async function knownConnections(archive: FlowArchive, sinceMs: number, max: number): Promise<KnownConnections> {
  const found = new Map<string, { from: ConnectionEnd; to: ConnectionEnd; seen: [number, number]; lastUs: number }>();
  const tuples = new Map<string, { protocol: number; port: number }>();
  let truncated = false;
  let undecided = 0;
  const { oldestUs, all } = await eachRecord(archive, sinceFilter(sinceMs), (block, i) => {
    const lastUs = block.lastSeenUs[i] ?? 0;
    if (!DECIDED.has(block.reason[i] ?? 0)) {
      undecided += 1;
      return;
    }
    const inbound = block.direction[i] === Direction.DIRECTION_INBOUND;
    const local = endOf(block, i, 'local');
    const remote = endOf(block, i, 'remote');
    const [from, to] = inbound ? [remote, local] : [local, remote];
    const [protocol, port] = [block.protocol[i] ?? 0, block.servicePort[i] ?? 0];
    const key = `${from.key}|${to.key}|${protocol}|${port}`;
    let known = found.get(key);
    if (known === undefined) {
      if (found.size >= max) {
        truncated = true;
        return;
      }
      known = { from: from.end, to: to.end, seen: [0, 0], lastUs };
      found.set(key, known);
      tuples.set(key, { protocol, port });
    }
    known.lastUs = Math.max(known.lastUs, lastUs);
    known.seen[inbound ? 1 : 0] += timesOf(block, i);
  });
  const connections = [...found].map(([key, { from, to, seen, lastUs }]) => ({
    from,
    to,
    ...(tuples.get(key) ?? { protocol: 0, port: 0 }),
    // A connection that began before the window is one all the same.
    count: Math.max(1, ...seen),
    lastSeenMs: Math.floor(lastUs / 1000),
  }));
  return { connections, knownSinceMs: Math.floor(oldestUs / 1000), truncated: truncated || !all, undecided };
}

/** Records by deciding rule since then, and when the oldest record is from. */
export async function ruleHits(
  archive: FlowArchive,
  sinceMs: number,
): Promise<{ readonly hits: ReadonlyMap<number, number>; readonly records: number; readonly knownSinceMs: number }> {
  const hits = new Map<number, number>();
  let records = 0;
  const { oldestUs } = await eachRecord(archive, sinceFilter(sinceMs), (block, i) => {
    records += 1;
    const times = Math.max(1, timesOf(block, i));
    // Where both ends reported, each was decided by a rule of its own.
    const rules = new Set([block.rule[i] ?? 0, block.otherRule[i] ?? 0]);
    for (const rule of rules) if (rule !== 0) hits.set(rule, (hits.get(rule) ?? 0) + times);
  });
  return { hits, records, knownSinceMs: Math.floor(oldestUs / 1000) };
}

function sinceFilter(sinceMs: number): ResolvedFilter {
  return sinceMs > 0 ? FlowFilter.fromPartial({ sinceUs: BigInt(sinceMs) * 1000n }) : undefined;
}

/**
 * Calls back for every record that matches, the newest `max` of them, in order of arrival; between them the event loop has its turns. Gives the earliest packet, microseconds (0: no
 * record), and whether that was all.
 */
export async function eachRecord(
  archive: FlowArchive,
  filter: ResolvedFilter,
  visit: (block: FlowBlock, index: number) => void,
  max = RECORDS_MAX,
): Promise<{ readonly oldestUs: number; readonly all: boolean }> {
  let oldestUs = 0;
  let afterId = await archive.startOfNewest(filter, max);
  let read = 0;
  let visited = 0;
  const turns = new Turns();
  for (;;) {
    const page = await archive.page({ filter, afterId, limit: PAGE_RECORDS });
    for (const { block, index } of page.records) {
      if (visited++ % VISITS === 0 && turns.over) await turns.rest();
      const firstUs = block.firstSeenUs[index] ?? 0;
      if (oldestUs === 0 || firstUs < oldestUs) oldestUs = firstUs;
      visit(block, index);
    }
    read += page.records.length;
    if (!page.more) return { oldestUs, all: read < max };
    afterId = page.lastId;
  }
}

/** Connections that a record stands for: a row whose connection goes on in a later one is not counted by it. */
function timesOf(block: FlowBlock, index: number): number {
  const kind = block.kind[index];
  if (kind === EventKind.EVENT_KIND_DENY) return Math.max(1, block.attempts[index] ?? 0);
  return kind === EventKind.EVENT_KIND_NEW || kind === EventKind.EVENT_KIND_END ? 1 : 0;
}

/** An end as policy knows it, and a key that equal ends share. */
export function endOf(
  block: FlowBlock,
  i: number,
  side: 'local' | 'remote',
): { readonly end: ConnectionEnd; readonly key: string } {
  const info = block.ends[(side === 'local' ? block.local : block.remote)[i] ?? 0];
  const bytes = (side === 'local' ? block.localIp : block.remoteIp).subarray(16 * i, 16 * i + 16);
  const address = mappedAddress(bytes.slice());
  const known =
    info !== undefined && (info.workloadId !== '' || Object.keys(info.labels).length > 0 || info.identity !== 0);
  return {
    end: {
      workload: known ? { id: info.workloadId, labels: info.labels } : undefined,
      managed: known && info.hostId !== '',
      address,
    },
    key: `${known ? nameOf(info) : ''}@${Buffer.from(address).toString('hex')}`,
  };
}

/** A workload with the labels that it had: other labels are another subject. */
function nameOf(info: FlowEndInfo): string {
  return `${info.workloadId}${JSON.stringify(info.labels)}`;
}
