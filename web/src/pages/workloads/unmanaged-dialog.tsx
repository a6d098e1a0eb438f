// A workload without an agent: its name, addresses and labels, as its owner describes it.
import { useState } from 'preact/hooks';
import { Labels as LabelsService, Workloads } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { Workload } from '../../gen/ringfence/v1/admin_workloads_pb.js';
import { readAddress } from '../../ui/address.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Field, TextArea, TextInput } from '../../ui/controls.js';
import { address } from '../../ui/format.js';
import { type LabelRow, LabelRows, labelChanges } from '../../ui/label-rows.js';
import { tell } from '../../ui/toast.js';

/** `workload`: the one to change; without it, a new one is made. `onDone` gets its id. */
export function UnmanagedDialog(props: {
  readonly workload?: Workload;
  readonly onClose: () => void;
  readonly onDone: (id: string) => void;
}) {
  const { onClose, onDone } = props;
  const [before] = useState(props.workload);
  const [name, setName] = useState(before?.name ?? '');
  const [text, setText] = useState(
    (before?.addresses ?? []).map(({ ip, space }) => address(ip) + (space === '' ? '' : `@${space}`)).join('\n'),
  );
  const [rows, setRows] = useState<readonly LabelRow[]>(
    (before?.labels ?? [{ dimension: 'role', value: '' }]).map(({ dimension, value }) => ({ dimension, value })),
  );
  const known = useResource('dimensions', (signal) => call(LabelsService.method.listDimensions, {}, signal));
  const { addresses, wrong } = readAddresses(text);
  const { twice } = labelChanges([], rows);
  const save = async () => {
    const labels = rows.filter(({ dimension, value }) => dimension !== '' && value !== '');
    const spec = { id: before?.id ?? '', name: name.trim(), addresses, labels, metadata: before?.metadata ?? {} };
    const made =
      before === undefined
        ? await call(Workloads.method.create, { workload: spec })
        : await call(Workloads.method.update, { workload: spec, expectedVersion: before.version });
    tell(before === undefined ? `${made.name} is added.` : `${made.name} is changed.`);
    onDone(made.id);
  };
  return (
    <ActionDialog
      title={before === undefined ? 'Add a workload without an agent' : `Change ${before.name}`}
      action={before === undefined ? 'Add workload' : 'Save'}
      disabled={name.trim() === '' || wrong !== '' || twice !== ''}
      run={save}
      onClose={onClose}
    >
      <p class="muted">
        For what cannot run an agent: an appliance, a managed database, a partner. Nothing is enforced there; its peers
        enforce at their end, by its labels.
      </p>
      <Field label="Name">
        <TextInput value={name} onInput={setName} placeholder="billing-mainframe" required />
      </Field>
      <Field
        label="Addresses, one on a line"
        hint="10.1.2.3 or 2001:db8::5; @space behind it when it is not in the routed world"
      >
        <TextArea value={text} onInput={setText} rows={3} />
      </Field>
      {wrong !== '' && (
        <p class="notice warning" role="alert">
          {wrong} is no address. Write one IPv4 or IPv6 address on each line, without a prefix length.
        </p>
      )}
      <LabelRows rows={rows} dimensions={known.data?.dimensions ?? []} onChange={setRows} />
      {twice !== '' && (
        <p class="notice warning" role="alert">
          {twice} stands there twice: remove one.
        </p>
      )}
    </ActionDialog>
  );
}

function readAddresses(text: string) {
  const lines = text.split(/[\s,]+/).filter((line) => line !== '');
  const addresses: { ip: Uint8Array<ArrayBuffer>; space: string }[] = [];
  for (const line of lines) {
    const at = line.indexOf('@');
    const ip = readAddress(at < 0 ? line : line.slice(0, at));
    if (ip === undefined) return { addresses, wrong: line };
    addresses.push({ ip, space: at < 0 ? '' : line.slice(at + 1) });
  }
  return { addresses, wrong: '' };
}
