// The flow map: who talks to whom, and what policy says of it.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Labels } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { type Resource, useResource } from '../../api/resource.js';
import { setQuery, usePlace } from '../../location.js';
import { Button } from '../../ui/controls.js';
import { count, plural, service, shortCount, time } from '../../ui/format.js';
import { ProvisionDialog } from '../../ui/provision.js';
import { Empty, Failure, Loading, Stale } from '../../ui/states.js';
import { VERDICT_WORDS, verdictName } from '../../ui/verdict.js';
import { MapCanvas } from './canvas.js';
import { Absent, type DetailsActions, EdgeDetails, endName, NodeDetails } from './details.js';
import { type Live, useLive } from './live.js';
import { loadMap, loadTimeline, workloadTitle } from './load.js';
import './map.css';
import { EMPTY_MAP, type Gap, type MapData, type MapEdge, type MapNode } from './model.js';
import type { Emphasis } from './picture.js';
import { RuleDialog } from './rule-dialog.js';
import { MapTable } from './table.js';
import { Timeline } from './timeline.js';
import { Toolbar } from './toolbar.js';
import { isNearNow, labelsOfKey, type MapView, readView, titleOf, usualDimension } from './view.js';

const REFRESH_MS = 15_000;

export function MapPage() {
  const dimensions = useResource('dimensions', async (signal) => {
    const { dimensions: all } = await call(Labels.method.listDimensions, {}, signal);
    return all.filter(({ used }) => used.length > 0).map(({ name }) => name);
  });
  if (dimensions.data === undefined && dimensions.error === undefined) return <Loading what="the map" />;
  return <GroupedMap used={dimensions.data ?? []} />;
}

