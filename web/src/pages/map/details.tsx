// What is known of the chosen node or edge.
import type { ComponentChildren } from 'preact';
import { Flows, Workloads } from '../../api/admin.js';
import { call, follow } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { Flow, FlowEnd } from '../../gen/ringfence/v1/flows_pb.js';
import { Button } from '../../ui/controls.js';
import { address, ago, bytes, count, duration, service, time } from '../../ui/format.js';
import { Labels } from '../../ui/labels.js';
import { Loaded } from '../../ui/states.js';
import { modeWord, reasonWords, VERDICT_WORDS, VerdictMark, verdictName } from '../../ui/verdict.js';
import { endOfNode, loadServices, recordsBetween } from './load.js';
import { addSums, bytesOf, type MapData, type MapEdge, type MapNode, type Service, type Sums } from './model.js';
import { labelsOfKey, type MapView, titleOf } from './view.js';

const MEMBERS = 12;
const RECORDS = 20;
const RECORDS_EVERY_MS = 5000;

export interface DetailsActions {
  readonly onChoose: (chosen: string) => void;
  readonly onOpen: (node: MapNode) => void;
  readonly onRule: (edge: MapEdge) => void;
  readonly onClose: () => void;
}

export function NodeDetails({
  node,
  data,
  view,
  actions,
}: {
  node: MapNode;
  data: MapData;
  view: MapView;
  actions: DetailsActions;
}) {
  const provided = data.edges.filter(({ target }) => target === node.key);
  const used = data.edges.filter(({ source }) => source === node.key);
  const canOpen = node.kind === 'group' || node.kind === 'workload';
  return (
    <Panel title={node.title} kind={KINDS[node.kind]} onClose={actions.onClose}>
      <Labels labels={node.labels.filter(({ dimension }) => dimension !== 'workload')} />
      {canOpen && (
        <div class="row">
          <Button kind="primary" small icon="zoomIn" onClick={() => actions.onOpen(node)}>
            {node.kind === 'group' ? 'Open: workloads inside' : 'Open: its processes'}
          </Button>
        </div>
      )}
      {node.kind === 'workload' && (
        <WorkloadFacts id={node.labels.find((l) => l.dimension === 'workload')?.value ?? ''} />
      )}
      {node.kind === 'group' && <Members node={node} view={view} />}
      <Ends
        title="Services it provides"
        edges={provided}
        of={({ source }) => source}
        data={data}
        actions={actions}
        none="Nobody was seen to call it in this time."
      />
      <Ends
        title="Services it uses"
        edges={used}
        of={({ target }) => target}
        data={data}
        actions={actions}
        none="It was not seen to call anybody in this time."
      />
    </Panel>
  );
}

/** What stands in the address is not on the map. */
export function Absent({ chosen, view, onClose }: { chosen: string; view: MapView; onClose: () => void }) {
  const names = chosen
    .slice(2)
    .split(' > ')
    .map((key) => titleOf(labelsOfKey(key)) || key);
  const narrowed = view.text !== '' || view.verdicts.length > 0;
  return (
    <Panel title={names.join(' → ')} kind={chosen.startsWith('e:') ? 'Connections' : 'Node'} onClose={onClose}>
      <p>
        It is not on the map: no connection of it was recorded in this time{narrowed && ', under these filters'}. Choose
        a longer time
        {narrowed && ', take a filter away,'} or look from farther away.
      </p>
    </Panel>
  );
}

