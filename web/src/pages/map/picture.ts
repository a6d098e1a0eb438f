// The drawing of a map: sigma with our edges. Knows nothing of the page: it is given a map, a choice and words to search for, and says
// what was pointed at.
import { MultiDirectedGraph } from 'graphology';
import Sigma from 'sigma';
import type { NodeDisplayData } from 'sigma/types';
import { buildGraph, type DrawnGraph, type NodeAttributes, type StrandAttributes } from './build-graph.js';
import { type Colors, faded, readColors } from './colors.js';
import { PatternedEdgeProgram } from './edge-program.js';
import { layOut, type Point, scaleOf } from './layout.js';
import { EMPTY_MAP, type MapData, type MapEdge } from './model.js';
import { clear, drawLabel, drawRings, drawTitles, type LabelData, type NodePlace, pageFont } from './overlay.js';

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

/** From so many nodes on islands have names, and their members only when one looks nearer. */
const ISLANDS_MIN = 80;
/** So few nodes all have their names. */
const ALL_NAMED = 30;
/** More edges cannot be told apart by pointing, and drawing them a second time to find the one under the pointer takes as long again. */
const POINTABLE_EDGES_MAX = 1500;
/** Nearer than this one reads names of members. */
const NEAR_RATIO = 0.45;
/** So near, turning the wheel on opens the node under it; so far, it leaves. */
const OPEN_RATIO = 0.3;
const LEAVE_RATIO = 2.9;
/** Edges are drawn beside the line between their ends, about so far. */
const ASIDE = 3.5;

export class Picture {
  readonly #container: HTMLElement;
  readonly #events: PictureEvents;
  #graph: DrawnGraph = new MultiDirectedGraph();
  #sigma: Sigma<NodeAttributes, StrandAttributes> | undefined;
  #rings: CanvasRenderingContext2D | null = null;
  #titles: CanvasRenderingContext2D | null = null;
  #positions = new Map<string, Point>();
  #data = EMPTY_MAP;
  #edges: ReadonlyMap<string, MapEdge> = new Map();
  #loops: readonly MapEdge[] = [];
  #islands: ReadonlyMap<string, readonly string[]> = new Map();
  #emphasis: Emphasis = { node: '', edge: '', found: undefined };
  #near: ReadonlySet<string> = new Set();
  #hovered = '';
  #colors: Colors = readColors();
  /** Stays as it was first, so that nothing moves when the details open. */
  #stretch: number | undefined;
  readonly #resizing = new ResizeObserver(() => {
    if (!this.#isLaidOut()) return;
    if (this.#sigma === undefined) this.show(this.#data);
    this.#sigma?.resize();
    this.#sigma?.refresh({ skipIndexation: true });
  });

  constructor(container: HTMLElement, events: PictureEvents) {
    this.#container = container;
    this.#events = events;
    this.#resizing.observe(container);
  }

