// Where nodes stand. The same nodes and edges always give the same picture; what is known already stays where it is.
import { DirectedGraph } from 'graphology';
import forceAtlas2 from 'graphology-layout-forceatlas2';
import type { MapData, MapNode } from './model.js';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The sunflower's angle: points placed by it never line up. */
const GOLDEN = Math.PI * (3 - Math.sqrt(5));
const RING_GAP = 2.4;

/** A picture of so many pixels, the mean of both sides, draws nodes in their full size; a smaller one smaller, down to half. */
const FULL_PX = 720;

export function scaleOf(width: number, height: number): number {
  return Math.max(0.5, Math.min(1, Math.sqrt(width * height) / FULL_PX));
}

/** Positions by node key. `known`: where nodes stood before. */
export function layOut(data: MapData, known: ReadonlyMap<string, Point>): Map<string, Point> {
  const { nodes } = data;
  if (nodes.length > 0 && nodes.every(({ key }) => known.has(key))) {
    return new Map(nodes.map(({ key }) => [key, known.get(key) ?? { x: 0, y: 0 }]));
  }
  if (nodes.some(({ cluster }) => cluster !== '') && !nodes.some(({ inside }) => inside)) return islands(data);
  return nodes.some(({ inside }) => inside) ? ring(data) : forces(data, known);
}

/** Nodes that talk much stand near each other. */
function forces({ nodes, edges }: MapData, known: ReadonlyMap<string, Point>): Map<string, Point> {
  const graph = new DirectedGraph();
  const sorted = [...nodes].sort((a, b) => (a.key < b.key ? -1 : 1));
  const enough = sorted.filter(({ key }) => known.has(key)).length > sorted.length / 2;
  sorted.forEach(({ key }, index) => {
    const angle = (2 * Math.PI * index) / sorted.length;
    const start = known.get(key) ?? { x: 10 * Math.cos(angle), y: 10 * Math.sin(angle) };
    graph.addNode(key, { ...start, fixed: enough && known.has(key) });
  });
  for (const { source, target, sums } of edges) {
    if (source === target || graph.hasEdge(source, target)) continue;
    graph.addEdge(source, target, { weight: 1 + Math.log10(1 + sums.count) });
  }
  const iterations = nodes.length > 500 ? 80 : nodes.length > 100 ? 200 : 400;
  const settings = {
    gravity: 1.2,
    scalingRatio: 12,
    strongGravityMode: true,
    slowDown: 4,
    outboundAttractionDistribution: true,
    barnesHutOptimize: nodes.length > 300,
  };
  if (nodes.length > 1) forceAtlas2.assign(graph, { iterations, settings });
  const points = new Map<string, Point>();
  graph.forEachNode((key, { x, y }) => {
    const stays = enough ? known.get(key) : undefined;
    points.set(key, stays ?? { x: Number(x), y: Number(y) });
  });
  return enough ? points : spread(points);
}

/** Pushes apart what stands too close, over distances of a typical neighbour. */
function spread(points: Map<string, Point>): Map<string, Point> {
  const all = [...points].map(([key, { x, y }]) => ({ key, x, y }));
  const extent = Math.max(1e-6, ...all.map(({ x, y }) => Math.hypot(x, y)));
  const wanted = (1.5 * extent) / Math.sqrt(all.length + 1);
  for (let round = 0; round < 40; round += 1) {
    let moved = false;
    for (let i = 0; i < all.length; i += 1) {
      for (let j = i + 1; j < all.length; j += 1) {
        const [a, b] = [all[i], all[j]];
        if (a === undefined || b === undefined) continue;
        const [dx, dy] = [b.x - a.x || 1e-3 * (i + 1), b.y - a.y || 1e-3 * (j + 1)];
        const distance = Math.hypot(dx, dy);
        if (distance >= wanted) continue;
        const push = (wanted - distance) / 2 / distance;
        a.x -= dx * push;
        a.y -= dy * push;
        b.x += dx * push;
        b.y += dy * push;
        moved = true;
      }
    }
    if (!moved) break;
  }
  return new Map(all.map(({ key, x, y }) => [key, { x, y }]));
}

