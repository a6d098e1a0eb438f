// Profiles: what the holder of a key may become.
import { useState } from 'preact/hooks';
import { Pairing } from '../../api/admin.js';
import { call } from '../../api/client.js';
import type { Resource } from '../../api/resource.js';
import { OnConflict, type PairingProfile, type ProfileDimension } from '../../gen/ringfence/v1/admin_pairing_pb.js';
import { Unpaired } from '../../gen/ringfence/v1/agent_pb.js';
import { linkTo, setQuery } from '../../location.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Button } from '../../ui/controls.js';
import { count, duration, plural } from '../../ui/format.js';
import { SearchInput } from '../../ui/search.js';
import { Facts, Section, SidePanel } from '../../ui/side-panel.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';
import { tell } from '../../ui/toast.js';
import { modeWord } from '../../ui/verdict.js';
import { ProfileDialog } from './profile-dialog.js';

type Open =
  | { readonly is: 'edit'; readonly profile?: PairingProfile }
  | { readonly is: 'switch' | 'delete'; readonly profile: PairingProfile };

export function ProfilesTab({
  profiles,
  query,
}: {
  readonly profiles: Resource<PairingProfile[]>;
  readonly query: URLSearchParams;
}) {
  const [open, setOpen] = useState<Open>();
  const [q, chosen] = [query.get('q') ?? '', query.get('sel') ?? ''];
  const close = () => setOpen(undefined);
  const shown = (profiles.data ?? []).filter((profile) => matches(profile, q));
  const profile = profiles.data?.find(({ name, id }) => name === chosen || id === chosen);
  return (
    <>
      <div class="filters">
        <SearchInput
          label="Search profiles"
          placeholder="Name, label, owner or note"
          value={q}
          onInput={(value) => setQuery({ q: value }, true)}
        />
        <span class="grow" />
        <Button kind="primary" icon="plus" onClick={() => setOpen({ is: 'edit' })}>
          New profile
        </Button>
      </div>
      <div class="split">
        <div class="list">
          <Loaded resource={profiles} what="the profiles">
            {(all) =>
              shown.length === 0 ? (
                <Empty title={all.length === 0 ? 'No profiles yet' : 'Nothing matches'} icon="pairing">
                  {all.length === 0
                    ? 'A profile says which labels a workload gets that presents one of its keys, and which it may ask for. Make one, then a key of it.'
                    : 'No profile has all of these words. Clear the search to see all.'}
                </Empty>
              ) : (
                <Table
                  caption="Profiles"
                  columns={profile === undefined ? COLUMNS : NARROW}
                  rows={shown}
                  keyOf={({ name }) => name}
                  chosen={profile?.name}
                  onChoose={({ name }) => setQuery({ sel: name === chosen ? '' : name })}
                />
              )
            }
          </Loaded>
        </div>
        {profile !== undefined && <ProfilePanel profile={profile} onOpen={(is) => setOpen({ is, profile })} />}
      </div>
      {open?.is === 'edit' && (
        <ProfileDialog
          {...(open.profile === undefined ? {} : { profile: open.profile })}
          onClose={close}
          onDone={(name) => {
            profiles.reload();
            setQuery({ sel: name });
          }}
        />
      )}
      {open?.is === 'switch' && <SwitchDialog profile={open.profile} onClose={close} onDone={profiles.reload} />}
      {open?.is === 'delete' && (
        <ActionDialog
          title={`Delete profile ${open.profile.name}`}
          action="Delete profile"
          danger
          onClose={close}
          run={async () => {
            await call(Pairing.method.deleteProfile, { profile: open.profile.id });
            tell(`Profile ${open.profile.name} and its keys are deleted.`);
            setQuery({ sel: '' });
            profiles.reload();
          }}
        >
          <p>
            {plural(open.profile.liveKeys, 'key')} of it can then pair nothing more. It is refused while a workload that
            one of its keys has paired is still paired ({count(open.profile.paired)} now): revoke that key and unpair
            first.
          </p>
        </ActionDialog>
      )}
    </>
  );
}

