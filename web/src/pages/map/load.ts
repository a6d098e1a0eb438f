// From a view to what is asked of the controller, and from the answers to a map.
import { Flows } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { LabelRequirement_Operator } from '../../gen/ringfence/v1/admin_common_pb.js';
import type { FlowGraph, FlowTimeline } from '../../gen/ringfence/v1/admin_flows_pb.js';
import { Direction, Verdict } from '../../gen/ringfence/v1/common_pb.js';
import type { EndInit, FilterInit } from './filter-text.js';
import {
  EMPTY_MAP,
  foldGraph,
  joinMaps,
  type Labels,
  type MapData,
  type MapNode,
  type Service,
  withBefore,
} from './model.js';
import { groupKeyOf, labelsOfKey, type MapView, OUTSIDE, spanOf, timesOf, titleOf } from './view.js';

/** Edges of one answer: more than this cannot be told apart, and cannot be drawn while one waits. */
const EDGES_MAX = 3000;
const STEPS = 96;
const VERDICTS = { allowed: Verdict.ALLOWED, would: Verdict.WOULD_BLOCK, blocked: Verdict.BLOCKED };

/** The map of a view. In the draft view both the draft and the policy in force judge what was recorded, so that they can be compared. */
export async function loadMap(view: MapView, nowMs: number, signal: AbortSignal): Promise<MapData> {
  if (!view.draft) return loadJudged(view, nowMs, undefined, signal);
  // Up to the same moment, or what comes between the questions would look like a change.
  const asked = { ...view, range: timesOf(view, nowMs) };
  const all = { ...asked, verdicts: [] };
  const draft = { asEnforced: view.enforced };
  const [shown, whole, now] = await Promise.all([
    loadJudged(asked, nowMs, draft, signal),
    view.verdicts.length === 0 ? undefined : loadJudged(all, nowMs, draft, signal),
    loadJudged(all, nowMs, { policy: {}, ...draft }, signal),
  ]);
  return withBefore(shown, now, whole);
}

/** `judge`: as FlowGraphRequest.judge; undefined: verdicts as they were. */
async function loadJudged(
  view: MapView,
  nowMs: number,
  judge: { readonly policy?: object; readonly asEnforced: boolean } | undefined,
  signal: AbortSignal,
): Promise<MapData> {
  const ask = (filter: FilterInit, groupBy: readonly string[]): Promise<FlowGraph> =>
    call(
      Flows.method.graph,
      { filter, groupBy: [...groupBy], limit: EDGES_MAX, ...(judge === undefined ? {} : { judge }) },
      signal,
    );
  const filter = filterOf(view, nowMs);
  switch (view.level) {
    case 'groups':
      return foldGraph(await ask(filter, view.by), (labels) => groupNode(labels, view.by, false));
    case 'all':
      return foldGraph(await ask(filter, [...view.by, 'workload']), (labels) => memberNode(labels, view.by, false));
    case 'members': {
      const focused = { ...filter, either: both(filter.either, endOfGroup(view.group, view.by)) };
      return foldGraph(await ask(focused, [...view.by, 'workload']), (labels) =>
        groupKeyOf(labels, view.by) === view.group
          ? memberNode(labels, view.by, true)
          : groupNode(labels, view.by, false),
      );
    }
    case 'processes': {
      // One direction each: the end that reports is the workload itself, and only it knows its process.
      const own: EndInit = { workloads: [view.workload] };
      const groupBy = [...view.by, 'workload', 'process'];
      const place = (labels: Labels) => processNode(labels, view.by, view.workload);
      const either = async (end: 'source' | 'destination', itself: Direction, other: Direction) => {
        const focused = { ...filter, [end]: both(filter[end], own) };
        const seen = foldGraph(await ask({ ...focused, directions: [itself] }, groupBy), place);
        // What the other end refused never met a process here; an end that reports nothing is known by the others alone.
        const verdicts = seen.edges.length === 0 ? filter.verdicts : refusedOnly(filter.verdicts);
        if (verdicts === undefined) return seen;
        return joinMaps(seen, foldGraph(await ask({ ...focused, directions: [other], verdicts }, groupBy), place));
      };
      const maps = await Promise.all([
        either('source', Direction.OUTBOUND, Direction.INBOUND),
        either('destination', Direction.INBOUND, Direction.OUTBOUND),
      ]);
      return maps.reduce(joinMaps, EMPTY_MAP);
    }
  }
}

/** Of the verdicts that are looked at, the refusals; undefined when there is none among them. */
function refusedOnly(verdicts: readonly Verdict[] | undefined): Verdict[] | undefined {
  return !verdicts?.length || verdicts.includes(Verdict.BLOCKED) ? [Verdict.BLOCKED] : undefined;
}

/** How much of what happened when, over a window that holds the view's time. */
export function loadTimeline(view: MapView, nowMs: number, signal: AbortSignal): Promise<FlowTimeline> {
  const { fromMs, toMs } = spanOf(view, nowMs);
  const focus = focusOf(view);
  const filter = { ...filterOf(view, nowMs), ...(focus && { either: both(view.filter.filter.either, focus) }) };
  return call(
    Flows.method.timeline,
    {
      filter: {
        ...filter,
        verdicts: [],
        sinceUs: BigInt(Math.floor(fromMs)) * 1000n,
        untilUs: BigInt(Math.ceil(toMs)) * 1000n,
      },
      steps: STEPS,
    },
    signal,
  );
}

