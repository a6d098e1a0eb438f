// A graph of traffic from grouped sums: nodes are groups of ends, edges go from who called to who was called.
import {
  FlowGraph,
  type FlowGraphDecision,
  type FlowGraphEdge,
  type FlowGraphService,
  FlowGraphSums,
} from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { GraphRow } from './store/archive.js';

export interface GraphShape {
  readonly groupBy: readonly string[];
  readonly minBytes: bigint;
  readonly minCount: bigint;
  readonly minDurationUs: bigint;
  /** Edges at most. */
  readonly limit: number;
  /** Id of a rule by its number; empty when it is not known. */
  readonly ruleId: (number: number) => string;
}

const PROCESSES_MAX = 64;
const DECISIONS_MAX = 16;
/** Sums travel as 64 bits, times as 63. */
const SUM_MAX = 2n ** 63n - 1n;
/** Answers about more edges than this leave decisions out. */
const DECIDED_EDGES_MAX = 200;
const RANK = [Verdict.VERDICT_ALLOWED, Verdict.VERDICT_WOULD_BLOCK, Verdict.VERDICT_BLOCKED];

type Sums = { -readonly [K in keyof FlowGraphSums]: FlowGraphSums[K] };

type Service = FlowGraphService & { readonly sums: FlowGraphSums };

/** One service by verdict, as each of the two ends saw it. */
interface Views {
  readonly protocol: number;
  readonly port: number;
  readonly verdict: Verdict;
  readonly processes: Set<string>;
  /** By whose views are in them. */
  readonly sides: Map<number, Sums>;
  /** Attempts by direction, reason and rule. */
  readonly decisions: Map<string, { direction: number; reason: number; rule: number; count: number }>;
}

export function buildGraph(rows: readonly GraphRow[], shape: GraphShape): FlowGraph {
  const pairs = new Map<string, { source: string; destination: string; services: Map<string, Views> }>();
  let records = 0;
  for (const row of rows) {
    records += row.records;
    const pairKey = `${row.source} ${row.destination}`;
    let pair = pairs.get(pairKey);
    if (pair === undefined) {
      pair = { source: row.source, destination: row.destination, services: new Map() };
      pairs.set(pairKey, pair);
    }
    addRow(pair.services, row);
  }
  const decided = pairs.size <= DECIDED_EDGES_MAX;
  const all = [...pairs.values()].map(({ source, destination, services }) => {
    const list = [...services.values()].map((views) => serviceOf(views, decided, shape)).sort(byBytes);
    const sums = list.reduce<Sums>((sum, service) => add(sum, service.sums), FlowGraphSums.fromPartial({}));
    return { source, destination, services: list, sums, verdict: worst(list) };
  });
  const wanted = all.filter(
    ({ sums }) =>
      sums.bytesForward + sums.bytesBack >= shape.minBytes &&
      sums.count >= shape.minCount &&
      sums.durationUs >= shape.minDurationUs,
  );
  const kept = choose(wanted, shape.limit);
  const keys = [...new Set(kept.flatMap(({ source, destination }) => [source, destination]))].sort();
  const ids = new Map(keys.map((key, index) => [key, index + 1]));
  const edges: FlowGraphEdge[] = kept.map((edge) => ({
    ...edge,
    source: ids.get(edge.source) ?? 0,
    destination: ids.get(edge.destination) ?? 0,
  }));
  const nodes = keys.map((key, index) => ({ id: index + 1, labels: labelsOf(key, shape.groupBy) }));
  return FlowGraph.fromPartial({
    nodes,
    edges,
    edgesLeftOut: all.length - kept.length,
    records: BigInt(Math.round(records)),
  });
}

/** Most bytes first. What was refused carries next to nothing: it has half of the places before volume decides. */
function choose<T extends { readonly sums: Sums; readonly verdict: number }>(edges: readonly T[], limit: number): T[] {
  const sorted = [...edges].sort(byBytes);
  if (sorted.length <= limit) return sorted;
  const refused = sorted.filter(({ verdict }) => verdict !== Verdict.VERDICT_ALLOWED);
  const chosen = new Set(refused.slice(0, Math.ceil(limit / 2)));
  for (const edge of sorted) {
    if (chosen.size >= limit) break;
    chosen.add(edge);
  }
  return sorted.filter((edge) => chosen.has(edge));
}

