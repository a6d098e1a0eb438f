// Changes the labels of one workload: says what changes before it is done. What did not change keeps its reason.
import { useState } from 'preact/hooks';
import { Labels as LabelsService, Workloads } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { Workload } from '../../gen/ringfence/v1/admin_workloads_pb.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Check } from '../../ui/controls.js';
import { type LabelRow, LabelRows, labelChanges } from '../../ui/label-rows.js';
import { tell } from '../../ui/toast.js';

export function LabelsDialog(props: {
  readonly workload: Workload;
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const { onClose, onDone } = props;
  // As it was when the dialog opened: the controller refuses when somebody else has changed it since.
  const [workload] = useState(props.workload);
  const [rows, setRows] = useState<readonly LabelRow[]>(
    workload.labels.map(({ dimension, value }) => ({ dimension, value })),
  );
  const [sticky, setSticky] = useState(workload.stickyLabels);
  const known = useResource('dimensions', (signal) => call(LabelsService.method.listDimensions, {}, signal));
  const { set, remove, lines, twice } = labelChanges(workload.labels, rows);
  const changes = lines.length > 0 || sticky !== workload.stickyLabels;
  const save = async () => {
    const replace = workload.stickyLabels && !sticky;
    const all = rows.filter(({ dimension, value }) => dimension !== '' && value !== '');
    await call(Workloads.method.setLabels, {
      workload: workload.id,
      set: replace ? all : set,
      remove: replace ? [] : remove,
      replace,
      sticky,
      expectedVersion: workload.version,
    });
    tell(`Labels of ${workload.name || workload.id} are set.`);
    onDone();
  };
  const { isolatedWhy } = workload;
  return (
    <ActionDialog
      title={`Labels of ${workload.name || workload.id}`}
      action="Set labels"
      disabled={!changes || twice !== ''}
      run={save}
      onClose={onClose}
    >
      <LabelRows rows={rows} dimensions={known.data?.dimensions ?? []} onChange={setRows} />
      {twice !== '' && (
        <p class="notice warning" role="alert">
          {twice} stands there twice. A workload has one value in a dimension: remove one.
        </p>
      )}
      {workload.hostId !== '' && (
        <Check
          label="Keep them for a later workload of the same host, kind and name"
          checked={sticky}
          onChange={setSticky}
        />
      )}
      <div>
        <h3>What changes</h3>
        {lines.length === 0 ? (
          <p class="muted">Nothing yet.</p>
        ) : (
          <ul>
            {lines.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        )}
        {lines.length > 0 && (
          <p class="muted small">
            The rules and modes that name these labels apply to it from then on, on every host, and open connections
            that they forbid are cut where it is enforced.
            {isolatedWhy !== '' && ` It is isolated now: ${isolatedWhy}.`}
          </p>
        )}
      </div>
    </ActionDialog>
  );
}
