// Machines that run an agent: how each stands, and how further ones are let in.
import { useMemo } from 'preact/hooks';
import { Hosts } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { type Resource, useResource } from '../../api/resource.js';
import type { Host } from '../../gen/ringfence/v1/admin_hosts_pb.js';
import type { TagsState } from '../../gen/ringfence/v1/admin_tags_pb.js';
import { linkTo, setQuery, usePlace } from '../../location.js';
import { Button, Select } from '../../ui/controls.js';
import { ago, count, shortCount } from '../../ui/format.js';
import { SearchInput } from '../../ui/search.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';
import { Tabs, tabOf } from '../../ui/tabs.js';
import { HostDetails } from './details.js';
import { Enrolment } from './enrolment.js';
import { HostMark, hostState, lostOf, STATES, unpairedWord } from './state.js';
import { TagsLine, useTags } from './tags.js';

const TABS = [{ id: 'hosts' }, { id: 'enrolment' }] as const;
const EVERY_MS = 5000;

export function HostsPage() {
  const { query } = usePlace();
  const tab = tabOf(query, TABS);
  const hosts = useResource('hosts', async (signal) => (await call(Hosts.method.list, {}, signal)).hosts, {
    everyMs: EVERY_MS,
  });
  const tokens = useResource('tokens', async (signal) => (await call(Hosts.method.listTokens, {}, signal)).tokens, {
    everyMs: EVERY_MS,
  });
  const tags = useTags();
  return (
    <div class="page fill">
      <header>
        <h1>Hosts</h1>
        <TagsLine tags={tags} />
      </header>
      <Tabs
        label="Parts of the hosts page"
        path="/hosts"
        current={tab}
        tabs={[
          { id: 'hosts', title: 'Hosts', count: hosts.data?.length },
          { id: 'enrolment', title: 'Enrolment tokens', count: tokens.data?.length },
        ]}
      />
      {tab === 'enrolment' ? <Enrolment tokens={tokens} /> : <HostList hosts={hosts} tags={tags} query={query} />}
    </div>
  );
}

function HostList(props: {
  readonly hosts: Resource<Host[]>;
  readonly tags: Resource<TagsState>;
  readonly query: URLSearchParams;
}) {
  const { hosts, tags, query } = props;
  const chosen = query.get('sel') ?? '';
  const [q, state] = [query.get('q') ?? '', query.get('state') ?? ''];
  const shown = useMemo(() => (hosts.data ?? []).filter((host) => matches(host, q, state)), [hosts.data, q, state]);
  return (
    <>
      <search class="filters">
        <SearchInput
          label="Search hosts"
          placeholder="Id, name, kernel or system"
          value={q}
          onInput={(value) => setQuery({ q: value }, true)}
        />
        <Select
          label="State of the host"
          value={STATES.find(([name]) => name === state)?.[0] ?? ''}
          options={STATES}
          onChange={(value) => setQuery({ state: value }, true)}
        />
      </search>
      <div class="split">
        <div class="list">
          <Loaded resource={hosts} what="the hosts">
            {(all) =>
              shown.length === 0 ? (
                <Nothing any={all.length > 0} />
              ) : (
                <Table
                  caption="Hosts"
                  columns={chosen === '' ? COLUMNS : NARROW}
                  rows={shown}
                  keyOf={({ id }) => id}
                  chosen={chosen}
                  onChoose={({ id }) => setQuery({ sel: id === chosen ? '' : id })}
                />
              )
            }
          </Loaded>
        </div>
        {chosen !== '' && (
          <HostDetails id={chosen} tags={tags} onClose={() => setQuery({ sel: '' })} onChanged={hosts.reload} />
        )}
      </div>
    </>
  );
}

function Nothing({ any }: { readonly any: boolean }) {
  if (any)
    return (
      <div class="stack">
        <Empty title="Nothing matches">No host has all of what the filter asks for.</Empty>
        <div class="row center">
          <Button onClick={() => setQuery({ q: '', state: '' }, true)}>Clear the filter</Button>
        </div>
      </div>
    );
  return (
    <Empty title="No hosts yet" icon="hosts">
      Make an <a {...linkTo('/hosts', { tab: 'enrolment' })}>enrolment token</a>, then run <code>ringfence enroll</code>{' '}
      on the machine. It stands here as soon as its agent connects.
    </Empty>
  );
}

function matches(host: Host, q: string, state: string): boolean {
  if (state !== '' && hostState(host) !== state) return false;
  const text = `${host.id} ${host.name} ${host.facts?.kernel ?? ''} ${host.facts?.os ?? ''}`.toLowerCase();
  return q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

const COLUMNS: readonly Column<Host>[] = [
  {
    name: 'Host',
    cell: ({ id }) => <span class="nowrap">{id}</span>,
    sort: ({ id }) => id,
  },
  { name: 'State', cell: (host) => <HostMark host={host} />, sort: hostState },
  {
    name: 'Seen',
    cell: ({ lastSeenMs }) => <span class="nowrap">{ago(Number(lastSeenMs), Date.now())}</span>,
    sort: ({ lastSeenMs }) => Number(lastSeenMs),
  },
  { name: 'Kernel', cell: ({ facts }) => facts?.kernel, sort: ({ facts }) => facts?.kernel ?? '' },
  {
    name: 'Policy in force',
    cell: ({ policyVersion, policyVersionWanted }) => (
      <InForce found={policyVersion} wanted={policyVersionWanted} none="none" />
    ),
    sort: ({ policyVersion }) => policyVersion,
    number: true,
  },
  {
    name: 'Revision in force',
    cell: ({ revisionAcked, revisionWanted }) => (
      <InForce found={Number(revisionAcked)} wanted={Number(revisionWanted)} none="none" />
    ),
    sort: ({ revisionAcked }) => Number(revisionAcked),
    number: true,
  },
  { name: 'Workloads', cell: ({ workloads }) => count(workloads), sort: ({ workloads }) => workloads, number: true },
  {
    name: 'Unpaired containers',
    cell: ({ unpaired, unpairedBy }) => <span title={`by ${unpairedBy}`}>{unpairedWord(unpaired)}</span>,
    sort: ({ unpaired }) => unpaired,
  },
  {
    name: 'Records lost',
    cell: (host) => (lostOf(host) === 0 ? '0' : <span class="mark warning">{shortCount(lostOf(host))}</span>),
    sort: lostOf,
    number: true,
  },
  {
    name: 'To know',
    cell: ({ conditions }) => {
      const alarms = conditions.filter(({ severity }) => severity === 'alarm').length;
      const told = conditions.map(({ title }) => title).join('\n');
      if (conditions.length === 0) return <span class="muted">nothing</span>;
      return (
        <span class={`mark ${alarms > 0 ? 'alarm' : 'warning'}`} title={told}>
          {conditions.length}
        </span>
      );
    },
    sort: ({ conditions }) => conditions.length,
    number: true,
  },
];

/** Beside the details. */
const NARROW = COLUMNS.filter(({ name }) => ['Host', 'State', 'Seen', 'To know'].includes(name));

function InForce({ found, wanted, none }: { readonly found: number; readonly wanted: number; readonly none: string }) {
  const text = found === 0 ? none : count(found);
  if (wanted === 0 || found === wanted) return <>{text}</>;
  return (
    <span class="mark warning" title={`wanted: ${wanted}`}>
      {text}, wanted {count(wanted)}
    </span>
  );
}
