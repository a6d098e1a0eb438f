// Keys: made and shown once, rotated, revoked with everything that they have paired in sight.
import { useState } from 'preact/hooks';
import { Audit, Pairing } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { CreateKeyResponse, PairingKey, PairingProfile } from '../../gen/ringfence/v1/admin_pairing_pb.js';
import { linkTo, setQuery } from '../../location.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Button, Check, Field, Select, TextInput } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { ago, count, time } from '../../ui/format.js';
import { CopyText, ShownOnce } from '../../ui/secret.js';
import { Facts, Section, SidePanel } from '../../ui/side-panel.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';
import { Pairings } from './pairings.js';
import { RevokeKeyDialog } from './revoke-dialog.js';

type Open =
  | { readonly is: 'new' }
  | { readonly is: 'rotate' | 'revoke'; readonly key: PairingKey }
  | { readonly is: 'made'; readonly made: CreateKeyResponse; readonly instead?: PairingKey };

export function KeysTab({
  profiles,
  query,
}: {
  readonly profiles: readonly PairingProfile[];
  readonly query: URLSearchParams;
}) {
  const [open, setOpen] = useState<Open>();
  const [profile, dead, chosen] = [query.get('profile') ?? '', query.get('dead') === '1', query.get('sel') ?? ''];
  const keys = useResource(
    `keys ${profile} ${dead}`,
    async (signal) =>
      (await call(Pairing.method.listKeys, { profile, includeDead: dead || chosen !== '' }, signal)).keys,
    { everyMs: 5000 },
  );
  const close = () => setOpen(undefined);
  const shown = (keys.data ?? []).filter(({ state }) => dead || state === 'live' || state === 'disabled');
  const key = keys.data?.find(({ id }) => id === chosen);
  const made = (response: CreateKeyResponse, instead?: PairingKey) => {
    keys.reload();
    setOpen({ is: 'made', made: response, ...(instead === undefined ? {} : { instead }) });
  };
  const options = [['', 'Every profile'], ...profiles.map(({ name }) => [name, name] as const)] as const;
  return (
    <>
      <div class="filters">
        <Select
          label="Keys of profile"
          value={profile}
          options={options}
          onChange={(value) => setQuery({ profile: value }, true)}
        />
        <Check
          label="Also revoked, expired and used up"
          checked={dead}
          onChange={(on) => setQuery({ dead: on ? '1' : '' }, true)}
        />
        <span class="grow" />
        <Button kind="primary" icon="plus" disabled={profiles.length === 0} onClick={() => setOpen({ is: 'new' })}>
          Make a key
        </Button>
      </div>
      <div class="split">
        <div class="list">
          <Loaded resource={keys} what="the keys">
            {() =>
              shown.length === 0 ? (
                <Empty title="No keys" icon="pairing">
                  {profiles.length === 0 ? (
                    <>
                      A key belongs to a profile: make <a {...linkTo('/pairing')}>a profile</a> first.
                    </>
                  ) : (
                    'Make one: a workload that presents it gets the labels of its profile.'
                  )}
                </Empty>
              ) : (
                <Table
                  caption="Keys, newest first"
                  columns={key === undefined ? COLUMNS : NARROW}
                  rows={shown}
                  keyOf={({ id }) => id}
                  chosen={chosen}
                  onChoose={({ id }) => setQuery({ sel: id === chosen ? '' : id })}
                />
              )
            }
          </Loaded>
        </div>
        {key !== undefined && <KeyPanel pairingKey={key} onOpen={(is) => setOpen({ is, key })} />}
      </div>
      {open?.is === 'new' && <NewKey profiles={profiles} profile={profile} onClose={close} onDone={made} />}
      {open?.is === 'rotate' && (
        <RotateKey old={open.key} onClose={close} onDone={(response) => made(response, open.key)} />
      )}
      {open?.is === 'made' && (
        <MadeKey
          made={open.made}
          {...(open.instead === undefined ? {} : { instead: open.instead })}
          onClose={close}
          onRevoke={(key) => setOpen({ is: 'revoke', key })}
        />
      )}
      {open?.is === 'revoke' && <RevokeKeyDialog pairingKey={open.key} onClose={close} onDone={keys.reload} />}
    </>
  );
}

function KeyPanel({
  pairingKey,
  onOpen,
}: {
  readonly pairingKey: PairingKey;
  readonly onOpen: (is: 'rotate' | 'revoke') => void;
}) {
  const { id, state, revokedMs } = pairingKey;
  const used = useResource(`key ${id} ${pairingKey.uses} ${pairingKey.paired} ${state}`, async (signal) => {
    const filter = { actions: ['pairing.', 'key.', 'quarantine.'], keyId: id };
    const [{ pairings }, { entries }] = await Promise.all([
      call(Pairing.method.listPairings, { keyId: id }, signal),
      call(Audit.method.list, { filter, limit: 50 }, signal),
    ]);
    return { pairings, entries };
  });
  return (
    <SidePanel
      kind="Key"
      title={id}
      onClose={() => setQuery({ sel: '' })}
      actions={
        <>
          <Button small kind="primary" onClick={() => onOpen('rotate')}>
            Rotate
          </Button>
          <Button small kind="danger" onClick={() => onOpen('revoke')}>
            {revokedMs > 0n ? 'What it has paired …' : 'Revoke'}
          </Button>
        </>
      }
    >
      <Facts
        rows={[
          ['State', <KeyState pairingKey={pairingKey} />],
          ['Profile', <a {...linkTo('/pairing', { sel: pairingKey.profileName })}>{pairingKey.profileName}</a>],
          ['Uses', usesText(pairingKey)],
          ['Made', `${time(Number(pairingKey.createdMs))} by ${pairingKey.author}`],
          ['Ends', pairingKey.expiresMs === 0n ? 'when revoked' : time(Number(pairingKey.expiresMs))],
          ['Revoked', revokedMs > 0n && time(Number(revokedMs))],
          ['Note', pairingKey.note],
        ]}
      />
      <Loaded resource={used} what="its use">
        {({ pairings, entries }) => (
          <>
            <Section title={`Paired by it (${count(pairings.filter(({ paired }) => paired).length)})`}>
              <Pairings pairings={pairings} none="Nothing is paired by it." />
            </Section>
            <Section title="History">
              <ul class="lines">
                {entries.map(({ sequence, atMs, actor, text }) => (
                  <li key={String(sequence)}>
                    {text}
                    <span class="why">
                      {time(Number(atMs))}, {actor}
                    </span>
                  </li>
                ))}
              </ul>
            </Section>
          </>
        )}
      </Loaded>
    </SidePanel>
  );
}

