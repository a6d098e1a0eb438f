// What of the map is looked at: everything that stands in the page's address.
import { type FilterText, readFilterText } from './filter-text.js';

/** How near one looks: groups, the workloads of one group, the processes of one workload, or every workload at once. */
export type Level = 'groups' | 'members' | 'processes' | 'all';

export interface MapView {
  readonly level: Level;
  /** Dimensions that ends are grouped by. */
  readonly by: readonly string[];
  /** Key of the group in focus; empty: none. */
  readonly group: string;
  /** Id of the workload in focus; empty: none. */
  readonly workload: string;
  readonly text: string;
  readonly filter: FilterText;
  /** Verdicts shown; empty: all. */
  readonly verdicts: readonly ('allowed' | 'would' | 'blocked')[];
  /** Name of the window that ends now: one of WINDOWS. */
  readonly window: string;
  /** A time chosen on the timeline, Unix milliseconds; undefined: the window up to now. */
  readonly range: { readonly fromMs: number; readonly toMs: number } | undefined;
  readonly live: boolean;
  readonly draft: boolean;
  /** The draft as if every workload were enforced. */
  readonly enforced: boolean;
  readonly table: boolean;
  /** "n:<node>" or "e:<edge>"; empty: nothing. */
  readonly chosen: string;
}

export const WINDOWS: Readonly<Record<string, { readonly text: string; readonly ms: number }>> = {
  '15m': { text: '15 min', ms: 900_000 },
  '1h': { text: '1 hour', ms: 3_600_000 },
  '24h': { text: '24 hours', ms: 86_400_000 },
  '7d': { text: '7 days', ms: 604_800_000 },
  '30d': { text: '30 days', ms: 2_592_000_000 },
};

const WINDOW_DEFAULT = '1h';
const BY_DEFAULT = 'app';

/** Dimension that a map is grouped by unless one says otherwise: applications, where workloads have such labels. */
export function usualDimension(used: readonly string[]): string {
  return [BY_DEFAULT, 'role'].find((name) => used.includes(name)) ?? used[0] ?? BY_DEFAULT;
}

export function readView(query: URLSearchParams, by = BY_DEFAULT): MapView {
  const text = (name: string) => query.get(name) ?? '';
  const [group, workload] = [text('in'), text('wl')];
  const [from, to] = [Number(text('from')), Number(text('to'))];
  const verdicts = text('v')
    .split(',')
    .filter((v) => v === 'allowed' || v === 'would' || v === 'blocked');
  const level: Level =
    workload !== '' ? 'processes' : group !== '' ? 'members' : text('all') === '1' ? 'all' : 'groups';
  return {
    level,
    by: (text('by') || by).split(',').filter((dimension) => dimension !== ''),
    group,
    workload,
    text: text('q'),
    filter: readFilterText(text('q')),
    verdicts,
    window: text('t') in WINDOWS ? text('t') : WINDOW_DEFAULT,
    range: from > 0 && to > from ? { fromMs: from, toMs: to } : undefined,
    live: text('live') === '1',
    draft: text('view') === 'draft',
    enforced: text('enforced') === '1',
    table: text('as') === 'table',
    chosen: text('sel'),
  };
}

/** The time that is looked at, Unix milliseconds. */
export function timesOf(view: MapView, nowMs: number): { readonly fromMs: number; readonly toMs: number } {
  return view.range ?? { fromMs: nowMs - (WINDOWS[view.window]?.ms ?? 0), toMs: nowMs };
}

/** A time chosen up to so many windows ago is shown in the window up to now. */
const NEAR = 1.5;

/** The chosen time lies in the window up to now, or not far before it. */
export function isNearNow({ range, window }: MapView, nowMs: number): boolean {
  return range === undefined || range.fromMs >= nowMs - NEAR * (WINDOWS[window]?.ms ?? 0);
}

/** What a timeline spans, Unix milliseconds: the window up to now; one as long around the chosen time when that lies before it. Holds the chosen time. */
export function spanOf(view: MapView, nowMs: number): { readonly fromMs: number; readonly toMs: number } {
  const { range } = view;
  const length = WINDOWS[view.window]?.ms ?? 0;
  if (range === undefined) return { fromMs: nowMs - length, toMs: nowMs };
  const chosen = range.toMs - range.fromMs;
  const around = Math.max(0, Math.max(length, 1.25 * chosen) - chosen) / 2;
  const end = Math.max(nowMs, range.toMs);
  const toMs = isNearNow(view, nowMs) ? end : Math.min(end, range.toMs + around);
  return { fromMs: Math.min(toMs - length, range.fromMs - (isNearNow(view, nowMs) ? 0 : around)), toMs };
}

/** Labels as they stand in a key: "app=shop,env=prod"; a comma inside a value stands as %2C, % as %25. */
export function groupKeyOf(
  labels: readonly { readonly dimension: string; readonly value: string }[],
  by: readonly string[],
): string {
  const parts = by.flatMap((dimension) => {
    const label = labels.find((each) => each.dimension === dimension);
    return label === undefined ? [] : [`${dimension}=${label.value.replaceAll('%', '%25').replaceAll(',', '%2C')}`];
  });
  return parts.length === 0 ? OUTSIDE : parts.join(',');
}

/** Key of the ends that have none of the labels. */
export const OUTSIDE = 'outside';

/** The labels that a key says. */
export function labelsOfKey(key: string): { dimension: string; value: string }[] {
  if (key === OUTSIDE) return [];
  return key.split(',').flatMap((part) => {
    const at = part.indexOf('=');
    const value = part
      .slice(at + 1)
      .replaceAll('%2C', ',')
      .replaceAll('%25', '%');
    return at <= 0 ? [] : [{ dimension: part.slice(0, at), value }];
  });
}

/** What a group is called; a value may be empty. */
export function titleOf(labels: readonly { readonly dimension: string; readonly value: string }[]): string {
  return labels.map(({ dimension, value }) => value || `${dimension}=`).join(' · ');
}
