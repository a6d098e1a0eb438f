// A profile as one writes it.
import { useState } from 'preact/hooks';
import { Pairing } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { OnConflict, type PairingProfile } from '../../gen/ringfence/v1/admin_pairing_pb.js';
import { Unpaired } from '../../gen/ringfence/v1/agent_pb.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Button, Field, Select, TextInput } from '../../ui/controls.js';
import { MODES, type ModeName, modeOf } from '../../ui/mode.js';
import { tell } from '../../ui/toast.js';
import { modeWord } from '../../ui/verdict.js';

interface Row {
  readonly dimension: string;
  readonly value: string;
  readonly rule: 'locked' | 'any' | 'some';
  /** Separated by blanks or commas. */
  readonly permitted: string;
}

const RULES = [
  ['locked', 'always'],
  ['some', 'or one of'],
  ['any', 'or any other'],
] as const;

const LIFESPANS = [
  ['0', 'until it is revoked'],
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['2592000', '30 days'],
  ['31536000', '1 year'],
] as const;

const CONFLICTS = [
  ['value', 'the profile’s value, and is reported'],
  ['deny', 'nothing: it is denied and cut off'],
] as const;

const HOSTS = [
  ['inherit', 'as the agent’s configuration says'],
  ['visibility', 'are left alone'],
  ['isolate', 'are cut off until they pair'],
] as const;

/** `profile`: the one to change; without it, a new one is made. `onDone` gets its name. */
export function ProfileDialog(props: {
  readonly profile?: PairingProfile;
  readonly onClose: () => void;
  readonly onDone: (name: string) => void;
}) {
  const { onClose, onDone } = props;
  const [before] = useState(props.profile);
  const [name, setName] = useState(before?.name ?? '');
  const [rows, setRows] = useState<readonly Row[]>(rowsOf(before));
  const [mode, setMode] = useState<ModeName>(startingMode(before));
  const kept = String(before?.lifespanSeconds ?? 0);
  const [lifespan, setLifespan] = useState(kept);
  const [uses, setUses] = useState(before === undefined || before.usesMax === 0 ? '' : String(before.usesMax));
  const [conflict, setConflict] = useState<(typeof CONFLICTS)[number][0]>(
    before?.onConflict === OnConflict.DENY ? 'deny' : 'value',
  );
  const [sources, setSources] = useState(before?.sources.join(' ') ?? '');
  const [hosts, setHosts] = useState<(typeof HOSTS)[number][0]>(hostsOf(before));
  const [owner, setOwner] = useState(before?.owner ?? '');
  const [note, setNote] = useState(before?.note ?? '');
  const usesWrong = uses !== '' && !/^[1-9]\d{0,8}$/.test(uses);
  const lifespans = LIFESPANS.some(([value]) => value === kept)
    ? LIFESPANS
    : ([...LIFESPANS, [kept, `${kept} seconds`]] as const);
  const save = async () => {
    const profile = {
      id: before?.id ?? '',
      name: name.trim(),
      dimensions: rows
        .filter(({ dimension }) => dimension.trim() !== '')
        .map(({ dimension, value, rule, permitted }) => ({
          dimension: dimension.trim(),
          value: value.trim(),
          locked: rule === 'locked',
          // The API's list names the value that is given as well.
          permitted:
            rule === 'some' ? [...new Set([value.trim(), ...words(permitted)].filter((each) => each !== ''))] : [],
        })),
      startingMode: modeOf(mode),
      lifespanSeconds: BigInt(lifespan),
      usesMax: uses === '' ? 0 : Number(uses),
      onConflict: conflict === 'deny' ? OnConflict.DENY : OnConflict.PROFILE_VALUE,
      sources: words(sources),
      disabled: before?.disabled ?? false,
      owner,
      note,
      hostUnpaired:
        hosts === 'isolate' ? Unpaired.ISOLATE : hosts === 'visibility' ? Unpaired.VISIBILITY : Unpaired.UNSPECIFIED,
    };
    const saved = await call(Pairing.method.saveProfile, { profile });
    tell(`Profile ${saved.name} is ${before === undefined ? 'made' : 'changed'}.`);
    onDone(saved.name);
  };
  return (
    <ActionDialog
      title={before === undefined ? 'New profile' : `Change profile ${before.name}`}
      action={before === undefined ? 'Make profile' : 'Save'}
      wide
      disabled={name.trim() === '' || usesWrong}
      run={save}
      onClose={onClose}
    >
      {before !== undefined && (
        <p class="muted">
          What it has paired stays as it is. Workloads that were denied by it are decided anew; lifespan and uses count
          for keys that are made later.
        </p>
      )}
      <Field label="Name" hint="Letters, digits, dots and dashes">
        <TextInput value={name} onInput={setName} placeholder="web" required />
      </Field>
      <DimensionRows rows={rows} onChange={setRows} />
      <div class="grid-form">
        <Field label="What it pairs starts in" hint="As long as no mode of the policy names the workload">
          <Select value={mode} options={MODES} onChange={setMode} />
        </Field>
        <Field label="Who asks for more than it permits gets">
          <Select value={conflict} options={CONFLICTS} onChange={setConflict} />
        </Field>
        <Field label="A key lives">
          <Select value={lifespan} options={lifespans} onChange={setLifespan} />
        </Field>
        <Field label="Uses of one key" hint={usesWrong ? 'A whole number, or empty' : 'Empty: no limit'}>
          <TextInput value={uses} onInput={setUses} placeholder="no limit" />
        </Field>
        <Field label="Only from hosts that connect from" hint="Prefixes with blanks between them; empty: anywhere">
          <TextInput value={sources} onInput={setSources} placeholder="10.0.0.0/8" />
        </Field>
        <Field label="On hosts that enrol by its keys, unpaired containers">
          <Select value={hosts} options={HOSTS} onChange={setHosts} />
        </Field>
        <Field label="Owner">
          <TextInput value={owner} onInput={setOwner} placeholder="team-shop" />
        </Field>
        <Field label="Note">
          <TextInput value={note} onInput={setNote} />
        </Field>
      </div>
    </ActionDialog>
  );
}

