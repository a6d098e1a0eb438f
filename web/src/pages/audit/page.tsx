// Who changed what, from where, when.
import { useState } from 'preact/hooks';
import { Audit } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { AuditEntry } from '../../gen/ringfence/v1/admin_audit_pb.js';
import { setQuery, usePlace } from '../../location.js';
import { Button, Select, TextInput } from '../../ui/controls.js';
import { ago, time } from '../../ui/format.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';

const FAMILIES = [
  ['', 'Every action'],
  ['policy.', 'Policy'],
  ['label.', 'Labels'],
  ['pairing.', 'Pairing'],
  ['key.', 'Keys'],
  ['profile.', 'Profiles'],
  ['quarantine.', 'Quarantine'],
  ['host.', 'Hosts'],
  ['token.', 'Enrolment tokens'],
  ['web.', 'Web page'],
] as const;

const PAGE = 200;

export function AuditPage() {
  const { query } = usePlace();
  const [action, actor, object] = ['action', 'actor', 'object'].map((name) => query.get(name) ?? '') as [
    string,
    string,
    string,
  ];
  const [more, setMore] = useState(1);
  const entries = useResource(
    JSON.stringify([action, actor, object, more]),
    async (signal) => {
      const filter = { actions: action === '' ? [] : [action], actor, object };
      return (await call(Audit.method.list, { filter, limit: Math.min(1000, PAGE * more) }, signal)).entries;
    },
    { everyMs: 5000 },
  );
  const shownAll = (entries.data?.length ?? 0) < Math.min(1000, PAGE * more);
  return (
    <div class="page">
      <header>
        <h1>Audit log</h1>
        <span class="grow" />
        <Select
          label="Kind of action"
          value={action}
          options={FAMILIES}
          onChange={(value) => setQuery({ action: value }, true)}
        />
        <TextInput label="Who" placeholder="Who" value={actor} onInput={(value) => setQuery({ actor: value }, true)} />
        <TextInput
          label="Object"
          placeholder="Object: id of a workload, key, version …"
          value={object}
          onInput={(value) => setQuery({ object: value }, true)}
        />
      </header>
      <Loaded resource={entries} what="the audit log">
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="Nothing of that kind">Clear the filters above to see everything that was done.</Empty>
          ) : (
            <Table
              caption="Audit entries, newest first"
              columns={COLUMNS}
              rows={rows}
              keyOf={({ sequence }) => String(sequence)}
            />
          )
        }
      </Loaded>
      {!shownAll && more < 5 && (
        <div>
          <Button onClick={() => setMore(more + 1)}>Show older entries</Button>
        </div>
      )}
    </div>
  );
}

const COLUMNS: readonly Column<AuditEntry>[] = [
  {
    name: 'When',
    cell: ({ atMs }) => (
      <span class="nowrap" title={ago(Number(atMs), Date.now())}>
        {time(Number(atMs))}
      </span>
    ),
  },
  {
    name: 'Who',
    cell: ({ actor, source }) => (
      <>
        {actor}
        {source !== '' && <span class="muted small"> from {source}</span>}
      </>
    ),
  },
  { name: 'Action', cell: ({ action }) => <code>{action}</code> },
  { name: 'What', cell: ({ text }) => text },
  { name: 'Object', cell: ({ object }) => <code>{object}</code> },
];