  /** Throws when the browser has no WebGL. */
  show(data: MapData): void {
    this.#data = data;
    this.#positions = layOut(data, this.#positions);
    this.#edges = new Map(data.edges.map((edge) => [edge.key, edge]));
    this.#loops = data.edges.filter(({ source, target }) => source === target);
    const scattered = data.nodes.length >= ISLANDS_MIN && !data.nodes.some(({ inside }) => inside);
    const members = Map.groupBy(
      scattered ? data.nodes.filter(({ cluster }) => cluster !== '') : [],
      ({ cluster }) => cluster,
    );
    this.#islands = new Map([...members].map(([cluster, nodes]) => [cluster, nodes.map(({ key }) => key)]));
    const { clientWidth, clientHeight } = this.#container;
    const placeOf = (key: string) => this.#stretched(this.#positions.get(key) ?? { x: 0, y: 0 });
    this.#graph = buildGraph(data, placeOf, this.#colors, scaleOf(clientWidth, clientHeight));
    if (!this.#isLaidOut()) return;
    const pointable = data.edges.length <= POINTABLE_EDGES_MAX;
    if (this.#sigma?.getSetting('enableEdgeEvents') !== pointable) this.#start(pointable);
    else this.#sigma.setGraph(this.#graph);
    this.emphasize(this.#emphasis);
  }

  emphasize(emphasis: Emphasis): void {
    this.#emphasis = emphasis;
    const { node, edge } = emphasis;
    const { source, target } = this.#edges.get(edge) ?? {};
    if (node !== '' && this.#graph.hasNode(node)) this.#near = new Set([node, ...this.#graph.neighbors(node)]);
    else if (source !== undefined && target !== undefined) this.#near = new Set([source, target]);
    else this.#near = new Set();
    if (this.#isLaidOut()) this.#sigma?.refresh({ skipIndexation: true });
  }

  /** The theme has changed. */
  recolor(): void {
    this.#colors = readColors();
    this.#sigma?.setSettings({ labelColor: { color: this.#colors.text } });
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
    if (this.#graph.hasNode(key)) return this.#placeOfNode(key);
    const { source = '', target = '' } = this.#edges.get(key) ?? {};
    const [a, b] = [this.#placeOfNode(source), this.#placeOfNode(target)];
    if (a === undefined || b === undefined) return undefined;
    // To the right of the way.
    const aside = ASIDE / (Math.hypot(b.x - a.x, b.y - a.y) || 1);
    return { x: (a.x + b.x) / 2 - (b.y - a.y) * aside, y: (a.y + b.y) / 2 + (b.x - a.x) * aside };
  }

  /** The node that lies in a direction from one, or any when there is none; for the arrow keys. */
  neighbourOf(key: string, dx: number, dy: number): string | undefined {
    const from = this.placeOf(key);
    let best: { key: string; cost: number } | undefined;
    for (const other of this.#graph.nodes()) {
      const at = this.#placeOfNode(other);
      if (other === key || at === undefined) continue;
      const [ox, oy] = [at.x - (from?.x ?? 0), at.y - (from?.y ?? 0)];
      if (from !== undefined && ox * dx + oy * dy <= 0) continue;
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

  /** sigma decides once whether edges can be pointed at. */
  #start(pointable: boolean): void {
    this.#sigma?.kill();
    const sigma = new Sigma<NodeAttributes, StrandAttributes>(this.#graph, this.#container, {
      labelFont: pageFont(),
      labelColor: { color: this.#colors.text },
      defaultDrawNodeLabel: (context, data) => drawLabel(context, data as LabelData, this.#colors, false),
      defaultDrawNodeHover: (context, data) => drawLabel(context, data as LabelData, this.#colors, true),
      enableEdgeEvents: pointable,
      defaultEdgeType: 'patterned',
      edgeProgramClasses: { patterned: PatternedEdgeProgram as never },
      labelDensity: 0.9,
      labelGridCellSize: 110,
      labelRenderedSizeThreshold: 3.5,
      stagePadding: 48,
      zIndex: true,
      minCameraRatio: 0.02,
      maxCameraRatio: 3,
      doubleClickZoomingRatio: 1,
      nodeReducer: (key, attributes) => this.#reduceNode(key, attributes),
      edgeReducer: (key, attributes) => this.#reduceEdge(key, attributes),
    });
    this.#sigma = sigma;
    this.#rings = sigma.createCanvas('rings', { afterLayer: 'edges' }).getContext('2d');
    this.#titles = sigma.createCanvas('titles', { afterLayer: 'labels' }).getContext('2d');
    sigma.resize(true);
    sigma.on('afterRender', () => this.#drawAround());
    sigma.on('clickNode', ({ node }) => this.#events.onNode(node));
    sigma.on('clickEdge', ({ edge }) => this.#events.onEdge(this.#graph.getEdgeAttribute(edge, 'edge')));
    sigma.on('clickStage', () => this.#events.onNothing());
    sigma.on('doubleClickNode', (event) => {
      event.preventSigmaDefault();
      this.#events.onOpen(event.node);
    });
    sigma.on('enterNode', ({ node }) => this.#hover(node, true));
    sigma.on('leaveNode', () => this.#hover('', false));
    sigma.on('enterEdge', () => this.#hover('', true));
    sigma.on('leaveEdge', () => this.#hover('', false));
    sigma.on('wheelStage', ({ event }) => {
      if (wheelOf(event) > 0 && sigma.getCamera().ratio >= LEAVE_RATIO) this.#events.onLeave();
    });
    sigma.on('wheelNode', (event) => {
      if (wheelOf(event.event) >= 0 || sigma.getCamera().ratio >= OPEN_RATIO) return;
      event.preventSigmaDefault();
      this.fit();
      this.#events.onOpen(event.node);
    });
  }

  #hover(node: string, something: boolean): void {
    this.#hovered = node;
    this.#container.classList.toggle('pointing', something);
  }

  #drawAround(): void {
    const sigma = this.#sigma as unknown as Sigma | undefined;
    if (sigma === undefined || this.#rings === null || this.#titles === null) return;
    const placeOf: NodePlace = (key) => {
      const shown = sigma.getNodeDisplayData(key);
      const at = this.#placeOfNode(key);
      return shown === undefined || at === undefined ? undefined : { ...at, radius: sigma.scaleSize(shown.size) };
    };
    clear(this.#rings, sigma);
    drawRings(
      this.#rings,
      { loops: this.#loops, chosen: this.#emphasis.node, near: this.#near, found: this.#emphasis.found },
      placeOf,
      this.#colors,
    );
    clear(this.#titles, sigma);
    if (!this.#isNear()) drawTitles(this.#titles, this.#islands, placeOf, this.#colors);
  }

  #reduceNode(key: string, data: NodeAttributes): Partial<NodeDisplayData> {
    const { found, node } = this.#emphasis;
    const dim = (this.#near.size > 0 && !this.#near.has(key)) || (found !== undefined && !found.has(key));
    if (dim) return { ...data, color: this.#colors.faint, label: null, zIndex: 0 };
    const near = this.#near.size < 30 && this.#near.has(key);
    const few = this.#data.nodes.length <= ALL_NAMED;
    const forceLabel = few || near || key === node || key === this.#hovered || (found !== undefined && found.size < 30);
    const named = forceLabel || this.#islands.size === 0 || this.#isNear();
    return { ...data, zIndex: 1, forceLabel, label: named ? data.label : null };
  }

  #reduceEdge(key: string, data: StrandAttributes): Partial<StrandAttributes> {
    const { node, edge, found } = this.#emphasis;
    if (edge === data.edge) return { ...data, zIndex: 9 };
    const [source, target] = this.#graph.extremities(key);
    const away = this.#near.size > 0 && source !== node && target !== node;
    const missed = found !== undefined && !found.has(source) && !found.has(target);
    return away || missed ? { ...data, color: faded(data.color, this.#colors.surface), zIndex: -1 } : data;
  }

  #placeOfNode(key: string): Point | undefined {
    if (this.#sigma === undefined || !this.#graph.hasNode(key)) return undefined;
    const { x, y } = this.#graph.getNodeAttributes(key);
    return this.#sigma.graphToViewport({ x, y });
  }

  #isNear(): boolean {
    return (this.#sigma?.getCamera().ratio ?? 1) < NEAR_RATIO;
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
}

/** How far a wheel was turned, away from one: negative. */
function wheelOf({ original }: { readonly original: MouseEvent | TouchEvent }): number {
  return original instanceof WheelEvent ? original.deltaY : 0;
}
