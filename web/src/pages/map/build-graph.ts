// What of a map is drawn: nodes with place, size and colour; edges as one line for each verdict, side by side.
import { MultiDirectedGraph } from 'graphology';
import type { VerdictName } from '../../ui/verdict.js';
import type { Colors } from './colors.js';
import { PATTERNS } from './edge-program.js';
import type { Point } from './layout.js';
import { bytesOf, type MapData, type MapEdge, type MapNode } from './model.js';

export interface NodeAttributes extends Point {
  readonly size: number;
  readonly label: string;
  readonly color: string;
}

export interface StrandAttributes {
  readonly size: number;
  readonly lane: number;
  readonly color: string;
  readonly pattern: number;
  readonly zIndex: number;
  /** Key of the edge on the map. */
  readonly edge: string;
}

export type DrawnGraph = MultiDirectedGraph<NodeAttributes, StrandAttributes>;

/** Hues of clusters; each has 3:1 against both backgrounds. */
const HUES = [
  '#5b6ee1',
  '#2a8f6d',
  '#b0642b',
  '#a14bb5',
  '#3583b8',
  '#8a7a1c',
  '#c2477d',
  '#5a7f35',
  '#7b68c8',
  '#b5543f',
];
/** What is drawn above what. */
const RANK: Readonly<Record<VerdictName, number>> = { unknown: 0, allowed: 1, would: 2, blocked: 3 };
const LANE_GAP = 1.5;

/** `scale`: of sizes, from `scaleOf`. */
export function buildGraph(data: MapData, placeOf: (key: string) => Point, colors: Colors, scale = 1): DrawnGraph {
  const graph: DrawnGraph = new MultiDirectedGraph();
  const weights = new Map<string, number>();
  for (const { source, target, sums } of data.edges) {
    for (const key of new Set([source, target])) weights.set(key, (weights.get(key) ?? 0) + bytesOf(sums));
  }
  const clusters = [...new Set(data.nodes.map(({ cluster }) => cluster))].sort();
  for (const node of data.nodes) {
    const size = scale * nodeSize(node, weights.get(node.key) ?? 0, data.nodes.length);
    graph.addNode(node.key, {
      ...placeOf(node.key),
      size,
      label: node.title,
      color: nodeColor(node, clusters, colors),
    });
  }
  const most = Math.max(1, ...data.edges.map(({ sums }) => bytesOf(sums)));
  for (const edge of data.edges) {
    // Traffic of a node with itself is drawn around it.
    if (edge.source === edge.target) continue;
    let lane = 0;
    for (const { verdict, bytes } of strandsOf(edge)) {
      const size = edgeSize(bytes, most, data.edges.length);
      const color = colors.verdicts[verdict];
      const drawn = { size, lane, color, pattern: PATTERNS[verdict], zIndex: RANK[verdict], edge: edge.key };
      graph.addEdgeWithKey(`${edge.key} ${verdict}`, edge.source, edge.target, drawn);
      lane += size + LANE_GAP;
    }
  }
  return graph;
}

/** What an edge carries by verdict: each is a line of its own, so that some blocked beside many allowed are seen as that. */
export function strandsOf({ services }: MapEdge): { readonly verdict: VerdictName; readonly bytes: number }[] {
  const strands = new Map<VerdictName, number>();
  for (const { verdict, sums } of services) strands.set(verdict, (strands.get(verdict) ?? 0) + bytesOf(sums));
  return [...strands].map(([verdict, bytes]) => ({ verdict, bytes })).sort((a, b) => RANK[a.verdict] - RANK[b.verdict]);
}

/** Smaller the more there are, so that they stay apart. */
function nodeSize({ kind }: MapNode, bytes: number, nodes: number): number {
  const grown = Math.log10(1 + bytes);
  const size = kind === 'group' ? 9 + grown * 1.5 : 7 + grown;
  return size * Math.max(0.17, Math.min(1, Math.sqrt(26 / nodes)));
}

function edgeSize(bytes: number, most: number, edges: number): number {
  const share = Math.log10(1 + bytes) / Math.log10(1 + most);
  return (1.2 + 5 * share ** 2) * Math.max(0.14, Math.min(1, Math.sqrt(60 / edges)));
}

function nodeColor(node: MapNode, clusters: readonly string[], colors: Colors): string {
  if (node.kind === 'outside') return colors.line;
  if (node.cluster === '') return colors.node;
  return HUES[clusters.indexOf(node.cluster) % HUES.length] ?? colors.node;
}
