// The drawing of a map: sigma with our edges, and what stands around nodes. Knows nothing of the page: it is given a map, a choice and
// words to search for, and says what was pointed at.
import { MultiDirectedGraph } from 'graphology';
import Sigma from 'sigma';
import type { NodeDisplayData, PartialButFor } from 'sigma/types';
import { themeColor } from '../../ui/appearance.js';
import type { VerdictName } from '../../ui/verdict.js';
import { PATTERNS, PatternedEdgeProgram } from './edge-program.js';
import { layOut, type Point } from './layout.js';
import { bytesOf, type MapData, type MapEdge, type MapNode } from './model.js';

export interface PictureEvents {
  readonly onNode: (key: string) => void;
  readonly onEdge: (key: string) => void;
  readonly onNothing: () => void;
  /** Asked to look nearer. */
  readonly onOpen: (key: string) => void;
  /** Zoomed out beyond what there is: look from farther away. */
  readonly onLeave: () => void;
}

/** What stands out. */
export interface Emphasis {
  /** Chosen node or edge; empty: none. */
  readonly node: string;
  readonly edge: string;
  /** Nodes that the search finds; undefined: nothing is searched for. */
  readonly found: ReadonlySet<string> | undefined;
}

interface StrandAttributes {
  readonly color: string;
  readonly size: number;
  /** Key of the edge on the map. */
  readonly edge: string;
}

interface Colors {
  readonly text: string;
  readonly surface: string;
  readonly line: string;
  readonly node: string;
  readonly faint: string;
  readonly verdicts: Readonly<Record<VerdictName, string>>;
}

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
/** How much of a faded colour is left. */
const FADED = 0.14;
const NOTHING: Emphasis = { node: '', edge: '', found: undefined };

export class Picture {
  readonly #container: HTMLElement;
  readonly #events: PictureEvents;
  #graph = new MultiDirectedGraph();
  #sigma: Sigma | undefined;
  #positions = new Map<string, Point>();
  #data: MapData = { nodes: [], edges: [], leftOut: 0, records: 0, notes: [] };
  #loops: readonly MapEdge[] = [];
  #emphasis: Emphasis = NOTHING;
  #near: ReadonlySet<string> = new Set();
  #hovered = '';
  /** Stays as it was first, so that nothing moves when the details open. */
  #stretch: number | undefined;
  #colors: Colors = readColors();
  #rings: CanvasRenderingContext2D | undefined;
  readonly #resizing = new ResizeObserver(() => {
    if (!this.#isLaidOut()) return;
    if (this.#sigma === undefined) this.show(this.#data);
    this.#sigma?.resize();
    this.#sigma?.refresh({ skipIndexation: true });
  });

  /** Throws when the browser has no WebGL. */
  constructor(container: HTMLElement, events: PictureEvents) {
    this.#container = container;
    this.#events = events;
    this.#resizing.observe(container);
  }

