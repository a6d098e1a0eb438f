import { Logins } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { describe, expect, test } from 'vitest';
import type { UserGroupSpec } from '../policy/model.js';
import type { LabelReasonRecord, WorkloadRecord } from '../store/records.js';
import { loginLabel, loginsFromWire, usersOf, withLoginLabel } from './logins.js';

const anna = { user: 'anna', uid: 1000, groups: ['staff', 'wheel'] };
const ben = { user: 'ben', uid: 1001, groups: ['staff'] };
const rules: UserGroupSpec[] = [
  { id: 'staff', value: 'staff', groups: ['staff'] },
  { id: 'ops', value: 'ops', groups: ['wheel'], users: ['root'], priority: 10 },
  { id: 'also', value: 'other', groups: ['staff'] },
];

describe('loginLabel', () => {
  test.each([
    ['nobody', [], undefined],
    ['a member of a group', [ben], { value: 'other', rule: 'also', user: 'ben', group: 'staff' }],
    [
      'the strongest rule counts, whoever holds it',
      [ben, anna],
      { value: 'ops', rule: 'ops', user: 'anna', group: 'wheel' },
    ],
    ['a user by name', [{ user: 'root', groups: [] }], { value: 'ops', rule: 'ops', user: 'root', group: undefined }],
    ['no rule holds', [{ user: 'eve', groups: ['guests'] }], undefined],
  ])('%s', (_name, users, label) => {
    expect(loginLabel(rules, users)).toEqual(label);
    // The order of rules in the policy says nothing.
    expect(loginLabel([...rules].reverse(), users)).toEqual(label);
  });
});

const record = (more: Partial<WorkloadRecord> = {}) =>
  ({
    id: 'h/host',
    kind: WorkloadKind.WORKLOAD_KIND_HOST,
    cgroupPath: '',
    labels: {},
    version: 1,
    ...more,
  }) as WorkloadRecord;

test('the host follows everybody, a user’s slice its own user, other workloads nobody', () => {
  const logins = { source: 'logind', users: [anna, ben] };
  const slice = (cgroupPath: string, kind = WorkloadKind.WORKLOAD_KIND_CGROUP) => record({ kind, cgroupPath });
  expect(usersOf(record(), logins)).toEqual([anna, ben]);
  expect(usersOf(slice('user.slice/user-1001.slice'), logins)).toEqual([ben]);
  expect(usersOf(slice('lab/user.slice/user-1000.slice'), logins)).toEqual([anna]);
  for (const path of ['user.slice', 'user.slice/user-1000.slice/session-1.scope', 'system.slice/user-1000.slice'])
    expect(usersOf(slice(path), logins)).toEqual([]);
  expect(usersOf(slice('user.slice/user-1000.slice', WorkloadKind.WORKLOAD_KIND_CONTAINER), logins)).toEqual([]);
  expect(usersOf(record(), undefined)).toEqual([]);
});

describe('withLoginLabel', () => {
  const label = { value: 'ops', rule: 'ops', user: 'anna', group: 'wheel' };
  const login: LabelReasonRecord = {
    source: 'login',
    by: 'rule ops: anna of group wheel is logged in',
    atMs: 5,
    rule: 'ops',
    user: 'anna',
    group: 'wheel',
  };

  test('comes with its reason and a new version, stays without a write, and goes', () => {
    const given = withLoginLabel(record({ labels: { role: 'web' } }), label, undefined, 5);
    expect(given).toMatchObject({
      labels: { role: 'web', 'user-group': 'ops' },
      labelReasons: { 'user-group': login },
      version: 2,
    });
    expect(withLoginLabel(given, label, undefined, 9)).toBe(given);
    const gone = withLoginLabel(given, undefined, undefined, 9);
    expect(gone).toMatchObject({ labels: { role: 'web' }, version: 3 });
    expect(gone.labelReasons).toEqual({});
    expect(withLoginLabel(gone, undefined, undefined, 10)).toBe(gone);
  });

  test('another user for the same value is another reason, not another label', () => {
    const given = withLoginLabel(record(), label, undefined, 5);
    const other = withLoginLabel(given, { ...label, user: 'zoe' }, undefined, 9);
    expect([other.version, other.labelReasons?.['user-group']?.user]).toEqual([2, 'zoe']);
  });

  test.each(['operator', 'sticky'] as const)('a label by %s stays as it is', (source) => {
    const reason = { source, by: 'ops', atMs: 1 };
    const own = record({ labels: { 'user-group': 'fixed' }, labelReasons: { 'user-group': reason } });
    expect(withLoginLabel(own, label, undefined, 5)).toBe(own);
    expect(withLoginLabel(own, undefined, undefined, 5)).toBe(own);
  });

  test('a label without a reason is an operator’s from before reasons were kept', () => {
    const own = record({ labels: { 'user-group': 'fixed' } });
    expect(withLoginLabel(own, label, undefined, 5)).toBe(own);
  });

  test('it stands before the one of a pairing, which comes back when nobody is logged in', () => {
    const reason: LabelReasonRecord = { source: 'pairing', by: 'profile p, key k', atMs: 1, keyId: 'k', profile: 'p' };
    const paired = record({ labels: { 'user-group': 'nobody' }, labelReasons: { 'user-group': reason } });
    const by = { label: 'nobody', reason };
    const given = withLoginLabel(paired, label, by, 5);
    expect(given.labels).toEqual({ 'user-group': 'ops' });
    const back = withLoginLabel(given, undefined, by, 9);
    expect(back).toMatchObject({ labels: { 'user-group': 'nobody' }, labelReasons: { 'user-group': reason } });
    expect(withLoginLabel(back, undefined, by, 10)).toBe(back);
  });
});

test('reports are taken inside their bounds, in one order, without what is no name', () => {
  const wire = Logins.fromPartial({
    source: 'something else',
    users: [
      { user: 'zoe', groups: ['b', 'a', 'b', '', 'x\ny'] },
      { user: '', groups: [] },
      { user: 'x'.repeat(300), groups: [] },
      { user: 'anna', uid: 7, groups: Array.from({ length: 300 }, (_, i) => `g${i}`) },
      ...Array.from({ length: 300 }, (_, i) => ({ user: `u${i}`, groups: [] })),
    ],
  });
  const { source, users } = loginsFromWire(wire);
  expect([source, users.length, users[0]?.groups.length]).toEqual(['utmp', 256, 256]);
  expect(users.map(({ user }) => user)).toEqual(users.map(({ user }) => user).sort());
  const crowd = Array.from({ length: 100 }, (_, i) => ({ user: `u${i}`, groups: wire.users[3]?.groups ?? [] }));
  const groups = loginsFromWire(Logins.fromPartial({ users: crowd })).users.map((login) => login.groups.length);
  expect([groups.length, groups.reduce((sum, count) => sum + count, 0)]).toEqual([100, 4096]);
  expect(loginsFromWire(Logins.fromPartial({ source: 'logind', users: wire.users.slice(0, 1) }))).toEqual({
    source: 'logind',
    users: [{ user: 'zoe', groups: ['a', 'b'] }],
  });
});
