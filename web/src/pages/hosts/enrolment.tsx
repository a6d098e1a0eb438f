// How a host is let in: one-time tokens, made here, shown once, used once.
import { useState } from 'preact/hooks';
import { Hosts } from '../../api/admin.js';
import { call } from '../../api/client.js';
import type { Resource } from '../../api/resource.js';
import type { CreateTokenResponse, TokenInfo } from '../../gen/ringfence/v1/admin_hosts_pb.js';
import { linkTo } from '../../location.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Button, Field, Select, TextInput } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { ago, time } from '../../ui/format.js';
import { CopyText, ShownOnce } from '../../ui/secret.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';
import { tell } from '../../ui/toast.js';

type Open =
  | { readonly is: 'new' }
  | { readonly is: 'made'; readonly made: CreateTokenResponse }
  | { readonly is: 'revoke'; readonly token: TokenInfo };

export function Enrolment({ tokens }: { readonly tokens: Resource<TokenInfo[]> }) {
  const [open, setOpen] = useState<Open>();
  const close = () => setOpen(undefined);
  const columns: readonly Column<TokenInfo>[] = [
    { name: 'Token', cell: ({ tokenId }) => <code>{tokenId}</code> },
    { name: 'For host', cell: ({ hostId }) => hostId || <span class="muted">any, by its name</span> },
    {
      name: 'Ends',
      cell: ({ expiresMs }) => <span title={time(Number(expiresMs))}>{ago(Number(expiresMs), Date.now())}</span>,
    },
    { name: 'Made', cell: ({ createdMs, author }) => `${ago(Number(createdMs), Date.now())} by ${author}` },
    { name: 'Note', cell: ({ note }) => note },
    {
      name: 'Revoke',
      cell: (token) => (
        <Button
          small
          kind="danger"
          label={`Revoke token ${token.tokenId}`}
          onClick={() => setOpen({ is: 'revoke', token })}
        >
          Revoke
        </Button>
      ),
    },
  ];
  return (
    <>
      <div class="filters">
        <p class="muted grow">
          A token lets one agent get its certificate. A fleet can enrol by a{' '}
          <a {...linkTo('/pairing', { tab: 'keys' })}>pairing key</a> instead.
        </p>
        <Button kind="primary" icon="plus" onClick={() => setOpen({ is: 'new' })}>
          Make a token
        </Button>
      </div>
      <div class="split">
        <div class="list">
          <Loaded resource={tokens} what="the tokens">
            {(rows) =>
              rows.length === 0 ? (
                <Empty title="No token that could be used" icon="pairing">
                  Make one for each machine that shall join. It ends by itself when it is used or its time has come.
                </Empty>
              ) : (
                <Table caption="Enrolment tokens" columns={columns} rows={rows} keyOf={({ tokenId }) => tokenId} />
              )
            }
          </Loaded>
        </div>
      </div>
      {open?.is === 'new' && (
        <NewToken
          onClose={close}
          onMade={(made) => {
            tokens.reload();
            setOpen({ is: 'made', made });
          }}
        />
      )}
      {open?.is === 'made' && <MadeToken made={open.made} onClose={close} />}
      {open?.is === 'revoke' && (
        <ActionDialog
          title={`Revoke token ${open.token.tokenId}`}
          action="Revoke token"
          danger
          onClose={close}
          run={async () => {
            await call(Hosts.method.revokeToken, { tokenId: open.token.tokenId });
            tell(`Token ${open.token.tokenId} is revoked.`);
            tokens.reload();
          }}
        >
          <p>Nobody can enrol with it any more. Hosts that have enrolled are not touched.</p>
        </ActionDialog>
      )}
    </>
  );
}

const TTLS = [
  ['900', '15 minutes'],
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '7 days'],
] as const;

function NewToken({
  onClose,
  onMade,
}: {
  readonly onClose: () => void;
  readonly onMade: (made: CreateTokenResponse) => void;
}) {
  const [ttl, setTtl] = useState<(typeof TTLS)[number][0]>('3600');
  const [hostId, setHostId] = useState('');
  const [note, setNote] = useState('');
  return (
    <ActionDialog
      title="Make an enrolment token"
      action="Make token"
      onClose={onClose}
      run={() => call(Hosts.method.createToken, { ttlSeconds: Number(ttl), hostId: hostId.trim(), note })}
      onDone={onMade}
    >
      <div class="grid-form">
        <Field label="It can be used for">
          <Select value={ttl} options={TTLS} onChange={setTtl} />
        </Field>
        <Field label="Id of the host (optional)" hint="Of a host that enrols again: its older certificates are revoked">
          <TextInput value={hostId} onInput={setHostId} placeholder="made from its name" />
        </Field>
        <div class="whole">
          <Field label="Note (optional)">
            <TextInput value={note} onInput={setNote} placeholder="rack 12" />
          </Field>
        </div>
      </div>
    </ActionDialog>
  );
}

function MadeToken({ made, onClose }: { readonly made: CreateTokenResponse; readonly onClose: () => void }) {
  const { token, tokenId, expiresMs, enrollAddress } = made;
  return (
    <Dialog title={`Token ${tokenId}`} wide onClose={onClose}>
      <ShownOnce what="token" />
      <CopyText label="Token" text={token} />
      <p>On the machine that shall join, as root, with the token in a file that only root can read:</p>
      <CopyText label="Command" text={`ringfence enroll --controller ${enrollAddress} --token-file token`} />
      <p class="muted">
        It works once, until {time(Number(expiresMs))}. The host stands in the list when its agent connects.
      </p>
    </Dialog>
  );
}
