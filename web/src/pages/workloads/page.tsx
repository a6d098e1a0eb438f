// What runs where, under which labels, and how far policy acts on it. The controller filters and pages, so that the list may be long.
import { useState } from 'preact/hooks';
import { Labels as LabelsService, Workloads } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { Workload } from '../../gen/ringfence/v1/admin_workloads_pb.js';
import { setQuery, usePlace } from '../../location.js';
import { Button, Check, Select } from '../../ui/controls.js';
import { address, count } from '../../ui/format.js';
import { Labels } from '../../ui/labels.js';
import { modePairWords } from '../../ui/mode.js';
import { SearchInput } from '../../ui/search.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';
import { WorkloadDetails } from './details.js';
import { filterOf, KINDS, type KindName, kindWord } from './filter.js';
import { WorkloadState } from './state.js';
import { UnmanagedDialog } from './unmanaged-dialog.js';

const PAGE = 100;
const EVERY_MS = 5000;
const SUGGESTIONS = 200;

export function WorkloadsPage() {
  const { query } = usePlace();
  const [creating, setCreating] = useState(false);
  const chosen = query.get('sel') ?? '';
  const after = query.get('after') ?? '';
  const filter = filterOf(query);
  const list = useResource(
    JSON.stringify([filter, after]),
    (signal) => call(Workloads.method.list, { filter, page: { limit: PAGE, token: after } }, signal),
    { everyMs: EVERY_MS },
  );
  const narrowed = ['q', 'kind', 'gone'].some((name) => query.has(name));
  /** Another filter begins at its first page. */
  const narrow = (changes: Readonly<Record<string, string>>) => setQuery({ ...changes, after: '', from: '' }, true);
  return (
    <div class="page fill">
      <header>
        <h1>Workloads</h1>
        <span class="muted" role="status">
          {list.data === undefined ? '' : `${count(list.data.total)}${narrowed ? ' match' : ''}`}
        </span>
        <span class="grow" />
        <Button icon="plus" onClick={() => setCreating(true)}>
          Add without an agent
        </Button>
      </header>
      <Filters query={query} narrow={narrow} />
      <div class="split">
        <div class="list">
          <Loaded resource={list} what="the workloads">
            {({ workloads, total, nextToken }) =>
              workloads.length === 0 ? (
                <Nothing narrowed={narrowed} clear={() => narrow({ q: '', kind: '', gone: '' })} />
              ) : (
                <>
                  <Table
                    caption="Workloads"
                    columns={chosen === '' ? COLUMNS : NARROW}
                    rows={workloads}
                    keyOf={({ id }) => id}
                    chosen={chosen}
                    onChoose={({ id }) => setQuery({ sel: id === chosen ? '' : id })}
                  />
                  <Pages
                    from={Number(query.get('from') ?? 0)}
                    shown={workloads.length}
                    total={total}
                    next={nextToken}
                  />
                </>
              )
            }
          </Loaded>
        </div>
        {chosen !== '' && <WorkloadDetails id={chosen} onClose={() => setQuery({ sel: '' })} onChanged={list.reload} />}
      </div>
      {creating && (
        <UnmanagedDialog
          onClose={() => setCreating(false)}
          onDone={(id) => {
            list.reload();
            setQuery({ sel: id });
          }}
        />
      )}
    </div>
  );
}

function Filters({
  query,
  narrow,
}: {
  readonly query: URLSearchParams;
  readonly narrow: (changes: Readonly<Record<string, string>>) => void;
}) {
  const known = useResource('dimensions', (signal) => call(LabelsService.method.listDimensions, {}, signal));
  const suggestions = (known.data?.dimensions ?? [])
    .flatMap(({ name, used }) => used.map(({ value, workloads }) => ({ text: `${name}=${value}`, workloads })))
    .sort((a, b) => b.workloads - a.workloads)
    .slice(0, SUGGESTIONS)
    .map(({ text }) => text);
  return (
    <search class="filters">
      <SearchInput
        label="Search workloads"
        placeholder="Name, image, role=web, env!=prod, host:host-01"
        value={query.get('q') ?? ''}
        suggestions={suggestions}
        onInput={(q) => narrow({ q })}
      />
      <Select<KindName>
        label="Kind of workload"
        value={KINDS.find(([name]) => name === query.get('kind'))?.[0] ?? ''}
        options={KINDS}
        onChange={(kind) => narrow({ kind })}
      />
      <Check
        label="Also those that are gone"
        checked={query.get('gone') === '1'}
        onChange={(gone) => narrow({ gone: gone ? '1' : '' })}
      />
    </search>
  );
}

function Nothing({ narrowed, clear }: { readonly narrowed: boolean; readonly clear: () => void }) {
  if (!narrowed)
    return (
      <Empty title="No workloads yet">
        They appear when an agent reports them: enrol a host on the <a href="/hosts?tab=enrolment">Hosts page</a>. What
        has no agent, such as an appliance, can be added above.
      </Empty>
    );
  return (
    <div class="stack">
      <Empty title="Nothing matches">
        No workload has all of what the filter asks for. Take a word out, or begin anew.
      </Empty>
      <div class="row center">
        <Button onClick={clear}>Clear the filter</Button>
      </div>
    </div>
  );
}

/** The API tells the next page only: the way back is remembered while the page is open, and else leads to the beginning. */
function Pages(props: {
  readonly from: number;
  readonly shown: number;
  readonly total: number;
  readonly next: string;
}) {
  const { from, shown, total, next } = props;
  const [trail, setTrail] = useState<readonly { after: string; from: string }[]>([]);
  if (total <= PAGE && from === 0) return null;
  const forward = () => {
    const query = new URLSearchParams(location.search);
    setTrail([...trail, { after: query.get('after') ?? '', from: query.get('from') ?? '' }]);
    setQuery({ after: next, from: String(from + shown) });
  };
  const back = () => {
    setQuery(from === 0 ? { after: '', from: '' } : (trail.at(-1) ?? { after: '', from: '' }));
    setTrail(trail.slice(0, -1));
  };
  return (
    <nav class="row" aria-label="Pages of workloads">
      <Button small disabled={from === 0} onClick={back}>
        {from > 0 && trail.length === 0 ? 'First' : 'Previous'}
      </Button>
      <span class="muted">
        {count(from + 1)}–{count(from + shown)} of {count(total)}
      </span>
      <Button small disabled={next === ''} onClick={forward}>
        Next
      </Button>
    </nav>
  );
}

const COLUMNS: readonly Column<Workload>[] = [
  { name: 'Workload', cell: ({ name, id }) => <span class="nowrap">{name || id}</span> },
  { name: 'Kind', cell: ({ kind }) => kindWord(kind) },
  { name: 'Host', cell: ({ hostId }) => (hostId === '' ? <span class="muted">none</span> : hostId) },
  { name: 'Labels', cell: ({ labels }) => <Labels labels={labels} /> },
  {
    name: 'Addresses',
    cell: ({ addresses }) => (
      <span class="mono">
        {addresses
          .slice(0, 2)
          .map(({ ip }) => address(ip))
          .join(', ')}
        {addresses.length > 2 && ` +${addresses.length - 2}`}
      </span>
    ),
  },
  { name: 'Mode', cell: ({ expectedMode }) => modePairWords(expectedMode) },
  { name: 'State', cell: (workload) => <WorkloadState workload={workload} /> },
];

/** Beside the details. */
const NARROW = COLUMNS.filter(({ name }) => ['Workload', 'Labels', 'State'].includes(name));