/** What is in focus in the middle, its neighbours on a ring around it, each near what it talks to. */
function ring(data: MapData): Map<string, Point> {
  const inner = data.nodes.filter(({ inside }) => inside);
  const outer = data.nodes.filter(({ inside }) => !inside);
  const keys = new Set(inner.map(({ key }) => key));
  const own = {
    ...data,
    nodes: inner,
    edges: data.edges.filter(({ source, target }) => keys.has(source) && keys.has(target)),
  };
  const points = inner.length > 60 ? sunflower(inner.map(({ key }) => key).sort()) : forces(own, new Map());
  centre(points);
  const radius = Math.max(1, ...[...points.values()].map(({ x, y }) => Math.hypot(x, y)));
  const pull = new Map(outer.map(({ key }) => [key, { x: 0, y: 0 }]));
  for (const { source, target } of data.edges) {
    for (const [from, to] of [
      [source, target],
      [target, source],
    ] as const) {
      const [sum, at] = [pull.get(from), points.get(to)];
      if (sum === undefined || at === undefined) continue;
      sum.x += at.x;
      sum.y += at.y;
    }
  }
  const around = [...pull].sort(([a, p], [b, q]) => Math.atan2(p.y, p.x) - Math.atan2(q.y, q.x) || (a < b ? -1 : 1));
  around.forEach(([key], index) => {
    const angle = Math.PI + (2 * Math.PI * index) / around.length;
    const distance = inner.length === 1 ? 2 : radius * RING_GAP;
    points.set(key, { x: distance * Math.cos(angle), y: distance * 0.8 * Math.sin(angle) });
  });
  return points;
}

/** Every cluster an island; islands that talk stand near each other. */
function islands(data: MapData): Map<string, Point> {
  const clusters = Map.groupBy(data.nodes, ({ cluster }) => cluster);
  const clusterOf = new Map(data.nodes.map(({ key, cluster }) => [key, cluster]));
  const coarse = new Map<string, MapData['edges'][number]>();
  for (const edge of data.edges) {
    const [source = '', target = ''] = [clusterOf.get(edge.source), clusterOf.get(edge.target)];
    coarse.set(`${source} > ${target}`, { ...edge, source, target });
  }
  const nodes = [...clusters.keys()].map(
    (key): MapNode => ({ key, kind: 'group', title: key, labels: [], cluster: '', inside: false }),
  );
  const centres = forces({ ...data, nodes, edges: [...coarse.values()] }, new Map());
  const largest = Math.max(...[...clusters.values()].map((members) => Math.sqrt(members.length)));
  const nearest = smallestDistance([...centres.values()]);
  const points = new Map<string, Point>();
  for (const [cluster, members] of clusters) {
    const at = centres.get(cluster) ?? { x: 0, y: 0 };
    const unit = (0.42 * nearest) / largest;
    for (const [key, { x, y }] of sunflower(members.map(({ key }) => key).sort())) {
      points.set(key, { x: at.x + x * unit, y: at.y + y * unit });
    }
  }
  return points;
}

/** Points at even distances inside a disc of radius √n. */
function sunflower(keys: readonly string[]): Map<string, Point> {
  return new Map(
    keys.map((key, index) => {
      const [radius, angle] = [Math.sqrt(index + 0.3), index * GOLDEN];
      return [key, { x: radius * Math.cos(angle), y: radius * Math.sin(angle) }];
    }),
  );
}

function centre(points: Map<string, Point>): void {
  const all = [...points.values()];
  const [x, y] = [all.reduce((sum, p) => sum + p.x, 0) / all.length, all.reduce((sum, p) => sum + p.y, 0) / all.length];
  for (const [key, point] of points) points.set(key, { x: point.x - x, y: point.y - y });
}

function smallestDistance(points: readonly Point[]): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < points.length; i += 1) {
    for (let j = i + 1; j < points.length; j += 1) {
      const [a, b] = [points[i], points[j]];
      if (a && b) smallest = Math.min(smallest, Math.hypot(a.x - b.x, a.y - b.y));
    }
  }
  return Number.isFinite(smallest) ? smallest : 1;
}
