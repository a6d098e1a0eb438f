// What is cut off but for the failsafes, and by whom; cutting off and letting back.
import { useState } from 'preact/hooks';
import { Pairing } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { type Resource, useResource } from '../../api/resource.js';
import type { QuarantineInfo, QuarantineResponse } from '../../gen/ringfence/v1/admin_pairing_pb.js';
import { linkTo, setQuery } from '../../location.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Button, Field, TextInput } from '../../ui/controls.js';
import { ago, count, plural, time } from '../../ui/format.js';
import { readSelector } from '../../ui/selector.js';
import { Section } from '../../ui/side-panel.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';
import { tell } from '../../ui/toast.js';

export function QuarantineTab({
  quarantines,
  query,
}: {
  readonly quarantines: Resource<QuarantineInfo[]>;
  readonly query: URLSearchParams;
}) {
  const [releasing, setReleasing] = useState<QuarantineInfo>();
  const cut = query.get('cut');
  const columns: readonly Column<QuarantineInfo>[] = [
    { name: 'What is cut off', cell: ({ what }) => what },
    {
      name: 'Workloads now',
      cell: ({ workloads }) => count(workloads),
      sort: ({ workloads }) => workloads,
      number: true,
    },
    { name: 'Why', cell: ({ reason }) => reason },
    {
      name: 'Since',
      cell: ({ createdMs, author }) => (
        <span title={time(Number(createdMs))}>
          {ago(Number(createdMs), Date.now())} by {author}
        </span>
      ),
      sort: ({ createdMs }) => Number(createdMs),
    },
    { name: 'Id', cell: ({ id }) => <code>{id}</code> },
    {
      name: 'Release',
      cell: (quarantine) => (
        <Button small label={`Release ${quarantine.what}`} onClick={() => setReleasing(quarantine)}>
          Release
        </Button>
      ),
    },
  ];
  return (
    <>
      <div class="filters">
        <p class="muted grow">
          What is quarantined reaches, and is reached by, nothing but the controller and the configured admin sources.
          Labels and policy stay as they are.
        </p>
        <Button kind="danger" onClick={() => setQuery({ cut: ' ' })}>
          Quarantine …
        </Button>
      </div>
      <div class="split">
        <div class="list">
          <Loaded resource={quarantines} what="the quarantines">
            {(rows) =>
              rows.length === 0 ? (
                <Empty title="Nothing is quarantined" icon="pairing">
                  A workload that behaves oddly can be cut off from here, from its details, or with everything that a
                  leaked key has paired.
                </Empty>
              ) : (
                <Table caption="Quarantines" columns={columns} rows={rows} keyOf={({ id }) => id} />
              )
            }
          </Loaded>
        </div>
      </div>
      {cut !== null && (
        <QuarantineDialog
          what={cut.trim()}
          onClose={() => setQuery({ cut: '' }, true)}
          onDone={() => {
            setQuery({ cut: '' }, true);
            quarantines.reload();
          }}
        />
      )}
      {releasing !== undefined && (
        <ActionDialog
          title="Release the quarantine"
          action="Release"
          onClose={() => setReleasing(undefined)}
          run={async () => {
            await call(Pairing.method.releaseQuarantine, { id: releasing.id });
            tell(`Released: ${releasing.what}.`);
            quarantines.reload();
          }}
        >
          <p>
            {releasing.what}: {plural(releasing.workloads, 'workload')} may talk again as policy says, unless another
            quarantine holds them too.
          </p>
        </ActionDialog>
      )}
    </>
  );
}

/** "role=web env!=dev loc=*", as everywhere else: whatever has these labels; anything else: one workload by id or name. */
function targetOf(text: string) {
  const { requirements, others } = readSelector(text);
  if (requirements.length > 0 && others.length === 0) return { selector: { requirements } };
  return { workloads: text.split(/\s+/).filter((word) => word !== '') };
}

function QuarantineDialog(props: { readonly what: string; readonly onClose: () => void; readonly onDone: () => void }) {
  const { onClose, onDone } = props;
  const [what, setWhat] = useState(props.what);
  const [reason, setReason] = useState('');
  const empty = what.trim() === '';
  const preview = useResource(
    `quarantine ${what.trim()}`,
    async (signal): Promise<QuarantineResponse | undefined> =>
      empty ? undefined : call(Pairing.method.quarantine, { ...targetOf(what), preview: true }, signal),
    { keep: false },
  );
  const held = preview.data?.workloads ?? [];
  return (
    <ActionDialog
      title="Quarantine workloads"
      action={held.length > 0 ? `Cut off ${plural(held.length, 'workload')}` : 'Cut off'}
      danger
      disabled={reason.trim() === '' || preview.data === undefined}
      onClose={onClose}
      onDone={onDone}
      run={async () => {
        const made = await call(Pairing.method.quarantine, { ...targetOf(what), reason });
        tell(`${plural(made.workloads.length, 'workload')} cut off.`);
      }}
    >
      <Field
        label="What"
        hint="Labels (role=web env=prod: whatever has all of them, later too), or ids or unique names of workloads"
      >
        <TextInput value={what} onInput={setWhat} placeholder="role=web env=prod" required />
      </Field>
      <Section title="What is cut off">
        {empty ? (
          <p class="muted">Say what above: it is shown here before anything happens.</p>
        ) : (
          <div class="scroll-box">
            <Loaded resource={preview} what="what would be cut off">
              {(data) =>
                held.length === 0 || data === undefined ? (
                  <p class="muted">No workload of today. Labels hold what gets them later.</p>
                ) : (
                  <ul class="lines">
                    {held.map(({ workloadId, name, hostId }) => (
                      <li key={workloadId}>
                        <a {...linkTo('/workloads', { sel: workloadId })}>{name || workloadId}</a>{' '}
                        <span class="muted">
                          {hostId === '' ? 'has no agent: it cannot be cut off at its own end' : `on ${hostId}`}
                        </span>
                      </li>
                    ))}
                  </ul>
                )
              }
            </Loaded>
          </div>
        )}
      </Section>
      <p>Their open connections end, on every host, until the quarantine is released.</p>
      <Field label="Reason (kept)">
        <TextInput value={reason} onInput={setReason} placeholder="calls an address it never called before" required />
      </Field>
    </ActionDialog>
  );
}