  show(data: MapData): void {
    this.#data = data;
    this.#positions = layOut(data, this.#positions);
    this.#loops = data.edges.filter(({ source, target }) => source === target);
    const graph = new MultiDirectedGraph();
    const weight = new Map<string, number>();
    for (const { source, target, sums } of data.edges) {
      for (const key of new Set([source, target])) weight.set(key, (weight.get(key) ?? 0) + bytesOf(sums));
    }
    const clusters = [...new Set(data.nodes.map(({ cluster }) => cluster))].sort();
    const many = data.nodes.length > 150;
    const scattered = data.nodes.some(({ cluster, inside }) => cluster !== '' && !inside);
    for (const node of data.nodes) {
      const { x, y } = this.#stretched(this.#positions.get(node.key) ?? { x: 0, y: 0 });
      const size = nodeSize(node, weight.get(node.key) ?? 0, many, scattered);
      graph.addNode(node.key, {
        x,
        y,
        size,
        label: node.title,
        color: this.#nodeColor(node, clusters),
        kind: node.kind,
      });
    }
    const most = Math.max(1, ...data.edges.map(({ sums }) => bytesOf(sums)));
    for (const edge of data.edges) {
      if (edge.source === edge.target) continue;
      let lane = 0;
      for (const { verdict, bytes } of strandsOf(edge)) {
        const size = edgeSize(bytes, most, data.edges.length);
        const attributes = {
          size,
          lane,
          color: this.#colors.verdicts[verdict],
          pattern: PATTERNS[verdict],
          edge: edge.key,
        };
        graph.addEdgeWithKey(`${edge.key} ${verdict}`, edge.source, edge.target, {
          ...attributes,
          zIndex: RANK[verdict],
        });
        lane += size + 1.5;
      }
    }
    this.#graph = graph;
    if (!this.#isLaidOut()) return;
    if (this.#sigma === undefined) this.#start();
    else this.#sigma.setGraph(graph);
    this.emphasize(this.#emphasis);
  }

  emphasize(emphasis: Emphasis): void {
    this.#emphasis = emphasis;
    const { node, edge } = emphasis;
    if (node !== '' && this.#graph.hasNode(node)) this.#near = new Set([node, ...this.#graph.neighbors(node)]);
    else if (edge !== '') this.#near = new Set(this.#endsOf(edge));
    else this.#near = new Set();
    if (this.#isLaidOut()) this.#sigma?.refresh({ skipIndexation: true });
  }

  /** The theme has changed. */
  recolor(): void {
    this.#colors = readColors();
    this.#sigma?.setSettings(this.#textSettings());
    this.show(this.#data);
  }

  zoom(factor: number): void {
    const camera = this.#sigma?.getCamera();
    camera?.setState({ ratio: camera.ratio / factor });
  }

  fit(): void {
    this.#sigma?.getCamera().setState({ x: 0.5, y: 0.5, ratio: 1, angle: 0 });
  }

  pan(dx: number, dy: number): void {
    const camera = this.#sigma?.getCamera();
    camera?.setState({ x: camera.x + dx * camera.ratio, y: camera.y + dy * camera.ratio });
  }

  /** Where a node or the middle of an edge is drawn, pixels from the corner; undefined when it is not there. */
  placeOf(key: string): Point | undefined {
    const sigma = this.#sigma;
    if (sigma === undefined) return undefined;
    const at = (node: string) => {
      const { x, y } = this.#graph.getNodeAttributes(node) as Point;
      return sigma.graphToViewport({ x, y });
    };
    if (this.#graph.hasNode(key)) return at(key);
    const [source, target] = this.#endsOf(key);
    if (source === undefined || target === undefined) return undefined;
    const [a, b] = [at(source), at(target)];
    // To the right of the way, where edges are drawn.
    const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
    const aside = 3.5;
    return { x: (a.x + b.x) / 2 - ((b.y - a.y) / length) * aside, y: (a.y + b.y) / 2 + ((b.x - a.x) / length) * aside };
  }

  /** The node that lies in a direction from one; for the arrow keys. */
  neighbourOf(key: string, dx: number, dy: number): string | undefined {
    const from = this.placeOf(key);
    let best: { key: string; cost: number } | undefined;
    for (const other of this.#graph.nodes()) {
      const at = this.placeOf(other);
      if (other === key || at === undefined) continue;
      const [ox, oy] = [at.x - (from?.x ?? 0), at.y - (from?.y ?? 0)];
      const ahead = ox * dx + oy * dy;
      if (from !== undefined && ahead <= 0) continue;
      const cost = Math.hypot(ox, oy) + 2 * Math.abs(ox * dy - oy * dx);
      if (best === undefined || cost < best.cost) best = { key: other, cost };
    }
    return best?.key;
  }

  close(): void {
    this.#resizing.disconnect();
    this.#sigma?.kill();
    this.#sigma = undefined;
  }

  /** Nothing can be drawn into what has no size, for example while the page is taken down. */
  #isLaidOut(): boolean {
    return this.#container.clientWidth > 0 && this.#container.clientHeight > 0;
  }

  /** A layout is as high as it is wide; the picture is mostly wider. */
  #stretched({ x, y }: Point): Point {
    const { clientWidth, clientHeight } = this.#container;
    this.#stretch ??= clientHeight > 0 ? Math.max(1, Math.min(1.9, (0.92 * clientWidth) / clientHeight)) : 1;
    return { x: x * this.#stretch, y };
  }

  /** Both ends of an edge of the map; none when it is not drawn. */
  #endsOf(key: string): string[] {
    const edge = this.#data.edges.find((each) => each.key === key);
    return edge === undefined || !this.#graph.hasNode(edge.source) ? [] : [edge.source, edge.target];
  }

  #start(): void {
    const sigma = new Sigma(this.#graph, this.#container, {
      ...this.#textSettings(),
      enableEdgeEvents: true,
      defaultEdgeType: 'patterned',
      edgeProgramClasses: { patterned: PatternedEdgeProgram },
      labelDensity: 0.9,
      labelGridCellSize: 110,
      labelRenderedSizeThreshold: 5,
      stagePadding: 70,
      zIndex: true,
      minCameraRatio: 0.02,
      maxCameraRatio: 3,
      doubleClickZoomingRatio: 1,
      nodeReducer: (key, attributes) => this.#reduceNode(key, attributes as NodeDisplayData),
      edgeReducer: (key, attributes) => this.#reduceEdge(key, attributes as StrandAttributes),
    });
    this.#sigma = sigma;
    this.#rings = sigma.createCanvas('rings', { afterLayer: 'edges' }).getContext('2d') ?? undefined;
    sigma.resize(true);
    sigma.on('afterRender', () => this.#drawRings());
    sigma.on('clickNode', ({ node }) => this.#events.onNode(node));
    sigma.on('clickEdge', ({ edge }) => this.#events.onEdge(String(this.#graph.getEdgeAttribute(edge, 'edge'))));
    sigma.on('clickStage', () => this.#events.onNothing());
    sigma.on('doubleClickNode', (event) => {
      event.preventSigmaDefault();
      this.#events.onOpen(event.node);
    });
    sigma.on('enterNode', ({ node }) => this.#hover(node));
    sigma.on('leaveNode', () => this.#hover(''));
    sigma.on('enterEdge', () => this.#container.classList.add('pointing'));
    sigma.on('leaveEdge', () => this.#container.classList.remove('pointing'));
    sigma.on('wheelStage', (event) => {
      if (wheelOf(event.event) > 0 && sigma.getCamera().ratio >= 2.9) this.#events.onLeave();
    });
    sigma.on('wheelNode', (event) => {
      if (wheelOf(event.event) < 0 && sigma.getCamera().ratio < 0.3) {
        event.preventSigmaDefault();
        this.fit();
        this.#events.onOpen(event.node);
      }
    });
  }

  #hover(node: string): void {
    this.#hovered = node;
    this.#container.classList.toggle('pointing', node !== '');
  }

  #textSettings() {
    const font = getComputedStyle(document.body).fontFamily;
    return {
      labelFont: font,
      labelSize: 12.5,
      labelWeight: '600',
      labelColor: { color: this.#colors.text },
      defaultDrawNodeLabel: (
        context: CanvasRenderingContext2D,
        data: PartialButFor<NodeDisplayData, 'x' | 'y' | 'size' | 'label' | 'color'>,
      ) => this.#drawLabel(context, data, false),
      defaultDrawNodeHover: (
        context: CanvasRenderingContext2D,
        data: PartialButFor<NodeDisplayData, 'x' | 'y' | 'size' | 'label' | 'color'>,
      ) => this.#drawLabel(context, data, true),
    };
  }

  /** Under the node, on a ground of the page's colour, so that it can be read over edges. */
  #drawLabel(
    context: CanvasRenderingContext2D,
    data: PartialButFor<NodeDisplayData, 'x' | 'y' | 'size' | 'label' | 'color'>,
    strong: boolean,
  ): void {
    if (!data.label) return;
    context.font = `600 12.5px ${getComputedStyle(document.body).fontFamily}`;
    const text = data.label.length > 34 ? `${data.label.slice(0, 33)}…` : data.label;
    const width = context.measureText(text).width;
    const [x, y] = [data.x - width / 2, data.y + data.size + 15];
    context.globalAlpha = strong ? 1 : 0.82;
    context.fillStyle = this.#colors.surface;
    context.beginPath();
    context.roundRect(x - 5, y - 12, width + 10, 17, 4);
    context.fill();
    context.globalAlpha = 1;
    if (strong) {
      context.strokeStyle = this.#colors.line;
      context.lineWidth = 1;
      context.stroke();
      context.beginPath();
      context.arc(data.x, data.y, data.size + 3, 0, 2 * Math.PI);
      context.strokeStyle = this.#colors.text;
      context.lineWidth = 1.5;
      context.stroke();
    }
    context.fillStyle = this.#colors.text;
    context.fillText(text, x, y);
  }

  /** Traffic of a node with itself is a ring around it, in the pattern of its verdict; the chosen node has another. */
  #drawRings(): void {
    const [context, sigma] = [this.#rings, this.#sigma];
    if (context === undefined || sigma === undefined) return;
    const { width, height } = sigma.getDimensions();
    const scale = devicePixelRatio;
    const { canvas } = context;
    // Setting its size clears a canvas: only when it changes.
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    for (const { source, verdict } of this.#loops)
      this.#drawRing(context, source, this.#colors.verdicts[verdict], verdict, 4);
    if (this.#emphasis.node !== '') this.#drawRing(context, this.#emphasis.node, this.#colors.text, 'allowed', 8);
  }

  #drawRing(context: CanvasRenderingContext2D, key: string, color: string, verdict: VerdictName, gap: number): void {
    const shown = this.#sigma?.getNodeDisplayData(key);
    const at = this.placeOf(key);
    if (shown === undefined || at === undefined || shown.hidden) return;
    const size = this.#sigma?.scaleSize(shown.size) ?? shown.size;
    context.beginPath();
    context.arc(at.x, at.y, size + gap, 0, 2 * Math.PI);
    context.globalAlpha = this.#near.size > 0 && !this.#near.has(key) ? 0.2 : 1;
    context.setLineDash(verdict === 'would' ? [6, 4] : verdict === 'blocked' ? [2, 3] : []);
    context.strokeStyle = color;
    context.lineWidth = 2.2;
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  #reduceNode(key: string, data: NodeDisplayData): Partial<NodeDisplayData> {
    const { found, node } = this.#emphasis;
    const dim = (this.#near.size > 0 && !this.#near.has(key)) || (found !== undefined && !found.has(key));
    if (dim) return { ...data, color: this.#colors.faint, label: null, zIndex: 0 };
    const force =
      key === node ||
      key === this.#hovered ||
      (found?.has(key) ?? false) ||
      (this.#near.has(key) && this.#near.size < 30);
    return { ...data, zIndex: 1, forceLabel: force };
  }

  #reduceEdge(key: string, data: StrandAttributes) {
    const { node, edge, found } = this.#emphasis;
    if (edge === data.edge) return { ...data, zIndex: 9 };
    const [source, target] = this.#graph.extremities(key);
    const near = node !== '' && (source === node || target === node);
    const faded = (this.#near.size > 0 && !near) || (found !== undefined && !found.has(source) && !found.has(target));
    return faded ? { ...data, color: mixed(data.color, this.#colors.surface), zIndex: -1 } : data;
  }

  #nodeColor(node: MapNode, clusters: readonly string[]): string {
    if (node.kind === 'outside') return this.#colors.line;
    const hue = HUES[clusters.indexOf(node.cluster) % HUES.length] ?? this.#colors.node;
    return node.cluster === '' ? this.#colors.node : hue;
  }
}

function nodeSize({ kind }: MapNode, bytes: number, many: boolean, scattered: boolean): number {
  const grown = Math.log10(1 + bytes);
  if (many) return 2.5 + grown * 0.45;
  if (scattered && kind !== 'group') return 4 + grown * 0.7;
  return kind === 'group' ? 8 + grown * 1.5 : 7 + grown;
}

function edgeSize(bytes: number, most: number, edges: number): number {
  const share = Math.log10(1 + bytes) / Math.log10(1 + most);
  if (edges > 1500) return 0.4 + 0.8 * share ** 2;
  return edges > 150 ? 0.7 + 1.8 * share ** 2 : 1.2 + 5 * share ** 2;
}

/** How far a wheel was turned, away from one: negative. */
function wheelOf({ original }: { readonly original: MouseEvent | TouchEvent }): number {
  return original instanceof WheelEvent ? original.deltaY : 0;
}

/** A colour, hardly there on a ground. Opaque: the graphics card adds what shines through. */
function mixed(color: string, ground: string): string {
  const at = (text: string, index: number) => Number.parseInt(text.slice(1 + 2 * index, 3 + 2 * index), 16);
  const parts = [0, 1, 2].map((index) => Math.round(at(color, index) * FADED + at(ground, index) * (1 - FADED)));
  return `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}

/** What an edge carries by verdict: each is a line of its own, so that some blocked beside many allowed are seen as that. */
function strandsOf({ services }: MapEdge): { readonly verdict: VerdictName; readonly bytes: number }[] {
  const strands = new Map<VerdictName, number>();
  for (const { verdict, sums } of services) strands.set(verdict, (strands.get(verdict) ?? 0) + bytesOf(sums));
  return [...strands].map(([verdict, bytes]) => ({ verdict, bytes })).sort((a, b) => RANK[a.verdict] - RANK[b.verdict]);
}

function readColors(): Colors {
  const verdicts = { allowed: 'allowed', would: 'would', blocked: 'blocked', unknown: 'unknown' } as const;
  return {
    text: themeColor('text'),
    surface: themeColor('surface'),
    line: themeColor('line-strong'),
    node: themeColor('accent'),
    faint: themeColor('line'),
    verdicts: Object.fromEntries(Object.keys(verdicts).map((name) => [name, themeColor(name)])) as Colors['verdicts'],
  };
}
