// What is drawn around nodes on canvases of our own: rings, and the names of nodes and of islands.
import type Sigma from 'sigma';
import type { NodeDisplayData, PartialButFor } from 'sigma/types';
import type { VerdictName } from '../../ui/verdict.js';
import { strandsOf } from './build-graph.js';
import type { Colors } from './colors.js';
import type { Point } from './layout.js';
import type { MapEdge } from './model.js';
import { labelsOfKey, titleOf } from './view.js';

export type LabelData = PartialButFor<NodeDisplayData, 'x' | 'y' | 'size' | 'label' | 'color'>;

const TEXT_MAX = 34;
const RING_FIRST = 3.5;
const RING_STEP = 3.5;
const RING_CHOSEN = 15;
const DASHES: Readonly<Record<VerdictName, number[]>> = { allowed: [], unknown: [], would: [6, 4], blocked: [2, 3] };

/** Where a node is drawn, with its radius, pixels; undefined when it is not. */
export type NodePlace = (key: string) => (Point & { readonly radius: number }) | undefined;

/** Under the node, on a ground of the page's colour, so that it can be read over edges. */
export function drawLabel(
  context: CanvasRenderingContext2D,
  data: LabelData,
  colors: Colors,
  pointedAt: boolean,
): void {
  if (!data.label) return;
  context.font = `600 12.5px ${pageFont()}`;
  context.textAlign = 'start';
  const text = data.label.length > TEXT_MAX ? `${data.label.slice(0, TEXT_MAX - 1)}…` : data.label;
  const width = context.measureText(text).width;
  const [x, y] = [data.x - width / 2, data.y + data.size + 15];
  ground(context, x, y - 12, width, 17, colors, pointedAt ? 1 : 0.82);
  if (pointedAt) {
    context.strokeStyle = colors.line;
    context.lineWidth = 1;
    context.stroke();
    context.beginPath();
    context.arc(data.x, data.y, data.size + 3, 0, 2 * Math.PI);
    context.strokeStyle = colors.text;
    context.lineWidth = 1.5;
    context.stroke();
  }
  context.fillStyle = colors.text;
  context.fillText(text, x, y);
}

export interface Rings {
  /** Edges from a node to itself: a ring for each verdict, in its pattern. */
  readonly loops: readonly MapEdge[];
  readonly chosen: string;
  /** Nodes that stand out; empty: all do. */
  readonly near: ReadonlySet<string>;
  /** Nodes that the search finds; undefined: nothing is searched for. */
  readonly found: ReadonlySet<string> | undefined;
}

export function drawRings(
  context: CanvasRenderingContext2D,
  { loops, chosen, near, found }: Rings,
  placeOf: NodePlace,
  colors: Colors,
): void {
  const ring = (key: string, gap: number, verdict: VerdictName, color: string) => {
    const at = placeOf(key);
    if (at === undefined) return;
    context.beginPath();
    context.arc(at.x, at.y, at.radius + Math.min(gap, at.radius), 0, 2 * Math.PI);
    context.globalAlpha = (near.size > 0 && !near.has(key)) || (found !== undefined && !found.has(key)) ? 0.2 : 1;
    context.setLineDash(DASHES[verdict]);
    context.strokeStyle = color;
    context.lineWidth = at.radius < 6 ? 1 : 2.2;
    context.stroke();
  };
  for (const loop of loops) {
    strandsOf(loop).forEach(({ verdict }, index) => {
      ring(loop.source, RING_FIRST + RING_STEP * index, verdict, colors.verdicts[verdict]);
    });
  }
  if (chosen !== '') ring(chosen, RING_CHOSEN, 'allowed', colors.text);
}

/** Names of islands under them. */
export function drawTitles(
  context: CanvasRenderingContext2D,
  islands: ReadonlyMap<string, readonly string[]>,
  placeOf: NodePlace,
  colors: Colors,
): void {
  context.font = `650 13px ${pageFont()}`;
  context.textAlign = 'center';
  for (const [cluster, members] of islands) {
    const places = members.flatMap((key) => placeOf(key) ?? []);
    if (places.length === 0) continue;
    const x = places.reduce((sum, place) => sum + place.x, 0) / places.length;
    const bottom = Math.max(...places.map(({ y, radius }) => y + radius));
    const text = titleOf(labelsOfKey(cluster)) || cluster;
    const width = context.measureText(text).width;
    ground(context, x - width / 2, bottom + 3, width, 17, colors, 0.85);
    context.fillStyle = colors.text;
    context.fillText(text, x, bottom + 16);
  }
}

/** Empties a canvas of our own, and gives it the size of sigma's. */
export function clear(context: CanvasRenderingContext2D, sigma: Sigma): void {
  const { width, height } = sigma.getDimensions();
  const { canvas } = context;
  const scale = devicePixelRatio;
  // Setting its size clears a canvas: only when it changes.
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
}

let font = '';

/** The page's font; asked once, since the answer makes the browser lay the page out. */
export function pageFont(): string {
  font ||= getComputedStyle(document.body).fontFamily;
  return font;
}

function ground(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
  colors: Colors,
  alpha: number,
): void {
  context.globalAlpha = alpha;
  context.fillStyle = colors.surface;
  context.beginPath();
  context.roundRect(x - 5, y, width + 10, height, 4);
  context.fill();
  context.globalAlpha = 1;
}