function addRow(services: Map<string, Views>, row: GraphRow): void {
  const key = `${row.protocol} ${row.servicePort} ${row.verdict}`;
  let views = services.get(key);
  if (views === undefined) {
    const { protocol, servicePort: port, verdict } = row;
    views = { protocol, port, verdict, processes: new Set(), sides: new Map(), decisions: new Map() };
    services.set(key, views);
  }
  for (const process of [row.process, row.farProcess]) if (process !== '') views.processes.add(process);
  const sums = FlowGraphSums.fromPartial({
    bytesForward: whole(row.bytesForward),
    bytesBack: whole(row.bytesBack),
    packetsForward: whole(row.packetsForward),
    packetsBack: whole(row.packetsBack),
    count: whole(row.attempts),
    connections: whole(row.connections),
    durationUs: whole(row.durationUs),
    firstSeenUs: whole(row.firstSeenUs),
    lastSeenUs: whole(row.lastSeenUs),
  });
  countDecision(views, row.decider, row.reason, row.rule, row.attempts);
  if (row.otherReason !== 0) {
    const other =
      row.decider === Direction.DIRECTION_INBOUND ? Direction.DIRECTION_OUTBOUND : Direction.DIRECTION_INBOUND;
    countDecision(views, other, row.otherReason, row.otherRule, row.attempts);
  }
  const before = views.sides.get(row.views);
  views.sides.set(row.views, before === undefined ? sums : add(before, sums));
}

function countDecision({ decisions }: Views, direction: number, reason: number, rule: number, count: number): void {
  const key = `${direction} ${reason} ${rule}`;
  const decision = decisions.get(key);
  if (decision === undefined) decisions.set(key, { direction, reason, rule, count });
  else decision.count += count;
}

/**
 * Connections whose views were brought together count as they are. Those that only one end reported may be the same ones at both (one
 * report came too late to be brought together): the fuller side of each number counts, not the sum.
 */
function serviceOf(views: Views, decided: boolean, { ruleId }: GraphShape): Service {
  const { protocol, port, verdict, processes, sides } = views;
  const [inbound, outbound, both] = [1, 2, 3].map((seen) => sides.get(seen));
  const alone = inbound && outbound ? combine(inbound, outbound, larger) : (inbound ?? outbound);
  const sums = both && alone ? add(both, alone) : (both ?? alone ?? FlowGraphSums.fromPartial({}));
  const decisions = decided ? decisionsOf(views, ruleId) : [];
  return { protocol, port, verdict, processes: [...processes].sort().slice(0, PROCESSES_MAX), sums, decisions };
}

function decisionsOf({ decisions }: Views, ruleId: GraphShape['ruleId']): FlowGraphDecision[] {
  return [...decisions.values()]
    .sort((a, b) => b.count - a.count || a.direction - b.direction || a.rule - b.rule)
    .slice(0, DECISIONS_MAX)
    .map(({ direction, reason, rule, count }) => ({
      direction,
      reason,
      rule,
      ruleId: rule === 0 ? '' : ruleId(rule),
      count: whole(count),
    }));
}

function add(a: FlowGraphSums, b: FlowGraphSums): Sums {
  return combine(a, b, (x, y) => (x + y < SUM_MAX ? x + y : SUM_MAX));
}

function combine(a: FlowGraphSums, b: FlowGraphSums, of: (x: bigint, y: bigint) => bigint): Sums {
  const first = a.firstSeenUs === 0n || (b.firstSeenUs !== 0n && b.firstSeenUs < a.firstSeenUs) ? b : a;
  return {
    bytesForward: of(a.bytesForward, b.bytesForward),
    bytesBack: of(a.bytesBack, b.bytesBack),
    packetsForward: of(a.packetsForward, b.packetsForward),
    packetsBack: of(a.packetsBack, b.packetsBack),
    count: of(a.count, b.count),
    connections: of(a.connections, b.connections),
    durationUs: of(a.durationUs, b.durationUs),
    firstSeenUs: first.firstSeenUs,
    lastSeenUs: larger(a.lastSeenUs, b.lastSeenUs),
  };
}

function byBytes(a: { sums: FlowGraphSums }, b: { sums: FlowGraphSums }): number {
  const [x, y] = [a, b].map(({ sums }) => sums.bytesForward + sums.bytesBack) as [bigint, bigint];
  if (x !== y) return x < y ? 1 : -1;
  return Number(b.sums.count - a.sums.count);
}

function worst(services: readonly FlowGraphService[]): Verdict {
  return RANK[Math.max(0, ...services.map(({ verdict }) => RANK.indexOf(verdict)))] ?? Verdict.VERDICT_UNSPECIFIED;
}

function labelsOf(key: string, groupBy: readonly string[]): { dimension: string; value: string }[] {
  const values = JSON.parse(key) as (string | null)[];
  return groupBy.flatMap((dimension, index) => {
    const value = values[index];
    return value === null || value === undefined ? [] : { dimension, value };
  });
}

function larger(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}

function whole(value: number): bigint {
  const rounded = BigInt(Math.round(Math.max(0, value)));
  return rounded < SUM_MAX ? rounded : SUM_MAX;
}