function NewKey(props: {
  readonly profiles: readonly PairingProfile[];
  readonly profile: string;
  readonly onClose: () => void;
  readonly onDone: (made: CreateKeyResponse) => void;
}) {
  const { profiles, onClose, onDone } = props;
  const [profile, setProfile] = useState(props.profile || (profiles[0]?.name ?? ''));
  const [note, setNote] = useState('');
  return (
    <ActionDialog
      title="Make a pairing key"
      action="Make key"
      onClose={onClose}
      onDone={onDone}
      run={() => call(Pairing.method.createKey, { profile, note })}
    >
      <Field label="Profile">
        <Select value={profile} options={profiles.map(({ name }) => [name, name] as const)} onChange={setProfile} />
      </Field>
      <Field label="Note (optional)">
        <TextInput value={note} onInput={setNote} placeholder="for the image build" />
      </Field>
    </ActionDialog>
  );
}

function RotateKey(props: {
  readonly old: PairingKey;
  readonly onClose: () => void;
  readonly onDone: (made: CreateKeyResponse) => void;
}) {
  const { old, onClose, onDone } = props;
  const [note, setNote] = useState(`instead of ${old.id}`);
  return (
    <ActionDialog
      title={`Rotate key ${old.id}`}
      action="Make the new key"
      onClose={onClose}
      onDone={onDone}
      run={() => call(Pairing.method.createKey, { profile: old.profileId, note })}
    >
      <p>
        A second key of profile {old.profileName} is made and shown once. Both work until you revoke the old one, which
        you can do in the next step or when the new one is everywhere. What the old one has paired stays paired.
      </p>
      <Field label="Note">
        <TextInput value={note} onInput={setNote} />
      </Field>
    </ActionDialog>
  );
}

function MadeKey(props: {
  readonly made: CreateKeyResponse;
  readonly instead?: PairingKey;
  readonly onClose: () => void;
  readonly onRevoke: (key: PairingKey) => void;
}) {
  const { made, instead, onClose, onRevoke } = props;
  return (
    <Dialog
      title={`Key ${made.key?.id ?? ''}`}
      wide
      onClose={onClose}
      actions={
        instead && (
          <Button kind="danger" onClick={() => onRevoke(instead)}>
            Revoke the old key …
          </Button>
        )
      }
    >
      <ShownOnce what="key" />
      <CopyText label="Pairing key" text={made.text} />
      <p>
        A container carries it as the label <code>ringfence.pairing-key</code>, in a file, or in a variable, as its
        agent is configured. <code>docs/pairing.md</code> shows each.
      </p>
    </Dialog>
  );
}

const TONES: Readonly<Record<string, string>> = { live: 'good', disabled: 'warning', revoked: 'alarm' };

function KeyState({ pairingKey: { state } }: { readonly pairingKey: PairingKey }) {
  return <span class={`mark ${TONES[state] ?? 'info'}`}>{state}</span>;
}

function usesText({ uses, usesMax }: PairingKey): string {
  return usesMax === 0 ? count(uses) : `${count(uses)} of ${count(usesMax)}`;
}

const COLUMNS: readonly Column<PairingKey>[] = [
  { name: 'Key', cell: ({ id }) => <code>{id}</code>, sort: ({ id }) => id },
  { name: 'Profile', cell: ({ profileName }) => profileName, sort: ({ profileName }) => profileName },
  { name: 'State', cell: (key) => <KeyState pairingKey={key} />, sort: ({ state }) => state },
  { name: 'Uses', cell: usesText, sort: ({ uses }) => uses, number: true },
  { name: 'Paired', cell: ({ paired }) => count(paired), sort: ({ paired }) => paired, number: true },
  {
    name: 'Ends',
    cell: ({ expiresMs }) =>
      expiresMs === 0n ? <span class="muted">when revoked</span> : ago(Number(expiresMs), Date.now()),
    sort: ({ expiresMs }) => Number(expiresMs),
  },
  {
    name: 'Made',
    cell: ({ createdMs, author }) => `${ago(Number(createdMs), Date.now())} by ${author}`,
    sort: ({ createdMs }) => Number(createdMs),
  },
  { name: 'Note', cell: ({ note }) => note },
];

/** Beside the details. */
const NARROW = COLUMNS.filter(({ name }) => ['Key', 'Profile', 'State', 'Uses', 'Paired'].includes(name));
