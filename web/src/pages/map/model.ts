// The map as it is drawn and listed: nodes and directed edges with plain numbers.
import type { FlowGraph, FlowGraphService, FlowGraphSums } from '../../gen/ringfence/v1/admin_flows_pb.js';
import type { Label } from '../../gen/ringfence/v1/common_pb.js';
import { type VerdictName, verdictName } from '../../ui/verdict.js';

/** What a node stands for. `outside`: ends without any of the labels that the map groups by, and no workload of their own. */
export type NodeKind = 'group' | 'workload' | 'process' | 'outside';

export type Labels = readonly Pick<Label, 'dimension' | 'value'>[];

export interface Sums {
  readonly bytesForward: number;
  readonly bytesBack: number;
  readonly packetsForward: number;
  readonly packetsBack: number;
  readonly count: number;
  readonly connections: number;
  readonly durationUs: number;
  /** Unix microseconds; 0: none. */
  readonly firstSeenUs: number;
  readonly lastSeenUs: number;
}

export interface Decision {
  readonly reason: number;
  readonly rule: number;
  readonly ruleId: string;
  readonly direction: number;
  readonly count: number;
}

export interface Service {
  readonly protocol: number;
  readonly port: number;
  readonly verdict: VerdictName;
  readonly processes: readonly string[];
  readonly sums: Sums;
  readonly decisions: readonly Decision[];
  /** In the draft view: what the policy in force does with connections of this service, where that differs. */
  readonly before?: readonly VerdictName[];
}

export interface MapNode {
  /** Stable: what it is, "app=shop,env=prod" or "workload=host-1/container:web". */
  readonly key: string;
  readonly kind: NodeKind;
  readonly title: string;
  readonly labels: Labels;
  /** Nodes of one cluster are drawn together; empty: of none. */
  readonly cluster: string;
  /** In focus; the others are around it. */
  readonly inside: boolean;
}

export interface MapEdge {
  /** "<source> > <target>". */
  readonly key: string;
  readonly source: string;
  readonly target: string;
  /** The worst of its services'. */
  readonly verdict: VerdictName;
  /** In the draft view: the worst that the policy in force does, where it judges anything otherwise; may be the same as `verdict`. */
  readonly before?: VerdictName;
  readonly services: readonly Service[];
  readonly sums: Sums;
}

export interface MapData {
  readonly nodes: readonly MapNode[];
  readonly edges: readonly MapEdge[];
  /** Edges that were left out for their number. */
  readonly leftOut: number;
  readonly records: number;
  readonly notes: readonly string[];
  /** What is missing among the records, by host and where it was lost. */
  readonly gaps: readonly Gap[];
}

export interface Gap {
  /** "ring", "agent", "spool", "store" … */
  readonly hop: string;
  /** Empty: the controller. */
  readonly hostId: string;
  readonly count: number;
}

export const EMPTY_MAP: MapData = { nodes: [], edges: [], leftOut: 0, records: 0, notes: [], gaps: [] };

const RANK: readonly VerdictName[] = ['unknown', 'allowed', 'would', 'blocked'];

export function worst(verdicts: Iterable<VerdictName>): VerdictName {
  let rank = 0;
  for (const verdict of verdicts) rank = Math.max(rank, RANK.indexOf(verdict));
  return RANK[rank] ?? 'unknown';
}

export function edgeKey(source: string, target: string): string {
  return `${source} > ${target}`;
}

export function addSums(a: Sums, b: Sums): Sums {
  const seen = [a.firstSeenUs, b.firstSeenUs].filter((us) => us > 0);
  return {
    bytesForward: a.bytesForward + b.bytesForward,
    bytesBack: a.bytesBack + b.bytesBack,
    packetsForward: a.packetsForward + b.packetsForward,
    packetsBack: a.packetsBack + b.packetsBack,
    count: a.count + b.count,
    connections: a.connections + b.connections,
    durationUs: a.durationUs + b.durationUs,
    firstSeenUs: seen.length === 0 ? 0 : Math.min(...seen),
    lastSeenUs: Math.max(a.lastSeenUs, b.lastSeenUs),
  };
}

export function bytesOf({ bytesForward, bytesBack }: Sums): number {
  return bytesForward + bytesBack;
}

/** Where each node of an answer stands on the map: ends that share a key are one node. */
export type Placing = (labels: Labels) => MapNode;

/** An answer of Flows.Graph as a map. Nodes that `place` gives the same key are folded, and their edges with them. */
export function foldGraph(graph: FlowGraph, place: Placing): MapData {
  const nodes = new Map<string, MapNode>();
  const byId = new Map<number, string>();
  for (const { id, labels } of graph.nodes) {
    const node = place(labels);
    byId.set(id, node.key);
    if (!nodes.has(node.key)) nodes.set(node.key, node);
  }
  const edges = new Map<string, MapEdge>();
  for (const edge of graph.edges) {
    const source = byId.get(edge.source);
    const target = byId.get(edge.destination);
    if (source === undefined || target === undefined) continue;
    const key = edgeKey(source, target);
    const services = edge.services.map(serviceOf);
    const before = edges.get(key);
    edges.set(
      key,
      before === undefined
        ? newEdge(source, target, services)
        : newEdge(source, target, merge(before.services, services)),
    );
  }
  const { edgesLeftOut: leftOut, records, notes } = graph;
  const gaps = graph.gaps.map(({ hop, hostId, count }) => ({ hop, hostId, count: Number(count) }));
  return { nodes: [...nodes.values()], edges: [...edges.values()], leftOut, records: Number(records), notes, gaps };
}

