import {
  OnConflict,
  PairingProfile,
  PairingService,
  type ProfileDimension,
} from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import type { Action } from '../app.js';
import { usageError } from '../errors.js';
import { parseWhole } from '../filter/numbers.js';
import { parseLabel } from '../filter/selector.js';
import { parseDurationOption } from '../filter/time.js';
import { confirm } from '../output/confirm.js';
import { field } from '../output/fields.js';
import { profileColumns, profileFields, profileJson } from '../views/pairing.js';
import { modeWords, unpairedWords } from '../views/words.js';

interface ProfileOptions {
  lock?: string[];
  default?: string[];
  allow?: string[];
  drop?: string[];
  mode?: string;
  lifespan?: string;
  maxUses?: string;
  onConflict?: string;
  source?: string[];
  anySource?: boolean;
  hostUnpaired?: string;
  owner?: string;
  note?: string;
  enable?: boolean;
  disable?: boolean;
}

/** `profile create`. */
export const createProfile: Action<[string], ProfileOptions> = async (invocation, options, name) => {
  const profile = changed(PairingProfile.fromPartial({ name }), options);
  const connection = await invocation.connect();
  const saved = await connection.call(`create profile ${name}`, PairingService.saveProfile, { profile });
  await invocation.printer.object({ json: profileJson(saved), fields: profileFields(saved) });
  await invocation.printer.note(`Next: ringfence key create ${name}`);
};

/** `profile update`. */
export const updateProfile: Action<[string], ProfileOptions> = async (invocation, options, name) => {
  if (options.enable && options.disable)
    throw usageError('Cannot change the profile', 'found --enable and --disable', 'one of them');
  const connection = await invocation.connect();
  const before = await connection.call(`find profile ${name}`, PairingService.getProfile, { profile: name });
  const profile = changed(before, options);
  const saved = await connection.call(`change profile ${name}`, PairingService.saveProfile, { profile });
  await invocation.printer.object({ json: profileJson(saved), fields: profileFields(saved) });
};

/** `profile list`. */
export const listProfiles: Action<[], object> = async (invocation) => {
  const connection = await invocation.connect();
  const { profiles } = await connection.call('list profiles', PairingService.listProfiles, {});
  await invocation.printer.list({
    name: 'profiles',
    rows: profiles,
    columns: profileColumns,
    json: profileJson,
    empty: 'No profiles yet. Next: ringfence profile create NAME --lock role=web',
  });
};

/** `profile show`. */
export const showProfile: Action<[string], object> = async (invocation, _options, name) => {
  const connection = await invocation.connect();
  const found = await connection.call(`show profile ${name}`, PairingService.getProfile, { profile: name });
  await invocation.printer.object({ json: profileJson(found), fields: profileFields(found) });
};

/** `profile delete`: asks first. */
export const deleteProfile: Action<[string], { yes?: boolean }> = async (invocation, options, name) => {
  const connection = await invocation.connect();
  const found = await connection.call(`find profile ${name}`, PairingService.getProfile, { profile: name });
  await confirm(invocation, options.yes, `Delete profile ${found.name} and its keys (${found.liveKeys} live)?`);
  await connection.call(`delete profile ${name}`, PairingService.deleteProfile, { profile: found.id });
  await invocation.printer.object({ json: { deleted: found.name }, fields: [field('deleted', found.name)] });
};

/** The profile with what the options say. Throws a usage error. */
function changed(profile: PairingProfile, options: ProfileOptions): PairingProfile {
  const dimensions = new Map(profile.dimensions.map((entry) => [entry.dimension, { ...entry }]));
  for (const dimension of options.drop ?? []) {
    if (!dimensions.delete(dimension))
      throw usageError(
        'Cannot drop the dimension',
        `found ${dimension}, of which it says nothing`,
        'one that it names',
      );
  }
  const fresh = new Set<string>();
  const entryOf = (dimension: string): ProfileDimension => {
    const known = fresh.has(dimension) ? dimensions.get(dimension) : undefined;
    const entry = known ?? { dimension, value: '', locked: false, permitted: [] };
    fresh.add(dimension);
    dimensions.set(dimension, entry);
    return entry;
  };
  for (const text of options.lock ?? []) {
    const { dimension, value } = parseLabel(text, '--lock');
    const entry = entryOf(dimension);
    entry.value = value;
    entry.locked = true;
  }
  for (const text of options.default ?? []) {
    const { dimension, value } = parseLabel(text, '--default');
    entryOf(dimension).value = value;
  }
  for (const text of options.allow ?? []) {
    const [dimension = '', list = ''] = text.split(/=(.*)/s, 2);
    if (dimension === '')
      throw usageError('Cannot read --allow', `found ${JSON.stringify(text)}`, 'role=web|cache, or role');
    const entry = entryOf(dimension);
    if (entry.locked)
      throw usageError('Cannot read the profile', `found ${dimension} with --lock and --allow`, 'one of them');
    entry.permitted = list === '' ? [] : list.split('|');
  }
  return {
    ...profile,
    dimensions: [...dimensions.values()],
    ...(options.mode !== undefined && { startingMode: modeWords.parse(options.mode) ?? 0 }),
    ...(options.lifespan !== undefined && { lifespanSeconds: lifespanOf(options.lifespan) }),
    ...(options.maxUses !== undefined && {
      usesMax: options.maxUses === 'none' ? 0 : parseWhole(options.maxUses, '--max-uses', 1, 1_000_000_000),
    }),
    ...(options.onConflict !== undefined && {
      onConflict: options.onConflict === 'deny' ? OnConflict.ON_CONFLICT_DENY : OnConflict.ON_CONFLICT_PROFILE_VALUE,
    }),
    ...(options.source !== undefined && { sources: options.source }),
    ...(options.anySource && { sources: [] }),
    ...(options.hostUnpaired !== undefined && { hostUnpaired: unpairedWords.parse(options.hostUnpaired) ?? 0 }),
    ...(options.owner !== undefined && { owner: options.owner }),
    ...(options.note !== undefined && { note: options.note }),
    ...(options.enable && { disabled: false }),
    ...(options.disable && { disabled: true }),
  };
}

function lifespanOf(text: string): bigint {
  if (text === 'none') return 0n;
  const ms = parseDurationOption(text, '--lifespan', 1000, 36_500 * 86_400_000, 'from 1s to 36500d, or "none"');
  return BigInt(Math.ceil(ms / 1000));
}