export function EdgeDetails({
  edge,
  data,
  view,
  actions,
}: {
  edge: MapEdge;
  data: MapData;
  view: MapView;
  actions: DetailsActions;
}) {
  const find = (key: string) => data.nodes.find((node) => node.key === key);
  const [source, target] = [find(edge.source), find(edge.target)];
  const decided = useDecided(edge, source, target, view);
  if (source === undefined || target === undefined) return null;
  const rules = deciders(decided);
  return (
    <Panel title={`${source.title} → ${target.title}`} kind="Connections" onClose={actions.onClose}>
      <div class="row">
        <VerdictMark verdict={edge.verdict} />
        {edge.before && (
          <span class="muted">
            {edge.before === edge.verdict
              ? 'the policy in force judges some of it otherwise'
              : `was ${VERDICT_WORDS[edge.before]} by the policy in force`}
          </span>
        )}
      </div>
      <div class="row">
        <Button kind="link" onClick={() => actions.onChoose(`n:${source.key}`)}>
          {source.title}
        </Button>
        <span aria-hidden="true">→</span>
        <Button kind="link" onClick={() => actions.onChoose(`n:${target.key}`)}>
          {target.title}
        </Button>
      </div>
      <div class="row">
        <Button kind="primary" small icon="policy" onClick={() => actions.onRule(edge)}>
          Write rule from this edge
        </Button>
      </div>
      <Statistics sums={edge.sums} />
      <section>
        <h3>Services</h3>
        <ul class="plain-list">
          {decided.map((each) => (
            <ServiceRow key={`${each.protocol}/${each.port} ${each.verdict}`} {...each} />
          ))}
        </ul>
      </section>
      {rules.size > 0 && (
        <section>
          <h3>Decided by</h3>
          <ul class="plain-list">
            {[...rules].map(([name, n]) => (
              <li key={name} class="row">
                <code class="grow">{name}</code>
                <span class="muted">{count(n)}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
      <Records source={source} target={target} view={view} />
    </Panel>
  );
}

/** Attempts by what decided them: the rule or, without one, the reason. Both ends may have decided the same ones: the fuller count. */
function deciders(services: readonly Service[]): Map<string, number> {
  const counts = new Map<string, Map<number, number>>();
  for (const { ruleId, reason, direction, count: n } of services.flatMap(({ decisions }) => decisions)) {
    const name = ruleId === '' ? reasonWords(reason) : ruleId;
    const byEnd = counts.get(name) ?? new Map<number, number>();
    counts.set(name, byEnd.set(direction, (byEnd.get(direction) ?? 0) + n));
  }
  return new Map([...counts].map(([name, byEnd]) => [name, Math.max(...byEnd.values())]));
}

/** The services of an edge with what decided them, also where the map's own answer was about too many edges to say so. */
function useDecided(
  edge: MapEdge,
  source: MapNode | undefined,
  target: MapNode | undefined,
  view: MapView,
): readonly Service[] {
  const needed =
    source !== undefined &&
    target !== undefined &&
    ![source.kind, target.kind].includes('process') &&
    edge.services.every(({ decisions }) => decisions.length === 0);
  const asked = [edge.key, view.text, view.verdicts, view.draft, view.enforced, view.range ?? view.window];
  const services = useResource(
    needed ? `decided ${JSON.stringify(asked)}` : '',
    async (signal) => (needed ? loadServices(source, target, view, Date.now(), signal) : []),
    { keep: false },
  );
  const known = new Map((services.data ?? []).map((each) => [serviceName(each), each.decisions]));
  return edge.services.map((each) => ({ ...each, decisions: known.get(serviceName(each)) ?? each.decisions }));
}

function serviceName({ protocol, port, verdict }: Service): string {
  return `${protocol}/${port} ${verdict}`;
}

const KINDS = {
  group: 'Group',
  workload: 'Workload',
  process: 'Process',
  outside: 'Ends without these labels',
} as const;

function Panel(props: { title: string; kind: string; onClose: () => void; children: ComponentChildren }) {
  return (
    <aside
      class="details"
      aria-label={`${props.kind} ${props.title}`}
      data-testid="details"
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || event.defaultPrevented || document.querySelector('dialog[open]') !== null) return;
        props.onClose();
      }}
    >
      <header>
        <div class="grow">
          <h3>{props.kind}</h3>
          <h2 tabIndex={-1}>{props.title}</h2>
        </div>
        <Button kind="plain" small icon="close" label="Close details" onClick={props.onClose} />
      </header>
      <div class="stack">{props.children}</div>
    </aside>
  );
}

function Statistics({ sums }: { readonly sums: Sums }) {
  const now = Date.now();
  return (
    <dl class="facts">
      <dt>Volume</dt>
      <dd>
        {bytes(sums.bytesForward)} there, {bytes(sums.bytesBack)} back
      </dd>
      <dt>Packets</dt>
      <dd>
        {count(sums.packetsForward)} there, {count(sums.packetsBack)} back
      </dd>
      <dt>Attempts</dt>
      <dd>
        {count(sums.count)} ({count(sums.connections)} ended or refused)
      </dd>
      <dt>Duration</dt>
      <dd>{duration(sums.durationUs)} all together</dd>
      <dt>First seen</dt>
      <dd>{time(sums.firstSeenUs / 1000)}</dd>
      <dt>Last seen</dt>
      <dd>
        {time(sums.lastSeenUs / 1000)} ({ago(sums.lastSeenUs / 1000, now)})
      </dd>
    </dl>
  );
}

function ServiceRow({ protocol, port, verdict, before, processes, sums, decisions }: Service) {
  return (
    <li>
      <div class="row">
        <code class="grow">{service(protocol, port)}</code>
        <VerdictMark verdict={verdict} />
        <span class="muted nowrap">
          {count(sums.count)} · {bytes(bytesOf(sums))}
        </span>
      </div>
      {before && (
        <p class="muted small">by the policy in force: {before.map((each) => VERDICT_WORDS[each]).join(' or ')}</p>
      )}
      {processes.length > 0 && <p class="muted small">by {processes.join(', ')}</p>}
      {decisions.slice(0, 3).map((decision) => (
        <p key={`${decision.direction} ${decision.reason} ${decision.rule}`} class="muted small">
          {decision.direction === 1 ? 'in' : 'out'}:{' '}
          {decision.ruleId === '' ? reasonWords(decision.reason) : `rule ${decision.ruleId}`}
        </p>
      ))}
    </li>
  );
}

function Ends(props: {
  readonly title: string;
  readonly edges: readonly MapEdge[];
  readonly of: (edge: MapEdge) => string;
  readonly data: MapData;
  readonly actions: DetailsActions;
  readonly none: string;
}) {
  const { title, edges, of, data, actions, none } = props;
  const names = new Map(data.nodes.map((node) => [node.key, node.title]));
  const sorted = [...edges].sort((a, b) => bytesOf(b.sums) - bytesOf(a.sums));
  const total = edges.length === 0 ? undefined : edges.map(({ sums }) => sums).reduce(addSums);
  return (
    <section>
      <h3>
        {title}
        {total && <span class="plain"> · {bytes(bytesOf(total))}</span>}
      </h3>
      {sorted.length === 0 && <p class="muted">{none}</p>}
      <ul class="plain-list">
        {sorted.slice(0, 40).map((edge) => (
          <li key={edge.key} class="row">
            <VerdictMark verdict={edge.verdict} />
            <span class="grow">
              <Button kind="link" onClick={() => actions.onChoose(`e:${edge.key}`)}>
                {of(edge) === (edge.source === of(edge) ? edge.target : edge.source)
                  ? 'itself'
                  : (names.get(of(edge)) ?? of(edge))}
              </Button>{' '}
              <span class="muted small">
                {[...new Set(edge.services.map(({ protocol, port }) => service(protocol, port)))]
                  .slice(0, 4)
                  .join(', ')}
              </span>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Members({ node, view }: { readonly node: MapNode; readonly view: MapView }) {
  const members = useResource(
    `members ${node.key}`,
    (signal) => {
      const { selector, hosts } = endOfNode(node, view.by);
      return call(
        Workloads.method.list,
        { filter: { ...(selector && { selector }), hosts: hosts ?? [] }, page: { limit: MEMBERS } },
        signal,
      );
    },
    { keep: false },
  );
  return (
    <section>
      <h3>Workloads</h3>
      <Loaded resource={members} what="workloads">
        {({ workloads, total }) => (
          <>
            <p>
              {total === 0 ? 'None today: these labels are of the past.' : workloads.map(({ name }) => name).join(', ')}
            </p>
            {total > workloads.length && <p class="muted">and {count(total - workloads.length)} more</p>}
          </>
        )}
      </Loaded>
    </section>
  );
}

function WorkloadFacts({ id }: { readonly id: string }) {
  const workload = useResource(`workload ${id}`, (signal) => call(Workloads.method.get, { workload: id }, signal), {
    keep: false,
  });
  return (
    <Loaded resource={workload} what="the workload">
      {(found) => (
        <dl class="facts">
          <dt>Id</dt>
          <dd class="mono">{found.id}</dd>
          <dt>Labels</dt>
          <dd>
            <Labels labels={found.labels} />
          </dd>
          <dt>Host</dt>
          <dd>{found.hostId === '' ? 'none: no agent' : found.hostId}</dd>
          <dt>Mode</dt>
          <dd>
            in {modeWord(found.expectedMode?.inbound)}, out {modeWord(found.expectedMode?.outbound)}
            {!found.inForce && found.hostId !== '' && <span class="mark warning"> not in force: {found.why}</span>}
          </dd>
          {found.isolatedWhy !== '' && (
            <>
              <dt>Isolated</dt>
              <dd>{found.isolatedWhy}</dd>
            </>
          )}
        </dl>
      )}
    </Loaded>
  );
}

/** Whom a record names at one end: its workload or, where none is known, the address that was seen. */
export function endName(end: FlowEnd | undefined): string {
  if (end?.workloadName) return end.workloadName;
  return end === undefined || end.ip.length === 0 ? 'unknown' : address(end.ip);
}

/** The newest records of an edge, and what is missing among them. */
function Records({ source, target, view }: { source: MapNode; target: MapNode; view: MapView }) {
  const records = useResource(
    JSON.stringify([source.key, target.key, view.text, view.verdicts, view.draft, view.range ?? view.window]),
    async (signal) => {
      const filter = recordsBetween(source, target, view, Date.now());
      const flows: Flow[] = [];
      let missing = 0;
      for await (const { body } of follow(Flows.method.query, { filter, limit: RECORDS }, signal)) {
        if (body.case === 'rows') flows.push(...body.value.flows);
        else if (body.case === 'gap') missing += Number(body.value.count);
      }
      return { flows: flows.reverse(), missing };
    },
    { keep: false, everyMs: view.range === undefined ? RECORDS_EVERY_MS : 0 },
  );
  if (source.kind === 'process' || target.kind === 'process') return null;
  return (
    <section>
      <h3>Newest records</h3>
      <Loaded resource={records} what="records">
        {({ flows, missing }) => (
          <>
            {missing > 0 && <p class="notice warning">{count(missing)} records are missing here.</p>}
            <ul class="plain-list small">
              {flows.map((flow) => (
                <li
                  key={String(flow.id)}
                  title={`${reasonWords(flow.reason)}, ${modeWord(flow.mode)}, policy version ${flow.policyVersion}`}
                >
                  <span class="muted">{time(Number(flow.lastSeenUs) / 1000)}</span> {endName(flow.source)}
                  {flow.source?.process ? ` (${flow.source.process})` : ''} → {endName(flow.destination)}{' '}
                  <code>{service(flow.protocol, flow.servicePort)}</code> {VERDICT_WORDS[verdictName(flow.verdict)]}{' '}
                  <span class="muted">{flow.ruleId === '' ? reasonWords(flow.reason) : `by ${flow.ruleId}`}</span>
                </li>
              ))}
            </ul>
            {flows.length === 0 && <p class="muted">None in this time.</p>}
          </>
        )}
      </Loaded>
    </section>
  );
}
