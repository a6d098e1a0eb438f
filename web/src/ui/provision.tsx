// Makes the draft the next version: what changes and whom it hits is shown first; a window takes it back by itself unless confirmed, and a
// canary limits it to some workloads first.
import { equals } from '@bufbuild/protobuf';
import { useState } from 'preact/hooks';
import { Policy } from '../api/admin.js';
import { CallError, call } from '../api/client.js';
import { reloadStanding, useResource } from '../api/resource.js';
import {
  type DiffPolicyResponse,
  DiffPolicyResponseSchema,
  type SimulatePolicyResponse,
} from '../gen/ringfence/v1/admin_policy_pb.js';
import type { Problem } from '../gen/ringfence/v1/common_pb.js';
import { CanaryField, canaryOf } from './canary.js';
import { Button, Field, Select, TextInput } from './controls.js';
import { Dialog } from './dialog.js';
import { count, service } from './format.js';
import { Problems } from './problems.js';
import { Loaded } from './states.js';
import { tell } from './toast.js';

const WINDOWS = [
  ['0', 'For good'],
  ['60000', 'Take it back after 1 minute unless confirmed'],
  ['300000', 'Take it back after 5 minutes unless confirmed'],
  ['1800000', 'Take it back after 30 minutes unless confirmed'],
] as const;
const SHOWN = 8;

/** `rollbackTo`: provision the content of that old version instead of the draft. */
export function ProvisionDialog(props: {
  readonly rollbackTo?: number;
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const { rollbackTo, onClose, onDone } = props;
  const [note, setNote] = useState('');
  const [window, setWindow] = useState<(typeof WINDOWS)[number][0]>('300000');
  const [whom, setWhom] = useState('');
  const canary = canaryOf(whom);
  const [busy, setBusy] = useState(false);
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const [failed, setFailed] = useState('');
  const effect = useResource(`effect ${rollbackTo ?? 'draft'}`, async (signal) => {
    const to = {
      ref:
        rollbackTo === undefined
          ? ({ case: 'draft', value: true } as const)
          : ({ case: 'version', value: rollbackTo } as const),
    };
    const [diff, replay, now] = await Promise.all([
      call(Policy.method.diff, { to }, signal),
      // A draft with errors cannot be replayed; the errors are shown when it is provisioned.
      call(Policy.method.simulate, { to }, signal).catch((error: unknown) => {
        if (error instanceof CallError) return undefined;
        throw error;
      }),
      call(Policy.method.get, {}, signal),
    ]);
    return { diff, replay, inForce: now.version?.number ?? 0 };
  });
  /** Somebody else changed the draft since its effect was shown: then that is shown anew first. */
  const isStale = async () => {
    if (rollbackTo !== undefined || effect.data === undefined) return false;
    const now = await call(Policy.method.diff, { to: { ref: { case: 'draft', value: true } } });
    if (equals(DiffPolicyResponseSchema, now, effect.data.diff)) return false;
    effect.reload();
    setFailed(
      'Cannot provision the draft: somebody changed it since it was shown. What it changes now stands above: look again.',
    );
    return true;
  };
  const provision = async () => {
    setBusy(true);
    setFailed('');
    setProblems([]);
    const onCondition = window !== '0' || canary.selector !== undefined;
    const rollout = onCondition
      ? { rollout: { confirmWithinMs: Number(window), ...(canary.selector && { canary: canary.selector }) } }
      : {};
    try {
      if (await isStale()) return;
      const answer =
        rollbackTo === undefined
          ? await call(Policy.method.provision, { note, expectedVersion: effect.data?.inForce ?? 0, ...rollout })
          : await call(Policy.method.rollback, { version: rollbackTo, note, ...rollout });
      setProblems(answer.problems);
      if (!answer.accepted) return;
      const told = window === '0' ? '' : ' Confirm it above before its window ends.';
      const where = canary.selector === undefined ? '' : ` for ${whom.trim()}`;
      tell(
        answer.changed
          ? `Version ${answer.version} is in force${where}.${told}`
          : 'Nothing has changed: this content is in force already.',
      );
      reloadStanding();
      onDone();
    } catch (error) {
      setFailed(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  // Nobody provisions what he was not shown; what cannot be shown can be tried, and is refused with its reason.
  const unseen = effect.data === undefined && effect.error === undefined;
  const title = rollbackTo === undefined ? 'Provision the draft' : `Roll back to version ${rollbackTo}`;
  return (
    <Dialog
      title={title}
      wide
      onClose={onClose}
      actions={
        <Button kind="primary" disabled={busy || unseen || note.trim() === '' || !canary.ready} onClick={provision}>
          {rollbackTo === undefined ? 'Provision' : 'Roll back'}
        </Button>
      }
    >
      <Loaded resource={effect} what="what would change">
        {({ diff, replay }) => <Effect diff={diff} replay={replay} />}
      </Loaded>
      <Field label="Note: why (kept with the version)">
        <TextInput value={note} onInput={setNote} placeholder="shop may call payments" required />
      </Field>
      <Field label="How long">
        <Select value={window} options={WINDOWS} onChange={setWindow} />
      </Field>
      <CanaryField text={whom} onInput={setWhom} />
      <Problems problems={problems} />
      {failed !== '' && (
        <p class="notice alarm" role="alert">
          {failed}
        </p>
      )}
    </Dialog>
  );
}

function Effect({
  diff,
  replay,
}: {
  readonly diff: DiffPolicyResponse;
  readonly replay: SimulatePolicyResponse | undefined;
}) {
  const changes = diff.objects.map(({ section, key, change }) => `${change} ${section} ${key}`);
  const blocked = replay?.groups.filter(({ outcome }) => outcome === 'newly blocked') ?? [];
  const allowed = replay?.groups.filter(({ outcome }) => outcome === 'newly allowed') ?? [];
  return (
    <>
      <div>
        <h3>Changes</h3>
        {changes.length === 0 ? (
          <p class="muted">Nothing differs from the version in force.</p>
        ) : (
          <ul>
            {changes.slice(0, SHOWN).map((text) => (
              <li key={text}>{text}</li>
            ))}
            {changes.length > SHOWN && <li class="muted">and {changes.length - SHOWN} more</li>}
          </ul>
        )}
      </div>
      {replay && (
        <div>
          <h3>Recorded connections, replayed</h3>
          <p>
            {count(Number(replay.newlyBlocked))} newly blocked, {count(Number(replay.newlyAllowed))} newly allowed,{' '}
            {count(Number(replay.unchanged))} as before.
          </p>
          <ul>
            {[...blocked, ...allowed].slice(0, SHOWN).map((group) => (
              <li key={`${group.outcome} ${group.from} ${group.to} ${group.protocol}/${group.port} ${group.why}`}>
                <strong>{group.outcome}</strong>: {group.from} → {group.to} {service(group.protocol, group.port)} (
                {count(Number(group.connections))})
              </li>
            ))}
          </ul>
          {replay.notes.map((text) => (
            <p key={text} class="muted small">
              {text}
            </p>
          ))}
        </div>
      )}
    </>
  );
}
