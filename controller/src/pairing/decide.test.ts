import { describe, expect, test } from 'vitest';
import { decidePairing, type PairingDenial, type PairingRequest, type PresentedKey } from './decide.js';
import type { PairingKeyRecord, PairingProfile } from './profile.js';
import { profileProblems } from './profile.js';

const profile: PairingProfile = {
  id: 'p1',
  name: 'web-prod',
  dimensions: [
    { dimension: 'env', value: 'prod', locked: true },
    { dimension: 'role', value: 'web', locked: false, permitted: ['web', 'cache'] },
    { dimension: 'loc', locked: false },
  ],
  startingMode: 'test',
  onConflict: 'profile-value',
  sources: [],
  enabled: true,
  owner: 'platform',
  note: '',
};
const key: PairingKeyRecord = { id: 'k1', profileId: 'p1', createdAtMs: 0, uses: 0 };
const present = (
  changes: Partial<PairingKeyRecord> = {},
  profileChanges: Partial<PairingProfile> = {},
): PresentedKey => ({
  found: 'key',
  key: { ...key, ...changes },
  profile: { ...profile, ...profileChanges },
});
const ask = (requested: Record<string, string> = {}, changes: Partial<PairingRequest> = {}): PairingRequest => ({
  requested,
  fromPrefix: (prefix) => prefix === '10.0.0.0/8',
  permits: (_dimension, value) => value !== 'refused',
  nowMs: 1000,
  ...changes,
});

describe('decidePairing', () => {
  test.each<[string, Record<string, string>, Record<string, string>]>([
    ['no request gets the profile’s labels', {}, { env: 'prod', role: 'web' }],
    ['an unlocked dimension takes a permitted value', { role: 'cache' }, { env: 'prod', role: 'cache' }],
    ['an unlocked dimension without a list takes any value', { loc: 'fra' }, { env: 'prod', role: 'web', loc: 'fra' }],
    ['a value that the dimension refuses gives the default', { loc: 'refused' }, { env: 'prod', role: 'web' }],
    ['a locked dimension keeps its value', { env: 'dev' }, { env: 'prod', role: 'web' }],
    ['a value that is not permitted gives the default', { role: 'db' }, { env: 'prod', role: 'web' }],
    ['a dimension that the profile does not list gives nothing', { app: 'shop' }, { env: 'prod', role: 'web' }],
    ['asking for the locked value is no conflict', { env: 'prod' }, { env: 'prod', role: 'web' }],
  ])('%s', (_name, requested, labels) => {
    expect(decidePairing(present(), ask(requested))).toMatchObject({ paired: true, labels, startingMode: 'test' });
  });

  test('what was overridden is reported', () => {
    expect(decidePairing(present(), ask({ env: 'dev', app: 'shop' }))).toMatchObject({
      overridden: [
        { dimension: 'app', requested: 'shop', given: undefined },
        { dimension: 'env', requested: 'dev', given: 'prod' },
      ],
    });
  });

  test.each<[PairingDenial, PresentedKey, PairingRequest]>([
    ['missing', { found: 'missing' }, ask()],
    ['malformed', { found: 'malformed' }, ask()],
    ['unknown', { found: 'unknown' }, ask()],
    ['revoked', present({ revokedAtMs: 500 }), ask()],
    ['profile-disabled', present({}, { enabled: false }), ask()],
    ['expired', present({ expiresAtMs: 1000 }), ask()],
    ['exhausted', present({ usesMax: 3, uses: 3 }), ask()],
    ['wrong-source', present({}, { sources: ['192.0.2.0/24'] }), ask()],
    ['dimension-locked', present({}, { onConflict: 'deny' }), ask({ env: 'dev' })],
    ['dimension-locked', present({}, { onConflict: 'deny' }), ask({ app: 'shop' })],
    ['value-not-permitted', present({}, { onConflict: 'deny' }), ask({ role: 'db' })],
  ])('denies: %s', (denial, presented, request) => {
    expect(decidePairing(presented, request)).toMatchObject({ paired: false, denial });
  });

  test.each<[string, PresentedKey, PairingRequest]>([
    ['the last millisecond before expiry', present({ expiresAtMs: 1001 }), ask()],
    ['the last use', present({ usesMax: 3, uses: 2 }), ask()],
    ['a permitted source', present({}, { sources: ['192.0.2.0/24', '10.0.0.0/8'] }), ask()],
    ['deny mode with nothing in conflict', present({}, { onConflict: 'deny' }), ask({ role: 'cache', env: 'prod' })],
  ])('pairs: %s', (_name, presented, request) => {
    expect(decidePairing(presented, request)).toMatchObject({ paired: true });
  });

  test('a dead key says nothing of the profile: key faults come before label faults', () => {
    const presented = present({ revokedAtMs: 1 }, { onConflict: 'deny', sources: ['192.0.2.0/24'] });
    expect(decidePairing(presented, ask({ env: 'dev' }))).toMatchObject({ denial: 'revoked' });
  });
});

describe('profileProblems', () => {
  const permitted = (dimension: string) =>
    dimension === 'env'
      ? new Set(['prod', 'dev'])
      : dimension === 'role' || dimension === 'loc'
        ? ('any' as const)
        : undefined;

  test('a sound profile has none', () => expect(profileProblems(profile, permitted)).toEqual([]));

  test.each<[string, Partial<PairingProfile>, RegExp]>([
    ['unknown dimension', { dimensions: [{ dimension: 'colour', locked: true }] }, /"colour": unknown/],
    [
      'value outside the dimension',
      { dimensions: [{ dimension: 'env', value: 'qa', locked: true }] },
      /found value "qa"/,
    ],
    [
      'dimension twice',
      { dimensions: [...profile.dimensions, { dimension: 'env', locked: true }] },
      /env: found twice/,
    ],
    [
      'locked with a choice',
      { dimensions: [{ dimension: 'role', locked: true, permitted: ['a'] }] },
      /one or the other/,
    ],
    ['empty choice', { dimensions: [{ dimension: 'role', locked: false, permitted: [] }] }, /empty list/],
    [
      'default outside the choice',
      { dimensions: [{ dimension: 'role', value: 'x', locked: false, permitted: ['a'] }] },
      /default "x"/,
    ],
    ['no uses', { usesMax: 0 }, /maximum uses: found 0/],
    ['lifespan of zero', { lifespanMs: 0 }, /lifespan: found 0/],
    ['empty name', { name: '' }, /name: found ""/],
  ])('%s', (_name, changes, message) => {
    expect(profileProblems({ ...profile, ...changes }, permitted).join('; ')).toMatch(message);
  });
});
