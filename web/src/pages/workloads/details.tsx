// Everything about one workload: who it is, why it has its labels, how far policy acts on it and why.
import { useState } from 'preact/hooks';
import { Workloads } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { Workload, WorkloadMemberships } from '../../gen/ringfence/v1/admin_workloads_pb.js';
import { linkTo } from '../../location.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Button } from '../../ui/controls.js';
import { address, ago, service, time } from '../../ui/format.js';
import { modePairWords } from '../../ui/mode.js';
import { Facts, Section, SidePanel } from '../../ui/side-panel.js';
import { Loaded } from '../../ui/states.js';
import { tell } from '../../ui/toast.js';
import { modeWord } from '../../ui/verdict.js';
import { kindWord } from './filter.js';
import { LabelsDialog } from './labels-dialog.js';
import { reasonText } from './reason.js';
import { stateOf, WorkloadState } from './state.js';
import { UnmanagedDialog } from './unmanaged-dialog.js';

export interface WorkloadDetailsProps {
  readonly id: string;
  readonly onClose: () => void;
  readonly onChanged: () => void;
}

export function WorkloadDetails({ id, onClose, onChanged }: WorkloadDetailsProps) {
  const found = useResource(
    `workload ${id}`,
    async (signal) => {
      const [workload, memberships] = await Promise.all([
        call(Workloads.method.get, { workload: id }, signal),
        call(Workloads.method.memberships, { workload: id }, signal),
      ]);
      return { workload, memberships };
    },
    { everyMs: 5000, keep: false },
  );
  const [open, setOpen] = useState<'labels' | 'edit' | 'delete'>();
  const { workload } = found.data ?? {};
  const close = () => setOpen(undefined);
  const changed = () => {
    found.reload();
    onChanged();
  };
  const actions = workload && (
    <>
      <Button small kind="primary" onClick={() => setOpen('labels')}>
        Edit labels
      </Button>
      {workload.hostId === '' && (
        <Button small onClick={() => setOpen('edit')}>
          Edit
        </Button>
      )}
      <a class="button small" {...linkTo('/', { q: `workload:${workload.id}` })}>
        On the map
      </a>
      {workload.present && workload.hostId !== '' && (
        <a class="button small" {...linkTo('/pairing', { tab: 'quarantine', cut: workload.id })}>
          Quarantine
        </a>
      )}
      {(workload.hostId === '' || !workload.present) && (
        <Button small kind="danger" onClick={() => setOpen('delete')}>
          {workload.hostId === '' ? 'Delete' : 'Forget'}
        </Button>
      )}
    </>
  );
  return (
    <SidePanel kind="Workload" title={workload?.name || id} onClose={onClose} actions={actions}>
      <Loaded resource={found} what="the workload">
        {(data) => (
          <>
            <Body workload={data.workload} memberships={data.memberships} />
            {open === 'labels' && <LabelsDialog workload={data.workload} onClose={close} onDone={changed} />}
            {open === 'edit' && <UnmanagedDialog workload={data.workload} onClose={close} onDone={changed} />}
            {open === 'delete' && (
              <DeleteDialog
                workload={data.workload}
                onClose={close}
                onDone={() => {
                  onChanged();
                  onClose();
                }}
              />
            )}
          </>
        )}
      </Loaded>
    </SidePanel>
  );
}

function Body({ workload, memberships }: { workload: Workload; memberships: WorkloadMemberships }) {
  const { hostId, addresses, published, metadata } = workload;
  return (
    <>
      <Facts
        rows={[
          ['Id', <code>{workload.id}</code>],
          ['Kind', kindWord(workload.kind)],
          ['Host', hostId !== '' && <a {...linkTo('/hosts', { sel: hostId })}>{hostId}</a>],
          ['Image', workload.image !== '' && <code>{workload.image}</code>],
          ['Found by', workload.source],
          ['First seen', workload.createdMs > 0n && time(Number(workload.createdMs))],
          ['Identity', workload.identity > 0 && String(workload.identity)],
        ]}
      />
      <LabelReasons workload={workload} />
      <ModeSection workload={workload} memberships={memberships} />
      <Pairing workload={workload} />
      <Section title="Addresses">
        {addresses.length === 0 ? (
          <p class="muted">None is known. Without one, nobody’s rules can name it.</p>
        ) : (
          <ul class="lines">
            {addresses.map(({ ip, space }) => (
              <li key={`${space} ${address(ip)}`}>
                <code>{address(ip)}</code> {space !== '' && <span class="muted">in {space}</span>}
              </li>
            ))}
            {published.map(({ protocol, hostAddress, hostPort, port }) => (
              <li key={`${protocol} ${hostPort}`}>
                <code>
                  {hostAddress === undefined ? '*' : address(hostAddress.ip)}:{hostPort}
                </code>{' '}
                <span class="muted">on the host leads to its {service(protocol, port)}</span>
              </li>
            ))}
          </ul>
        )}
      </Section>
      <Memberships memberships={memberships} />
      {workload.attachments.length > 0 && (
        <Section title="Attached in the kernel">
          <ul class="lines mono">
            {workload.attachments.map((each) => (
              <li key={each}>{each}</li>
            ))}
          </ul>
        </Section>
      )}
      {Object.keys(metadata).length > 0 && (
        <Section title="Metadata">
          <Facts rows={Object.entries(metadata).map(([key, value]) => [key, value])} />
        </Section>
      )}
    </>
  );
}