function GroupedMap({ used }: { readonly used: readonly string[] }) {
  const { query } = usePlace();
  const text = query.toString();
  const view = useMemo(() => readView(new URLSearchParams(text), usualDimension(used)), [text, used]);
  // With its ends as they were when it was asked for: the map may be drawn anew without them meanwhile.
  const [ruleFor, setRuleFor] = useState<{ edge: MapEdge; source: MapNode; target: MapNode }>();
  const [provisioning, setProvisioning] = useState(false);
  // What is asked of the controller; choosing something asks nothing.
  const question = JSON.stringify({ ...view, chosen: '', table: false, live: false });
  const everyMs = view.range === undefined ? REFRESH_MS : 0;
  const answer = useResource(question, async (signal) => ({ question, map: await loadMap(view, Date.now(), signal) }), {
    everyMs,
  });
  const map = { ...answer, data: answer.data?.map };
  const timeKey = JSON.stringify({
    ...view,
    chosen: '',
    table: false,
    live: false,
    // Other times inside the span change nothing of it.
    range: isNearNow(view, Date.now()) ? 0 : view.range,
    draft: false,
    verdicts: 0,
  });
  const timeline = useResource(timeKey, (signal) => loadTimeline(view, Date.now(), signal), { everyMs: REFRESH_MS });
  const live = useLive(view, () => {
    map.refresh();
    timeline.refresh();
  });
  const data = useMemo(() => searched(map.data ?? EMPTY_MAP, view), [map.data, view.filter]);
  const emphasis = useEmphasis(view.chosen, data.found);
  useMark(map.data);
  const node = view.chosen.startsWith('n:') ? data.nodes.find(({ key }) => key === view.chosen.slice(2)) : undefined;
  const edge = view.chosen.startsWith('e:') ? data.edges.find(({ key }) => key === view.chosen.slice(2)) : undefined;
  // The answer to another question says nothing of what is chosen now.
  const absent = view.chosen !== '' && !node && !edge && answer.data?.question === question;
  const choose = (chosen: string) => setQuery({ sel: chosen }, true);
  const focus = useFocus();
  const open = (to: MapNode) => {
    const workload = to.labels.find(({ dimension }) => dimension === 'workload')?.value;
    if (to.kind === 'workload' && workload !== undefined) setQuery({ wl: workload, sel: '' });
    else if (to.kind === 'group') setQuery({ in: to.key, wl: '', all: '', sel: '' });
  };
  const writeRule = (about: MapEdge) => {
    const [source, target] = [about.source, about.target].map((key) => data.nodes.find((each) => each.key === key));
    if (source !== undefined && target !== undefined) setRuleFor({ edge: about, source, target });
  };
  const actions: DetailsActions = {
    onChoose: (chosen) => {
      focus.toDetails();
      choose(chosen);
    },
    onOpen: (to) => {
      focus.toMap();
      open(to);
    },
    onRule: writeRule,
    onClose: () => {
      focus.back();
      choose('');
    },
  };
  const events = {
    onNode: (key: string) => choose(`n:${key}`),
    onEdge: (key: string) => choose(`e:${key}`),
    onRow: (key: string) => {
      focus.toDetailsFrom(document.activeElement);
      choose(`e:${key}`);
    },
    onNothing: () => choose(''),
    onOpen: (key: string) => {
      const found = data.nodes.find((each) => each.key === key);
      if (found) open(found);
    },
    onLeave: () => leave(view),
  };
  return (
    <div class="map-page">
      <h1 class="visually-hidden">Flow map</h1>
      <Toolbar view={view} used={used} />
      <Trail view={view} data={data} map={map} onProvision={() => setProvisioning(true)} />
      {data.found?.size === 0 && data.nodes.length > 0 && <NothingFound view={view} />}
      {map.error && map.data !== undefined && <Stale error={map.error} retry={map.reload} />}
      {view.live && <LiveStrip live={live} />}
      <div class="map-body">
        <div class="map-main">
          <MapBody map={map} data={data} view={view} emphasis={emphasis} events={events} edge={edge} />
          {timeline.data && (
            <Timeline
              timeline={timeline.data}
              range={view.range}
              onRange={(range) =>
                setQuery(
                  {
                    from: range ? String(range.fromMs) : '',
                    to: range ? String(range.toMs) : '',
                    ...(range ? { live: '' } : {}),
                  },
                  true,
                )
              }
            />
          )}
        </div>
        {node && <NodeDetails key={node.key} node={node} data={data} view={view} actions={actions} />}
        {edge && <EdgeDetails key={edge.key} edge={edge} data={data} view={view} actions={actions} />}
        {absent && <Absent chosen={view.chosen} view={view} onClose={actions.onClose} />}
      </div>
      {ruleFor && (
        <RuleDialog
          {...ruleFor}
          view={view}
          onClose={() => setRuleFor(undefined)}
          onAdded={() => {
            setRuleFor(undefined);
            setQuery({ view: 'draft' });
            map.reload();
          }}
        />
      )}
      {provisioning && (
        <ProvisionDialog
          onClose={() => setProvisioning(false)}
          onDone={() => {
            setProvisioning(false);
            setQuery({ view: '', enforced: '' });
          }}
        />
      )}
    </div>
  );
}

interface Searched extends MapData {
  readonly found: ReadonlySet<string> | undefined;
}