/** What the view's records must be like, without its focus. */
export function filterOf(view: MapView, nowMs: number): FilterInit {
  const { fromMs, toMs } = timesOf(view, nowMs);
  return {
    ...view.filter.filter,
    verdicts: view.verdicts.map((name) => VERDICTS[name]),
    sinceUs: BigInt(Math.floor(fromMs)) * 1000n,
    // Up to now means: whatever comes.
    untilUs: view.range === undefined ? 0n : BigInt(Math.ceil(toMs)) * 1000n,
  };
}

/** The end that is looked at; undefined: none in particular. */
export function focusOf(view: MapView): EndInit | undefined {
  if (view.workload !== '') return { workloads: [view.workload] };
  return view.group === '' ? undefined : endOfGroup(view.group, view.by);
}

/** Ends of one node, as a filter. */
export function endOfNode(node: MapNode, by: readonly string[]): EndInit {
  const workload = node.labels.find(({ dimension }) => dimension === 'workload');
  if (workload !== undefined) return { workloads: [workload.value] };
  return endOfGroup(node.key, by);
}

function endOfGroup(key: string, by: readonly string[]): EndInit {
  const labels = labelsOfKey(key);
  const requirements = by
    .filter((dimension) => dimension !== 'host')
    .map((dimension) => {
      const value = labels.find((label) => label.dimension === dimension)?.value;
      return value === undefined
        ? { dimension, operator: LabelRequirement_Operator.NOT_EXISTS, values: [] }
        : { dimension, operator: LabelRequirement_Operator.IN, values: [value] };
    });
  const host = labels.find(({ dimension }) => dimension === 'host')?.value;
  return { selector: { requirements }, hosts: host === undefined ? [] : [host] };
}

/** The view's records between two nodes; what is typed of an end holds too. A draft judges anew: verdicts of the past choose nothing. */
export function recordsBetween(source: MapNode, target: MapNode, view: MapView, nowMs: number): FilterInit {
  const filter = filterOf(view.draft ? { ...view, verdicts: [] } : view, nowMs);
  return {
    ...filter,
    source: both(filter.source, endOfNode(source, view.by)),
    destination: both(filter.destination, endOfNode(target, view.by)),
  };
}

/** The services of one edge with what decided them: an answer about many edges leaves that out. */
export async function loadServices(
  source: MapNode,
  target: MapNode,
  view: MapView,
  nowMs: number,
  signal: AbortSignal,
): Promise<readonly Service[]> {
  const filter = recordsBetween(source, target, view, nowMs);
  const judge = view.draft ? { judge: { asEnforced: view.enforced } } : {};
  const graph = await call(Flows.method.graph, { filter, groupBy: [], ...judge }, signal);
  return foldGraph(graph, () => source).edges.flatMap(({ services }) => services);
}

/** The view's records as they come, whenever they began. */
export function recordsToFollow(view: MapView): FilterInit {
  const filter = filterOf(view.draft ? { ...view, verdicts: [] } : view, 0);
  const focus = focusOf(view);
  return { ...filter, sinceUs: 0n, untilUs: 0n, ...(focus && { either: both(filter.either, focus) }) };
}

/** What both say; requirements add up, lists of one of them count. */
function both(a: EndInit | undefined, b: EndInit): EndInit {
  if (a === undefined) return b;
  const requirements = [...(a.selector?.requirements ?? []), ...(b.selector?.requirements ?? [])];
  const pick = <T>(x: T[] | undefined, y: T[] | undefined) => (y === undefined || y.length === 0 ? x : y) ?? [];
  return {
    selector: { requirements },
    workloads: pick(a.workloads, b.workloads),
    addresses: pick(a.addresses, b.addresses),
    hosts: pick(a.hosts, b.hosts),
  };
}

function groupNode(labels: Labels, by: readonly string[], inside: boolean): MapNode {
  const key = groupKeyOf(labels, by);
  const own = labelsOfKey(key);
  const title = key === OUTSIDE ? `without ${by.join(' or ')}` : titleOf(own);
  return { key, kind: key === OUTSIDE ? 'outside' : 'group', title, labels: own, cluster: '', inside };
}

function memberNode(labels: Labels, by: readonly string[], inside: boolean): MapNode {
  const id = labels.find(({ dimension }) => dimension === 'workload')?.value;
  const group = groupNode(labels, by, inside);
  if (id === undefined) return { ...group, cluster: group.key };
  return { key: `workload=${id}`, kind: 'workload', title: workloadTitle(id), labels, cluster: group.key, inside };
}

function processNode(labels: Labels, by: readonly string[], workload: string): MapNode {
  const id = labels.find(({ dimension }) => dimension === 'workload')?.value;
  if (id !== workload) return groupNode(labels, by, false);
  const process = labels.find(({ dimension }) => dimension === 'process')?.value ?? '';
  const title = process === '' ? 'no process known' : process;
  return { key: `process=${process}`, kind: 'process', title, labels, cluster: '', inside: true };
}

/** The last part of an id: "host-1/container:web" → "web". */
export function workloadTitle(id: string): string {
  const tail = id.slice(id.lastIndexOf('/') + 1);
  return tail.slice(tail.indexOf(':') + 1) || id;
}
