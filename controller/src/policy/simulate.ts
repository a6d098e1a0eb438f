// Replay of recorded connections through another policy: what would newly be blocked, newly allowed, or stay, by label pair.
import { type ConnectionEnd, explainConnection, formatEnd, summarise } from './connection.js';
import type { Policy } from './model.js';

/** A connection as it was recorded, with both ends as they were known then. */
export interface RecordedConnection {
  readonly from: ConnectionEnd;
  readonly to: ConnectionEnd;
  readonly protocol: number;
  /** The service's port; ICMP type * 256 + code. */
  readonly port: number;
  /** Times it was seen. */
  readonly count: number;
  readonly lastSeenMs: number;
}

export type Outcome = 'newly blocked' | 'newly allowed' | 'unchanged';

/** Connections of one label pair and service with one outcome. */
export interface SimulatedGroup {
  readonly outcome: Outcome;
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly port: number;
  readonly connections: number;
  readonly lastSeenMs: number;
  /** How the draft decides it: `out by no rule, in allow by rule x`. */
  readonly why: string;
}

export interface SimulateOptions {
  /** Dimensions to group by; an end without any of them stands by its id or address. */
  readonly dimensions: readonly string[];
  /** Judge by the rules as if every workload were enforced (true), or as the modes of each policy have it (false). */
  readonly enforced: boolean;
  readonly nowMs: number;
}

/** Replays connections; groups sorted: newly blocked first, then by number of connections. */
export function simulate(
  live: Policy,
  draft: Policy,
  connections: Iterable<RecordedConnection>,
  options: SimulateOptions,
): SimulatedGroup[] {
  const groups = new Map<string, SimulatedGroup>();
  for (const connection of connections) {
    const before = explainConnection(live, connection.from, connection.to, connection, options.nowMs);
    const after = explainConnection(draft, connection.from, connection.to, connection, options.nowMs);
    const [was, is] = options.enforced ? [before.allowed, after.allowed] : [before.passes, after.passes];
    const outcome: Outcome = was === is ? 'unchanged' : is ? 'newly allowed' : 'newly blocked';
    const [from, to] = [groupName(connection.from, options), groupName(connection.to, options)];
    const why = summarise(after);
    const key = JSON.stringify([outcome, from, to, connection.protocol, connection.port, why]);
    const known = groups.get(key);
    groups.set(key, {
      outcome,
      from,
      to,
      protocol: connection.protocol,
      port: connection.port,
      connections: (known?.connections ?? 0) + connection.count,
      lastSeenMs: Math.max(known?.lastSeenMs ?? 0, connection.lastSeenMs),
      why,
    });
  }
  return [...groups.values()].sort(
    (a, b) =>
      RANK[a.outcome] - RANK[b.outcome] || b.connections - a.connections || (a.from + a.to < b.from + b.to ? -1 : 1),
  );
}

const RANK: Readonly<Record<Outcome, number>> = { 'newly blocked': 0, 'newly allowed': 1, unchanged: 2 };

function groupName(end: ConnectionEnd, options: SimulateOptions): string {
  const labels = end.workload?.labels ?? {};
  const named = options.dimensions.filter((dimension) => Object.hasOwn(labels, dimension));
  return named.length > 0 ? named.map((dimension) => `${dimension}=${labels[dimension]}`).join(' ') : formatEnd(end);
}
