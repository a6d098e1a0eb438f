// Revokes a key: what it has paired is shown first, with the choice of what becomes of it. All of it happens in one step.
import { useState } from 'preact/hooks';
import { Pairing } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import { type PairingKey, RevokeAction } from '../../gen/ringfence/v1/admin_pairing_pb.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Field, TextInput } from '../../ui/controls.js';
import { plural } from '../../ui/format.js';
import { Section } from '../../ui/side-panel.js';
import { Loaded } from '../../ui/states.js';
import { tell } from '../../ui/toast.js';
import { Pairings } from './pairings.js';

const CHOICES = [
  [RevokeAction.UNSPECIFIED, 'Leave it paired', 'Nothing changes for what is paired. The key pairs nothing more.'],
  [
    RevokeAction.QUARANTINE,
    'Quarantine it',
    'It is cut off but for the failsafes, on every host, and open connections end. Labels stay; releasing the quarantine undoes it.',
  ],
  [
    RevokeAction.UNPAIR,
    'Unpair it',
    'Labels and pairing are taken away. What presents the key again is denied and cut off. This cannot be undone.',
  ],
] as const;

export function RevokeKeyDialog(props: {
  readonly pairingKey: PairingKey;
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const { pairingKey, onClose, onDone } = props;
  const { id } = pairingKey;
  const [action, setAction] = useState<RevokeAction>(RevokeAction.UNSPECIFIED);
  const [reason, setReason] = useState('');
  const preview = useResource(`revoke ${id} ${action}`, (signal) =>
    call(Pairing.method.revokeKey, { keyId: id, action, preview: true }, signal),
  );
  const touched = preview.data?.touched.length ?? 0;
  return (
    <ActionDialog
      title={`Revoke key ${id}`}
      action={
        action === RevokeAction.UNSPECIFIED
          ? 'Revoke key'
          : `Revoke key, ${action === RevokeAction.UNPAIR ? 'unpair' : 'quarantine'} ${plural(touched, 'workload')}`
      }
      danger
      wide
      disabled={reason.trim() === '' || preview.data === undefined}
      onClose={onClose}
      run={async () => {
        const done = await call(Pairing.method.revokeKey, { keyId: id, action, reason });
        const released = done.quarantineId === '' ? '' : ' Release it under Quarantine.';
        tell(`Key ${id} is revoked; ${plural(done.touched.length, 'workload')} ${FATES[action]}.${released}`);
        onDone();
      }}
    >
      <fieldset class="bare choices">
        <legend>What becomes of what it has paired</legend>
        {CHOICES.map(([value, title, text]) => (
          <label key={value} class="choice">
            <input type="radio" name="revoke-action" checked={action === value} onChange={() => setAction(value)} />
            <span>
              <strong>{title}</strong>
              <span class="why">{text}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <Section title={`It has paired ${plural(touched, 'workload')}`}>
        <div class="scroll-box">
          <Loaded resource={preview} what="what it has paired">
            {(data) => <Pairings pairings={data.touched} none="It has paired nothing that is still paired." />}
          </Loaded>
        </div>
      </Section>
      <Field label="Reason (kept)">
        <TextInput value={reason} onInput={setReason} placeholder="leaked in a public image" required />
      </Field>
    </ActionDialog>
  );
}

const FATES: Readonly<Record<number, string>> = {
  [RevokeAction.UNSPECIFIED]: 'stay paired',
  [RevokeAction.QUARANTINE]: 'are cut off',
  [RevokeAction.UNPAIR]: 'lost labels and pairing',
};
