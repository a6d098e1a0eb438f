// What the draft would change: in words, in reach, and for the connections on record.
import { useState } from 'preact/hooks';
import { Policy } from '../../api/admin.js';
import { CallError, call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { SimulatePolicyResponse } from '../../gen/ringfence/v1/admin_policy_pb.js';
import { linkTo } from '../../location.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Button } from '../../ui/controls.js';
import { ago, count, service } from '../../ui/format.js';
import { Section } from '../../ui/side-panel.js';
import { Empty, Loaded } from '../../ui/states.js';
import { tell } from '../../ui/toast.js';
import { Diff } from './diff.js';

const GROUPS = 50;

export function ChangesTab(props: {
  readonly stamp: string;
  readonly differs: boolean;
  readonly onChanged: () => void;
}) {
  const { stamp, differs, onChanged } = props;
  const [discarding, setDiscarding] = useState(false);
  const effect = useResource(`changes ${stamp}`, async (signal) => {
    const [diff, replay] = await Promise.all([
      call(Policy.method.diff, {}, signal),
      // A draft with errors cannot be replayed: the differences are shown all the same.
      call(Policy.method.simulate, {}, signal).catch((error: unknown) => {
        if (error instanceof CallError) return error;
        throw error;
      }),
    ]);
    return { diff, replay };
  });
  return (
    <div class="split plain">
      <div class="list">
        {!differs && effect.data !== undefined ? (
          <Empty title="The draft is what is in force" icon="policy">
            Change it under <a {...linkTo('/policy', { tab: 'files' })}>Files</a>, or write a rule from a connection on
            the <a {...linkTo('/')}>flow map</a>. What would change then stands here.
          </Empty>
        ) : (
          <Loaded resource={effect} what="what would change">
            {({ diff, replay }) => (
              <div class="stack wide-gap">
                <div class="row">
                  <a class="button small" {...linkTo('/', { view: 'draft' })}>
                    See it on the map
                  </a>
                  <Button small kind="danger" onClick={() => setDiscarding(true)}>
                    Discard the draft
                  </Button>
                </div>
                <Diff diff={diff} />
                <Replay replay={replay} />
              </div>
            )}
          </Loaded>
        )}
      </div>
      {discarding && (
        <ActionDialog
          title="Discard the draft"
          action="Discard"
          danger
          onClose={() => setDiscarding(false)}
          run={async () => {
            await call(Policy.method.discardDraft, {});
            tell('The draft is what is in force again.');
            onChanged();
          }}
        >
          <p>
            The draft becomes the version in force again. What was changed since, by anybody, is lost: it stands in no
            version.
          </p>
        </ActionDialog>
      )}
    </div>
  );
}

function Replay({ replay }: { readonly replay: SimulatePolicyResponse | CallError }) {
  if (replay instanceof CallError)
    return (
      <Section title="Recorded connections, replayed">
        <p class="notice warning">Cannot be replayed: {replay.message}</p>
      </Section>
    );
  const changed = replay.groups.filter(({ outcome }) => outcome !== 'unchanged');
  return (
    <Section title="Recorded connections, replayed">
      <p>
        {count(Number(replay.newlyBlocked))} newly blocked, {count(Number(replay.newlyAllowed))} newly allowed,{' '}
        {count(Number(replay.unchanged))} as before.
      </p>
      {changed.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <section class="table-wrap" aria-label="Replayed connections that change" tabIndex={0}>
          <table class="table">
            <caption class="visually-hidden">Recorded connections whose outcome changes</caption>
            <thead>
              <tr>
                {['Outcome', 'From', 'To', 'Service', 'Connections', 'Last seen', 'Why'].map((name) => (
                  <th scope="col" key={name}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {changed.slice(0, GROUPS).map((group) => (
                <tr key={`${group.outcome} ${group.from} ${group.to} ${group.protocol}/${group.port} ${group.why}`}>
                  <td>
                    <span class={`mark ${group.outcome === 'newly blocked' ? 'blocked' : 'allowed'}`}>
                      {group.outcome}
                    </span>
                  </td>
                  <td>{group.from}</td>
                  <td>{group.to}</td>
                  <td>
                    <code>{service(group.protocol, group.port)}</code>
                  </td>
                  <td class="number">{count(Number(group.connections))}</td>
                  <td class="nowrap">{ago(Number(group.lastSeenMs), Date.now())}</td>
                  <td>{group.why}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      {replay.notes.map((text) => (
        <p key={text} class="muted small">
          {text}
        </p>
      ))}
    </Section>
  );
}