function ProfilePanel({
  profile,
  onOpen,
}: {
  readonly profile: PairingProfile;
  readonly onOpen: (is: 'edit' | 'switch' | 'delete') => void;
}) {
  const { name, disabled, lifespanSeconds, usesMax, sources, hostUnpaired } = profile;
  return (
    <SidePanel
      kind="Profile"
      title={name}
      onClose={() => setQuery({ sel: '' })}
      actions={
        <>
          <a class="button small primary" {...linkTo('/pairing', { tab: 'keys', profile: name })}>
            Its keys
          </a>
          <Button small onClick={() => onOpen('edit')}>
            Edit
          </Button>
          <Button small onClick={() => onOpen('switch')}>
            {disabled ? 'Enable' : 'Disable'}
          </Button>
          <Button small kind="danger" onClick={() => onOpen('delete')}>
            Delete
          </Button>
        </>
      }
    >
      <Section title="Labels that it gives">
        {profile.dimensions.length === 0 && <p class="muted">None: what it pairs has no labels.</p>}
        <ul class="lines">
          {profile.dimensions.map((each) => (
            <li key={each.dimension}>
              <span class="tag">{given(each)}</span> <span class="muted">{dimensionText(each)}</span>
            </li>
          ))}
        </ul>
      </Section>
      <Facts
        rows={[
          ['State', <ProfileState profile={profile} />],
          ['Starts in', modeWord(profile.startingMode)],
          [
            'Asking for more',
            profile.onConflict === OnConflict.DENY ? 'denied' : 'gets the profile’s value, and is reported',
          ],
          ['A key lives', lifespanSeconds === 0n ? 'until revoked' : duration(Number(lifespanSeconds) * 1e6)],
          ['Uses of a key', usesMax === 0 ? 'no limit' : count(usesMax)],
          ['Hosts connect from', sources.length === 0 ? 'anywhere' : sources.join(', ')],
          [
            'Hosts by its keys',
            hostUnpaired !== Unpaired.UNSPECIFIED &&
              (hostUnpaired === Unpaired.ISOLATE ? 'cut unpaired containers off' : 'leave unpaired containers alone'),
          ],
          ['Owner', profile.owner],
          ['Note', profile.note],
          ['Live keys', count(profile.liveKeys)],
          ['Paired', plural(profile.paired, 'workload')],
        ]}
      />
    </SidePanel>
  );
}

function SwitchDialog(props: {
  readonly profile: PairingProfile;
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const { profile, onClose, onDone } = props;
  const { name, disabled, liveKeys, paired } = profile;
  const action = disabled ? 'Enable' : 'Disable';
  return (
    <ActionDialog
      title={`${action} profile ${name}`}
      action={action}
      danger={!disabled}
      onClose={onClose}
      run={async () => {
        await call(Pairing.method.saveProfile, { profile: { ...profile, disabled: !disabled } });
        tell(`Profile ${name} is ${disabled ? 'enabled' : 'disabled'}.`);
        onDone();
      }}
    >
      {disabled ? (
        <p>Its keys can pair again, and workloads that were denied because it was disabled are decided anew.</p>
      ) : (
        <p>
          {plural(liveKeys, 'key')} of it can pair nothing as long as it is disabled; what presents one is denied and
          cut off. {plural(paired, 'workload')} that it has paired stay as they are.
        </p>
      )}
    </ActionDialog>
  );
}

function ProfileState({ profile: { disabled } }: { readonly profile: PairingProfile }) {
  return <span class={`mark ${disabled ? 'warning' : 'good'}`}>{disabled ? 'disabled' : 'enabled'}</span>;
}

function given({ dimension, value }: ProfileDimension): string {
  return value === '' ? dimension : `${dimension}=${value}`;
}

function dimensionText({ value, locked, permitted }: ProfileDimension): string {
  if (locked) return value === '' ? 'no value, whatever is asked for' : 'always';
  const others = permitted.filter((each) => each !== value);
  const asked = permitted.length === 0 ? 'any value may be asked for' : `may ask for ${others.join(', ')}`;
  return value === '' ? asked : `unless asked otherwise; ${asked}`;
}

function matches({ name, owner, note, dimensions }: PairingProfile, q: string): boolean {
  const text = `${name} ${owner} ${note} ${dimensions.map(given).join(' ')}`.toLowerCase();
  return q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

const COLUMNS: readonly Column<PairingProfile>[] = [
  { name: 'Profile', cell: ({ name }) => <span class="nowrap">{name}</span>, sort: ({ name }) => name },
  { name: 'State', cell: (profile) => <ProfileState profile={profile} />, sort: ({ disabled }) => (disabled ? 1 : 0) },
  {
    name: 'Labels',
    cell: ({ dimensions }) => (
      <span class="tags">
        {dimensions.map((each) => (
          <span class="tag" key={each.dimension} title={dimensionText(each)}>
            {given(each)}
            {each.locked ? '' : ' …'}
          </span>
        ))}
      </span>
    ),
  },
  { name: 'Starts in', cell: ({ startingMode }) => modeWord(startingMode) },
  { name: 'Live keys', cell: ({ liveKeys }) => count(liveKeys), sort: ({ liveKeys }) => liveKeys, number: true },
  { name: 'Paired', cell: ({ paired }) => count(paired), sort: ({ paired }) => paired, number: true },
  { name: 'Owner', cell: ({ owner }) => owner, sort: ({ owner }) => owner },
];

/** Beside the details. */
const NARROW = COLUMNS.filter(({ name }) => ['Profile', 'State', 'Labels', 'Paired'].includes(name));
