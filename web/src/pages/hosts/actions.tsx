// What can be done to a host. Each dialog says what will happen before it does.
import { useState } from 'preact/hooks';
import { Hosts } from '../../api/admin.js';
import { call } from '../../api/client.js';
import type { Host } from '../../gen/ringfence/v1/admin_hosts_pb.js';
import { UnenrollOutcome, Unpaired } from '../../gen/ringfence/v1/agent_pb.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Field, Select, TextInput } from '../../ui/controls.js';
import { plural } from '../../ui/format.js';
import { tell } from '../../ui/toast.js';
import { unpairedWord } from './state.js';

export interface HostActionProps {
  readonly host: Host;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

const TREATMENTS = [
  ['inherit', 'As its profile or its configuration says'],
  ['visibility', 'Leave them alone: they are seen'],
  ['isolate', 'Cut them off until they pair or are labelled'],
] as const;
type Treatment = (typeof TREATMENTS)[number][0];

const TREATMENT_NUMBERS: Readonly<Record<Treatment, Unpaired>> = {
  inherit: Unpaired.UNSPECIFIED,
  visibility: Unpaired.VISIBILITY,
  isolate: Unpaired.ISOLATE,
};

const TREATMENT_TEXT: Readonly<Record<Treatment, string>> = {
  inherit: 'What an operator has set is taken back.',
  visibility: 'Containers without labels or pairing go on as they are; their flows are recorded.',
  isolate:
    'Containers that have neither paired nor been labelled by an operator lose every connection but the failsafes, those that run now too, and new ones from their first instruction on.',
};

export function TreatmentDialog({ host, onClose, onDone }: HostActionProps) {
  const [treatment, setTreatment] = useState<Treatment>(
    host.unpairedBy !== 'operator' ? 'inherit' : host.unpaired === Unpaired.ISOLATE ? 'isolate' : 'visibility',
  );
  return (
    <ActionDialog
      title={`Unpaired containers of ${host.id}`}
      action="Set treatment"
      danger={treatment === 'isolate'}
      onClose={onClose}
      run={async () => {
        const after = await call(Hosts.method.set, { host: host.id, unpaired: TREATMENT_NUMBERS[treatment] });
        tell(`Unpaired containers of ${host.id}: ${unpairedWord(after.unpaired)}.`);
        onDone();
      }}
    >
      <p class="muted">
        Now they are {unpairedWord(host.unpaired)}, by {host.unpairedBy}.
      </p>
      <Field label="From now on">
        <Select value={treatment} options={TREATMENTS} onChange={setTreatment} />
      </Field>
      <p>{TREATMENT_TEXT[treatment]}</p>
    </ActionDialog>
  );
}

export function RevokeDialog({ host, onClose, onDone }: HostActionProps) {
  const [reason, setReason] = useState('');
  return (
    <ActionDialog
      title={`Revoke the certificates of ${host.id}`}
      action="Revoke certificates"
      danger
      disabled={reason.trim() === ''}
      onClose={onClose}
      run={async () => {
        await call(Hosts.method.revokeCertificate, { hostId: host.id, reason });
        tell(`Certificates of ${host.id} are revoked.`);
        onDone();
      }}
    >
      <p>
        Its connections end now and it gets no further policy. Its kernel keeps the last good one in force for{' '}
        {plural(host.workloads, 'workload')}. To come back it must enrol with a token that names it.
      </p>
      <Field label="Reason (kept)">
        <TextInput value={reason} onInput={setReason} placeholder="key copied from a backup" required />
      </Field>
    </ActionDialog>
  );
}

const OUTCOMES = [
  ['keep', 'Keep the last good policy in force'],
  ['open', 'Block nothing; stay attached'],
  ['remove', 'Take every program and table out of the kernel'],
] as const;
type Outcome = (typeof OUTCOMES)[number][0];

const OUTCOME_NUMBERS: Readonly<Record<Outcome, UnenrollOutcome>> = {
  keep: UnenrollOutcome.KEEP,
  open: UnenrollOutcome.OPEN,
  remove: UnenrollOutcome.REMOVE,
};

const OUTCOME_TEXT: Readonly<Record<Outcome, string>> = {
  keep: 'The policy stays in force over reboots, until somebody detaches the agent or enrols the host anew.',
  open: 'From then on nothing is blocked on this host; flows are still seen there.',
  remove: 'From then on nothing is enforced nor seen on this host.',
};

export function RemoveHostDialog({ host, onClose, onDone }: HostActionProps) {
  const [reason, setReason] = useState('');
  const [outcome, setOutcome] = useState<Outcome>('keep');
  const [typed, setTyped] = useState('');
  return (
    <ActionDialog
      title={`Remove ${host.id}`}
      action="Remove host"
      danger
      disabled={reason.trim() === '' || typed !== host.id}
      onClose={onClose}
      run={async () => {
        const { told } = await call(Hosts.method.remove, {
          hostId: host.id,
          reason,
          outcome: OUTCOME_NUMBERS[outcome],
        });
        tell(
          told ? `${host.id} is removed; its agent was told.` : `${host.id} is removed. Its agent was not connected.`,
        );
        onDone();
      }}
    >
      <p>
        The host and its {plural(host.workloads, 'workload')} are forgotten with their labels, and its certificates are
        revoked. This cannot be undone.
      </p>
      <Field label="What its agent leaves in the kernel">
        <Select value={outcome} options={OUTCOMES} onChange={setOutcome} />
      </Field>
      <p>{OUTCOME_TEXT[outcome]}</p>
      {!host.connected && (
        <p class="notice warning">It is not connected, so it cannot be told: its kernel keeps its last good policy.</p>
      )}
      <Field label="Reason (kept)">
        <TextInput value={reason} onInput={setReason} placeholder="taken out of service" required />
      </Field>
      <Field label={`To be sure: type ${host.id}`}>
        <TextInput value={typed} onInput={setTyped} required />
      </Field>
    </ActionDialog>
  );
}