function LabelReasons({ workload }: { readonly workload: Workload }) {
  const { labels, labelReasons, stickyLabels } = workload;
  return (
    <Section title="Labels, and why it has them">
      {labels.length === 0 && (
        <p class="muted">None. Rules that name labels do not meet it; give it some, or let it pair by a key.</p>
      )}
      <ul class="lines">
        {labels.map(({ dimension, value }) => (
          <li key={dimension}>
            <span class="tag">
              <span class="dimension">{dimension}=</span>
              {value}
            </span>
            <span class="why">{reasonText(labelReasons.find((reason) => reason.dimension === dimension))}</span>
          </li>
        ))}
      </ul>
      {stickyLabels && <p class="muted small">Kept for a later workload of the same host, kind and name.</p>}
    </Section>
  );
}

function ModeSection({ workload, memberships }: { workload: Workload; memberships: WorkloadMemberships }) {
  const { expectedMode, actualMode, modeWhy, hostId } = workload;
  const { text } = stateOf(workload);
  return (
    <Section title="Mode in effect">
      <div class="row">
        <strong>{modePairWords(expectedMode)}</strong>
        <WorkloadState workload={workload} />
      </div>
      <p class="muted small">{text}</p>
      <Facts
        rows={[
          ['Why', modeWhy],
          ['Reported', hostId !== '' && modePairWords(actualMode)],
        ]}
      />
      {memberships.modes.length > 0 && (
        <ul class="lines">
          {memberships.modes.map(({ id, mode, inbound, outbound, decidesInbound, decidesOutbound }) => (
            <li key={id}>
              <code>{id}</code>: {modeWord(mode)} {inbound === outbound ? '' : inbound ? 'inbound' : 'outbound'}
              <span class="muted"> {decidesInbound || decidesOutbound ? 'decides' : 'a stronger one decides'}</span>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function Pairing({ workload: { pairing } }: { readonly workload: Workload }) {
  if (pairing === undefined) return null;
  const { paired, profileName, keyId, denial, detail, decidedMs } = pairing;
  return (
    <Section title="Pairing">
      <div class="row">
        <span class={`mark ${paired ? 'good' : 'alarm'}`}>{paired ? 'paired' : `denied: ${denial}`}</span>
        <span class="muted">{ago(Number(decidedMs), Date.now())}</span>
      </div>
      {detail !== '' && <p>{detail}</p>}
      <Facts
        rows={[
          ['Profile', profileName !== '' && <a {...linkTo('/pairing', { sel: profileName })}>{profileName}</a>],
          ['Key', keyId !== '' && <a {...linkTo('/pairing', { tab: 'keys', sel: keyId })}>{keyId}</a>],
        ]}
      />
    </Section>
  );
}

const SHOWN = 30;

function Memberships({ memberships }: { readonly memberships: WorkloadMemberships }) {
  const { groups, ipLists, rules } = memberships;
  return (
    <>
      {groups.length + ipLists.length > 0 && (
        <Section title="Groups and IP lists that hold it">
          <ul class="lines">
            {groups.map(({ name, dimension, value, via }) => (
              <li key={name}>
                <code>{name}</code>{' '}
                <span class="muted">
                  by {dimension}={value}
                  {via.length > 0 && `, through ${via.join(' › ')}`}
                </span>
              </li>
            ))}
            {ipLists.map(({ name, address: held }) => (
              <li key={`list ${name}`}>
                <code>{name}</code> <span class="muted">holds {held === undefined ? '' : address(held.ip)}</span>
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section title={`Rules that name it (version ${memberships.policyVersion})`}>
        {rules.length === 0 && <p class="muted">None: what anyone may use is not listed here.</p>}
        <ul class="lines">
          {rules.slice(0, SHOWN).map(({ id, action, provides, uses, idle }) => (
            <li key={id}>
              <a {...linkTo('/policy', { view: 'inforce', sel: id })}>{id}</a>{' '}
              <span class="muted">
                {action}, {[provides && 'provides', uses && 'uses'].filter(Boolean).join(' and ')}
                {idle && ', switched off or expired'}
              </span>
            </li>
          ))}
        </ul>
        {rules.length > SHOWN && <p class="muted">and {rules.length - SHOWN} more</p>}
      </Section>
    </>
  );
}

function DeleteDialog(props: {
  readonly workload: Workload;
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const { workload, onClose, onDone } = props;
  const { id, version, hostId } = workload;
  const name = workload.name || id;
  const word = hostId === '' ? 'Delete' : 'Forget';
  return (
    <ActionDialog
      title={`${word} ${name}`}
      action={word}
      danger
      onClose={onClose}
      run={async () => {
        await call(Workloads.method.delete, { id, expectedVersion: version });
        tell(`${name} is ${hostId === '' ? 'deleted' : 'forgotten'}.`);
        onDone();
      }}
    >
      {hostId === '' ? (
        <p>
          Its addresses are then nobody’s: rules that name its labels no longer meet them, and peers under enforcement
          block what only those rules allowed.
        </p>
      ) : (
        <p>
          Its labels, and why it had them, are dropped. If it comes back, it comes as a new workload without labels.
        </p>
      )}
    </ActionDialog>
  );
}