/** Nodes whose name or labels hold every word. */
function searched(data: MapData, { filter: { words } }: MapView): Searched {
  if (words.length === 0) return { ...data, found: undefined };
  const hit = data.nodes.filter(({ key, title }) => {
    const text = `${title} ${key}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return { ...data, found: new Set(hit.map(({ key }) => key)) };
}

function useEmphasis(chosen: string, found: ReadonlySet<string> | undefined): Emphasis {
  return useMemo(() => {
    const [kind, key] = [chosen.slice(0, 2), chosen.slice(2)];
    return { node: kind === 'n:' ? key : '', edge: kind === 'e:' ? key : '', found };
  }, [chosen, found]);
}

/** Where the focus goes when what has it goes away: to the details that take its place, to the map, or back to what opened them. */
function useFocus() {
  const [turn, setTurn] = useState(0);
  const next = useRef<'details' | 'map' | 'back'>(undefined);
  const opener = useRef<Element | null>(null);
  useEffect(() => {
    const wanted = next.current;
    next.current = undefined;
    if (wanted === undefined) return;
    const heading = wanted === 'details' ? document.querySelector<HTMLElement>('.details h2') : null;
    const from = wanted === 'back' && opener.current?.isConnected ? (opener.current as HTMLElement) : null;
    const map = document.querySelector<HTMLElement>('.map-keys') ?? document.getElementById('main');
    (heading ?? from ?? map)?.focus();
  }, [turn]);
  const move = (to: 'details' | 'map' | 'back') => {
    next.current = to;
    setTurn((n) => n + 1);
  };
  return {
    toDetails: () => move('details'),
    toDetailsFrom: (from: Element | null) => {
      opener.current = from;
      move('details');
    },
    toMap: () => move('map'),
    back: () => move('back'),
  };
}

function NothingFound({ view }: { readonly view: MapView }) {
  return (
    <p class="notice warning" role="status">
      <span class="grow">
        No name here holds “{view.filter.words.join(' ')}”. Filters are written as <code>role=db</code>,{' '}
        <code>tcp/5432</code>, <code>process:nginx</code>.
      </span>
      <Button small onClick={() => setQuery({ q: '' })}>
        Clear
      </Button>
    </p>
  );
}

/** For whoever measures: when the first map was there. */
function useMark(data: MapData | undefined): void {
  const there = data !== undefined;
  useEffect(() => {
    if (there) requestAnimationFrame(() => performance.mark('ringfence-map-drawn'));
  }, [there]);
}

function MapBody(props: {
  readonly map: Resource<MapData>;
  readonly data: Searched;
  readonly view: MapView;
  readonly emphasis: Emphasis;
  readonly events: Parameters<typeof MapCanvas>[0]['events'] & { readonly onRow: (key: string) => void };
  readonly edge: MapEdge | undefined;
}) {
  const { map, data, view, emphasis, events, edge } = props;
  if (map.data === undefined) {
    if (map.error) return <Failure error={map.error} retry={map.reload} />;
    return (
      <div class="state" role="status">
        <p>Drawing the map …</p>
      </div>
    );
  }
  if (data.edges.length === 0) return <NoTraffic view={view} />;
  if (view.table) {
    return (
      <div class="map-table">
        <MapTable data={shownInTable(data)} chosen={edge?.key ?? ''} onChoose={events.onRow} />
      </div>
    );
  }
  return <MapCanvas data={data} emphasis={emphasis} events={events} />;
}

/** The table leaves out what the search does not find; the map dims it. */
function shownInTable(data: Searched): MapData {
  const { found } = data;
  if (found === undefined) return data;
  return { ...data, edges: data.edges.filter(({ source, target }) => found.has(source) || found.has(target)) };
}

function NoTraffic({ view }: { readonly view: MapView }) {
  const filtered = view.text !== '' || view.verdicts.length > 0;
  return (
    <Empty title={filtered ? 'Nothing matches these filters in this time' : 'No traffic in this time'}>
      {filtered ? (
        <>
          Take a filter away, or choose a longer time.{' '}
          <Button small onClick={() => setQuery({ q: '', v: '' })}>
            Clear filters
          </Button>
        </>
      ) : (
        <>
          Choose a longer time above. On a new installation: enrol a host with <code>ringfence host token create</code>{' '}
          and its connections appear here as they happen.
        </>
      )}
    </Empty>
  );
}

/** Where one is, and what is shown of how much. */
function Trail(props: {
  readonly view: MapView;
  readonly data: MapData;
  readonly map: Resource<MapData>;
  readonly onProvision: () => void;
}) {
  const { view, data, map, onProvision } = props;
  const changed = data.edges.filter(({ before }) => before !== undefined);
  const blocked = changed.filter(({ services }) => services.some((s) => s.before && s.verdict === 'blocked')).length;
  return (
    <div class="trail">
      <nav class="row" aria-label="Zoom">
        {view.level === 'groups' ? (
          <strong>{view.by.join(' · ')}</strong>
        ) : (
          <Button kind="link" onClick={() => setQuery({ in: '', wl: '', all: '', sel: '' })}>
            {view.by.join(' · ')}
          </Button>
        )}
        {view.level === 'all' && <strong>› every workload</strong>}
        {view.group !== '' &&
          (view.level === 'members' ? (
            <strong>› {groupTitle(view.group)}</strong>
          ) : (
            <>
              <span aria-hidden="true">›</span>
              <Button kind="link" onClick={() => setQuery({ wl: '', sel: '' })}>
                {groupTitle(view.group)}
              </Button>
            </>
          ))}
        {view.workload !== '' && <strong>› {workloadTitle(view.workload)} › processes</strong>}
      </nav>
      <span class="muted small" role="status">
        {map.data !== undefined
          ? `${plural(data.nodes.length, 'node')}, ${plural(data.edges.length, 'connection')}, ${shortCount(data.records)} records`
          : map.error === undefined && 'loading …'}
        {data.leftOut > 0 &&
          `; ${count(data.leftOut)} connections are left out, allowed ones with the least volume first`}
      </span>
      {data.gaps.length > 0 && <Missing gaps={data.gaps} />}
      <span class="grow" />
      {view.draft && (
        <>
          <span class={blocked > 0 ? 'mark blocked' : 'mark info'} role="status">
            {changed.length === 0
              ? 'The draft judges every connection as before'
              : `The draft changes ${plural(changed.length, 'connection')}; ${count(blocked)} would be blocked then`}
          </span>
          <Button small kind="primary" icon="policy" onClick={onProvision}>
            Provision draft
          </Button>
        </>
      )}
      {data.notes.map((note) => (
        <span key={note} class="muted small">
          {note}
        </span>
      ))}
    </div>
  );
}

/** What was lost on the way in the time that is shown. */
function Missing({ gaps }: { readonly gaps: readonly Gap[] }) {
  const total = gaps.reduce((sum, gap) => sum + gap.count, 0);
  return (
    <details class="missing">
      <summary class="mark warning">{plural(total, 'record')} missing in this time</summary>
      <ul>
        {gaps.map(({ hop, hostId, count: n }) => (
          <li key={`${hop} ${hostId}`}>
            {count(n)} lost: {hop} {hostId === '' ? 'of the controller' : `of ${hostId}`}
          </li>
        ))}
      </ul>
    </details>
  );
}

function LiveStrip({ live }: { readonly live: Live }) {
  const gaps = [...live.gaps].map(([where, n]) => `${count(n)} records are missing (${where})`);
  return (
    <section class="live" aria-label="Live records">
      <div class="row">
        <span class={`mark ${live.connected ? 'good' : 'warning'}`}>
          {live.connected ? 'live' : live.error || 'connecting …'}
        </span>
        <span class="muted">{count(live.records)} records</span>
        {gaps.map((text) => (
          <span key={text} class="mark warning">
            {text}
          </span>
        ))}
      </div>
      <ol class="live-lines">
        {live.lines.map((flow) => (
          <li key={String(flow.id)}>
            <span class="muted">{time(Number(flow.lastSeenUs) / 1000)}</span> {endName(flow.source)} →{' '}
            {endName(flow.destination)} <code>{service(flow.protocol, flow.servicePort)}</code>{' '}
            {VERDICT_WORDS[verdictName(flow.verdict)]}
          </li>
        ))}
      </ol>
    </section>
  );
}

function groupTitle(key: string): string {
  const labels = labelsOfKey(key);
  return labels.length === 0 ? 'without labels' : titleOf(labels);
}

function leave(view: MapView): void {
  if (view.workload !== '') setQuery({ wl: '', sel: '' });
  else if (view.group !== '' || view.level === 'all') setQuery({ in: '', all: '', sel: '' });
}
