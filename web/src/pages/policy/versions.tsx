// Every version that was ever in force: who, why, what has become of it, and the way back to it.
import { useState } from 'preact/hooks';
import { Policy } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import { type PolicyVersion, PolicyVersionState } from '../../gen/ringfence/v1/admin_policy_pb.js';
import { setQuery } from '../../location.js';
import { Button } from '../../ui/controls.js';
import { ago, duration, time } from '../../ui/format.js';
import { ProvisionDialog } from '../../ui/provision.js';
import { Facts, SidePanel } from '../../ui/side-panel.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';
import { Diff } from './diff.js';

const LIMIT = 200;

export function VersionsTab({ query, onChanged }: { readonly query: URLSearchParams; readonly onChanged: () => void }) {
  const chosen = Number(query.get('sel') ?? 0);
  const [rollback, setRollback] = useState<number>();
  const versions = useResource(
    'versions',
    async (signal) => (await call(Policy.method.history, { limit: LIMIT }, signal)).versions,
    { everyMs: 5000 },
  );
  const version = versions.data?.find(({ number }) => number === chosen);
  return (
    <div class="split">
      <div class="list">
        <Loaded resource={versions} what="the versions">
          {(rows) =>
            rows.length === 0 ? (
              <Empty title="No version yet" icon="policy">
                Provisioning the draft makes the first one. Each stays here with its note, and can be gone back to.
              </Empty>
            ) : (
              <Table
                caption="Versions, newest first"
                columns={COLUMNS}
                rows={rows}
                keyOf={({ number }) => String(number)}
                chosen={String(chosen)}
                onChoose={({ number }) => setQuery({ sel: number === chosen ? '' : String(number) })}
              />
            )
          }
        </Loaded>
      </div>
      {version !== undefined && <VersionPanel version={version} onRollback={() => setRollback(version.number)} />}
      {rollback !== undefined && (
        <ProvisionDialog
          rollbackTo={rollback}
          onClose={() => setRollback(undefined)}
          onDone={() => {
            setRollback(undefined);
            versions.reload();
            onChanged();
          }}
        />
      )}
    </div>
  );
}

function VersionPanel({ version, onRollback }: { readonly version: PolicyVersion; readonly onRollback: () => void }) {
  const { number, state } = version;
  const current = state === PolicyVersionState.IN_FORCE;
  const diff = useResource(`back to ${number}`, (signal) =>
    call(Policy.method.diff, { to: { ref: { case: 'version', value: number } } }, signal),
  );
  return (
    <SidePanel
      kind="Version"
      title={String(number)}
      onClose={() => setQuery({ sel: '' })}
      actions={
        !current && (
          <Button small kind="danger" onClick={onRollback}>
            Roll back to it
          </Button>
        )
      }
    >
      <Facts
        rows={[
          ['State', <FateMark version={version} />],
          ['Note', version.note],
          ['Made', `${time(Number(version.createdMs))} by ${version.author}`],
          ['Rules', String(version.rules)],
          ['Content of', version.rollbackOf > 0 && `version ${version.rollbackOf}`],
          ['Window', version.confirmWithinMs > 0 && duration(version.confirmWithinMs * 1000)],
          ['Confirmed', version.confirmedMs > 0n && `${time(Number(version.confirmedMs))} by ${version.confirmedBy}`],
          ['Canary', version.canary],
          ['Ended', version.endedMs > 0n && time(Number(version.endedMs))],
          ['Why', version.why],
        ]}
      />
      {!current && (
        <Loaded resource={diff} what="what differs">
          {(data) => (
            <div class="stack wide-gap">
              <p class="muted">Going back to it would change what is in force as follows.</p>
              <Diff diff={data} />
            </div>
          )}
        </Loaded>
      )}
    </SidePanel>
  );
}

/** What has become of a version. */
function fate(version: PolicyVersion): readonly [tone: string, text: string] {
  switch (version.state) {
    case PolicyVersionState.IN_FORCE:
      return ['good', 'in force'];
    case PolicyVersionState.AWAITING:
      return ['warning', 'in force, awaiting confirmation'];
    case PolicyVersionState.CANARY:
      return ['warning', `canary on ${version.canary}`];
    case PolicyVersionState.STANDBY:
      return ['info', 'standing by'];
    case PolicyVersionState.SUPERSEDED:
      return ['info', version.next === 0 ? 'superseded' : `superseded by ${version.next}`];
    case PolicyVersionState.RETURNED:
      return ['alarm', `taken back, to ${version.next === 0 ? 'no policy' : version.next}`];
    default:
      return ['info', 'not known'];
  }
}

function FateMark({ version }: { readonly version: PolicyVersion }) {
  const [tone, text] = fate(version);
  return <span class={`mark ${tone}`}>{text}</span>;
}

const COLUMNS: readonly Column<PolicyVersion>[] = [
  { name: 'Version', cell: ({ number }) => String(number), sort: ({ number }) => number },
  { name: 'State', cell: (version) => <FateMark version={version} /> },
  {
    name: 'Made',
    cell: ({ createdMs }) => (
      <span class="nowrap" title={time(Number(createdMs))}>
        {ago(Number(createdMs), Date.now())}
      </span>
    ),
    sort: ({ createdMs }) => Number(createdMs),
  },
  { name: 'By', cell: ({ author }) => author, sort: ({ author }) => author },
  { name: 'Note', cell: ({ note, rollbackOf }) => (rollbackOf > 0 ? `back to ${rollbackOf}: ${note}` : note) },
  { name: 'Rules', cell: ({ rules }) => String(rules), sort: ({ rules }) => rules, number: true },
];
