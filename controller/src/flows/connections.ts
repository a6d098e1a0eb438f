// What the history says of connections, as policy tools ask it: distinct connections with how often they were seen, and how often
// each rule decided. Both ends of a connection may have reported it; it counts once.
import { mappedAddress } from '@ringfence/proto/address.js';
import { Direction, EventKind, Reason } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { ConnectionEnd } from '../policy/connection.js';
import type { RecordedConnection } from '../policy/simulate.js';
import type { FlowBlock, FlowEndInfo } from './block.js';
import type { FlowHistory } from './history.js';

/** What policy decided; failsafe, loopback and the like come before policy. */
const DECIDED: ReadonlySet<number> = new Set([
  Reason.REASON_RULE_ALLOW,
  Reason.REASON_RULE_DENY,
  Reason.REASON_IMPLICIT_DENY,
  Reason.REASON_READMITTED,
  Reason.REASON_REVOKED,
  Reason.REASON_CONSTRAINT_UNMET,
]);

/** Connections that the history holds. */
export interface KnownConnections {
  readonly connections: readonly RecordedConnection[];
  /** Packets of the oldest record, Unix milliseconds; 0: none. */
  readonly knownSinceMs: number;
  /** More distinct connections than `max`: the newest were taken. */
  readonly truncated: boolean;
  /** Records that policy had no say in. */
  readonly undecided: number;
}

/** Distinct connections seen since then, at most `max`. */
export function knownConnections(history: FlowHistory, sinceMs: number, max: number): KnownConnections {
  const found = new Map<string, { from: ConnectionEnd; to: ConnectionEnd; seen: [number, number]; lastUs: number }>();
  const tuples = new Map<string, { protocol: number; port: number }>();
  let truncated = false;
  let undecided = 0;
  const sinceUs = sinceMs * 1000;
  const oldest = eachNewestFirst(history, (block, i) => {
    const lastUs = block.lastSeenUs[i] ?? 0;
    if (lastUs < sinceUs) return;
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
  return { connections, knownSinceMs: Math.floor(oldest / 1000), truncated, undecided };
}

/** Records by deciding rule since then, and when the oldest record is from. */
export function ruleHits(
  history: FlowHistory,
  sinceMs: number,
): { readonly hits: ReadonlyMap<number, number>; readonly records: number; readonly knownSinceMs: number } {
  const hits = new Map<number, number>();
  let records = 0;
  const oldest = eachNewestFirst(history, (block, i) => {
    if ((block.lastSeenUs[i] ?? 0) < sinceMs * 1000) return;
    records += 1;
    const rule = block.rule[i] ?? 0;
    if (rule !== 0) hits.set(rule, (hits.get(rule) ?? 0) + timesOf(block, i) || 1);
  });
  return { hits, records, knownSinceMs: Math.floor(oldest / 1000) };
}

/** Calls back for every record, newest first. Gives the earliest packet of all, microseconds; 0: no record. */
function eachNewestFirst(history: FlowHistory, visit: (block: FlowBlock, index: number) => void): number {
  let oldest = 0;
  history.newest((block, index) => {
    const firstUs = block.firstSeenUs[index] ?? 0;
    if (oldest === 0 || firstUs < oldest) oldest = firstUs;
    visit(block, index);
    return false;
  }, 1);
  return oldest;
}

/** Connections that a record begins. */
function timesOf(block: FlowBlock, index: number): number {
  const kind = block.kind[index];
  if (kind === EventKind.EVENT_KIND_DENY) return Math.max(1, block.attempts[index] ?? 0);
  return kind === EventKind.EVENT_KIND_NEW ? 1 : 0;
}

function endOf(
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