function DimensionRows({
  rows,
  onChange,
}: {
  readonly rows: readonly Row[];
  readonly onChange: (rows: readonly Row[]) => void;
}) {
  const change = (at: number, row: Partial<Row>) =>
    onChange(rows.map((each, index) => (index === at ? { ...each, ...row } : each)));
  return (
    <fieldset class="rows-edit bare" aria-label="Labels that it gives">
      <h3>Labels that it gives</h3>
      {rows.map(({ dimension, value, rule, permitted }, index) => (
        <div class="row" key={index}>
          <input
            class="input"
            aria-label={`Dimension ${index + 1}`}
            placeholder="role"
            value={dimension}
            spellcheck={false}
            onInput={(event) => change(index, { dimension: event.currentTarget.value })}
          />
          <span aria-hidden="true">=</span>
          <input
            class="input"
            aria-label={`Value ${index + 1}`}
            placeholder={rule === 'locked' ? 'web' : 'none'}
            value={value}
            spellcheck={false}
            onInput={(event) => change(index, { value: event.currentTarget.value })}
          />
          <Select
            label={`What may be asked for ${index + 1}`}
            value={rule}
            options={RULES}
            onChange={(to) => change(index, { rule: to })}
          />
          {rule === 'some' && (
            <input
              class="input"
              aria-label={`Values that may be asked for ${index + 1}`}
              placeholder="cache proxy"
              value={permitted}
              spellcheck={false}
              onInput={(event) => change(index, { permitted: event.currentTarget.value })}
            />
          )}
          <Button
            kind="plain"
            small
            icon="close"
            label={`Remove dimension ${dimension || index + 1}`}
            onClick={() => onChange(rows.filter((_, at) => at !== index))}
          />
        </div>
      ))}
      <div>
        <Button
          small
          icon="plus"
          onClick={() => onChange([...rows, { dimension: '', value: '', rule: 'locked', permitted: '' }])}
        >
          Add a dimension
        </Button>
      </div>
      <p class="muted small">A dimension that is not named here stays without a label, whatever is asked for.</p>
    </fieldset>
  );
}

function rowsOf(profile: PairingProfile | undefined): Row[] {
  if (profile === undefined) return [{ dimension: 'role', value: '', rule: 'locked', permitted: '' }];
  return profile.dimensions.map(({ dimension, value, locked, permitted }) => ({
    dimension,
    value,
    rule: locked ? 'locked' : permitted.length === 0 ? 'any' : 'some',
    permitted: permitted.filter((each) => each !== value).join(' '),
  }));
}

function startingMode(profile: PairingProfile | undefined): ModeName {
  const word = modeWord(profile?.startingMode);
  return MODES.find(([name]) => name === word)?.[0] ?? 'visibility';
}

function hostsOf(profile: PairingProfile | undefined): (typeof HOSTS)[number][0] {
  if (profile?.hostUnpaired === Unpaired.ISOLATE) return 'isolate';
  return profile?.hostUnpaired === Unpaired.VISIBILITY ? 'visibility' : 'inherit';
}

function words(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '');
}