/** Two maps over one another: answers about different parts of the same picture. */
export function joinMaps(a: MapData, b: MapData): MapData {
  const nodes = new Map([...a.nodes, ...b.nodes].map((node) => [node.key, node]));
  const edges = new Map(a.edges.map((edge) => [edge.key, edge]));
  for (const edge of b.edges) {
    const before = edges.get(edge.key);
    const joined =
      before === undefined ? edge : newEdge(edge.source, edge.target, merge(before.services, edge.services));
    edges.set(edge.key, joined);
  }
  return {
    nodes: [...nodes.values()],
    edges: [...edges.values()],
    leftOut: a.leftOut + b.leftOut,
    records: a.records + b.records,
    notes: [...new Set([...a.notes, ...b.notes])],
    // Both are about the same time: the same gaps.
    gaps: a.gaps.length > 0 ? a.gaps : b.gaps,
  };
}

/** A judged map with what another judge says of the same records beside it. `whole`: the judged map where `judged` shows some verdicts only. */
export function withBefore(judged: MapData, real: MapData, whole: MapData = judged): MapData {
  const known = new Map(real.edges.map((edge) => [edge.key, edge]));
  const drafted = new Map(whole.edges.map((edge) => [edge.key, edge]));
  const edges = judged.edges.map((edge) => {
    const [before, after] = [known.get(edge.key), drafted.get(edge.key)];
    if (before === undefined || after === undefined) return edge;
    const changed = changedServices(after, before);
    if (changed.size === 0) return edge;
    const services = edge.services.map((service) => {
      const was = changed.get(serviceKey(service));
      return was === undefined ? service : { ...service, before: was };
    });
    return { ...edge, services, before: before.verdict };
  });
  return { ...judged, edges };
}

/** Services that are judged otherwise, with the verdicts before. A service may hold connections of several verdicts. */
function changedServices(after: MapEdge, before: MapEdge): Map<string, VerdictName[]> {
  const [then, now] = [countsOf(before), countsOf(after)];
  const changed = new Map<string, VerdictName[]>();
  for (const [key, counts] of now) {
    const was = then.get(key);
    if (was === undefined) continue;
    const total = (of: ReadonlyMap<VerdictName, number>) => [...of.values()].reduce((a, b) => a + b, 0);
    // A record that came between the two answers is no change: then only the verdicts are compared.
    const exact = total(counts) === total(was);
    const same =
      counts.size === was.size &&
      [...counts].every(([verdict, n]) => (exact ? was.get(verdict) === n : was.has(verdict)));
    if (!same) changed.set(key, [...was.keys()]);
  }
  return changed;
}

function countsOf({ services }: MapEdge): Map<string, Map<VerdictName, number>> {
  const counts = new Map<string, Map<VerdictName, number>>();
  for (const service of services) {
    const key = serviceKey(service);
    const own = counts.get(key) ?? new Map<VerdictName, number>();
    counts.set(key, own.set(service.verdict, (own.get(service.verdict) ?? 0) + service.sums.count));
  }
  return counts;
}

function serviceKey({ protocol, port }: Service): string {
  return `${protocol}/${port}`;
}

function newEdge(source: string, target: string, services: readonly Service[]): MapEdge {
  const sorted = [...services].sort((a, b) => bytesOf(b.sums) - bytesOf(a.sums) || b.sums.count - a.sums.count);
  const sums = sorted.map((service) => service.sums).reduce(addSums);
  return {
    key: edgeKey(source, target),
    source,
    target,
    verdict: worst(sorted.map((s) => s.verdict)),
    services: sorted,
    sums,
  };
}

function merge(a: readonly Service[], b: readonly Service[]): Service[] {
  const merged = new Map<string, Service>();
  for (const service of [...a, ...b]) {
    const key = `${service.protocol}/${service.port} ${service.verdict}`;
    const known = merged.get(key);
    const both = known && {
      ...service,
      processes: [...new Set([...known.processes, ...service.processes])].sort(),
      sums: addSums(known.sums, service.sums),
      decisions: mergeDecisions(known.decisions, service.decisions),
    };
    merged.set(key, both ?? service);
  }
  return [...merged.values()];
}

function mergeDecisions(a: readonly Decision[], b: readonly Decision[]): Decision[] {
  const merged = new Map<string, Decision>();
  for (const decision of [...a, ...b]) {
    const key = `${decision.direction} ${decision.reason} ${decision.rule}`;
    merged.set(key, { ...decision, count: decision.count + (merged.get(key)?.count ?? 0) });
  }
  return [...merged.values()].sort((x, y) => y.count - x.count);
}

function serviceOf({ protocol, port, verdict, processes, sums, decisions }: FlowGraphService): Service {
  return {
    protocol,
    port,
    verdict: verdictName(verdict),
    processes,
    sums: sumsOf(sums),
    decisions: decisions.map((decision) => ({ ...decision, count: Number(decision.count) })),
  };
}

function sumsOf(sums: FlowGraphSums | undefined): Sums {
  return {
    bytesForward: Number(sums?.bytesForward ?? 0n),
    bytesBack: Number(sums?.bytesBack ?? 0n),
    packetsForward: Number(sums?.packetsForward ?? 0n),
    packetsBack: Number(sums?.packetsBack ?? 0n),
    count: Number(sums?.count ?? 0n),
    connections: Number(sums?.connections ?? 0n),
    durationUs: Number(sums?.durationUs ?? 0n),
    firstSeenUs: Number(sums?.firstSeenUs ?? 0n),
    lastSeenUs: Number(sums?.lastSeenUs ?? 0n),
  };
}
