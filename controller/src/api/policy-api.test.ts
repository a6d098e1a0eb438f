import { status } from '@grpc/grpc-js';
import { ExplainRequest } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { call } from '../testing/admin-client.js';
import { Harness } from '../testing/harness.js';

let rf: Harness;
beforeEach(async () => {
  rf = await Harness.start();
});
afterEach(() => rf.dispose());

const ruleFile = (name: string, port: number) => ({
  name: `${name}.yaml`,
  content: `rules:\n  - id: ${name}\n    service: tcp/${port}\n    providedBy: role=db\n    usedBy: role=web\n`,
});
const apply = (more: object) => {
  const { policy } = rf.admin;
  return call(policy, policy.apply, {
    files: [],
    prune: false,
    remove: [],
    draftOnly: false,
    rollout: undefined,
    note: '',
    expectedVersion: 0,
    ...more,
  });
};
const draft = { ref: { $case: 'draft' as const, value: true } };

test('apply makes numbered versions, none for the same files, and keeps them over a restart', async () => {
  expect(await apply({ files: [ruleFile('a', 1)], note: 'one' })).toMatchObject({
    accepted: true,
    changed: true,
    version: 1,
    rules: 1,
  });
  expect(await apply({ files: [ruleFile('a', 1)] })).toMatchObject({ accepted: true, changed: false, version: 1 });
  expect(await apply({ files: [ruleFile('b', 2)] })).toMatchObject({ version: 2, rules: 2 });
  expect(await apply({ files: [ruleFile('b', 3)], prune: true })).toMatchObject({ version: 3, rules: 1 });
  await rf.restart();
  const { policy } = rf.admin;
  const { versions } = await call(policy, policy.history, { limit: 0, before: 0 });
  expect(versions.map(({ number, author, note, rules }) => [number, author, note, rules])).toEqual([
    [3, 'admin', '', 1],
    [2, 'admin', '', 2],
    [1, 'admin', 'one', 1],
  ]);
  const current = await call(policy, policy.get, { ref: undefined });
  expect(current.rules).toMatchObject([
    { id: 'b', number: 2, file: 'b.yaml', line: 2, service: 'tcp/3', allow: true, usedBy: 'role=web' },
  ]);
  const second = await call(policy, policy.get, { ref: { ref: { $case: 'version', value: 2 } } });
  expect(second.rules.map(({ id, number }) => [id, number])).toEqual([
    ['a', 1],
    ['b', 2],
  ]);
});

test('a draft is seen by diff and explain before it is provisioned, and can be thrown away', async () => {
  await apply({ files: [ruleFile('a', 1)] });
  expect(await apply({ files: [ruleFile('b', 2)], draftOnly: true })).toMatchObject({
    accepted: true,
    changed: true,
    version: 1,
  });
  const { policy } = rf.admin;
  const diff = await call(policy, policy.diff, { from: undefined, to: undefined });
  expect(diff.rules).toMatchObject([{ id: 'b', before: undefined, after: { service: 'tcp/2' } }]);
  expect(diff.files).toEqual([{ name: 'b.yaml', change: 'added' }]);
  const ask = (port: number, useDraft: boolean) =>
    call(
      policy,
      policy.explain,
      ExplainRequest.fromPartial({
        source: { end: { $case: 'labels', value: { labels: [{ dimension: 'role', value: 'web' }] } } },
        destination: { end: { $case: 'labels', value: { labels: [{ dimension: 'role', value: 'db' }] } } },
        protocol: 6,
        port,
        draft: useDraft,
      }),
    );
  expect((await ask(2, true)).verdict).toBe(Verdict.VERDICT_ALLOWED);
  const live = await ask(2, false);
  expect(live.verdict).toBe(Verdict.VERDICT_BLOCKED);
  expect(live.inbound).toMatchObject({
    reason: Reason.REASON_IMPLICIT_DENY,
    considered: [{ matched: false, why: 'another service' }],
  });
  expect((await ask(1, false)).inbound).toMatchObject({ ruleId: 'a', considered: [{ matched: true, why: 'decides' }] });
  expect(await call(policy, policy.discardDraft, {})).toMatchObject({ draftDiffers: false });
  expect((await call(policy, policy.get, { ref: draft })).rules.map(({ id }) => id)).toEqual(['a']);
  await apply({ files: [ruleFile('b', 2)], draftOnly: true });
  expect(await call(policy, policy.provision, { note: 'go', expectedVersion: 1, rollout: undefined })).toMatchObject({
    accepted: true,
    version: 2,
    rules: 2,
  });
});

test('rollback makes a new version with the old content, and rules keep their numbers', async () => {
  await apply({ files: [ruleFile('a', 1)] });
  await apply({ files: [ruleFile('c', 9)], prune: true });
  const { policy } = rf.admin;
  expect(await call(policy, policy.rollback, { version: 1, note: 'back', rollout: undefined })).toMatchObject({
    accepted: true,
    version: 3,
  });
  const current = await call(policy, policy.get, { ref: undefined });
  expect(current.version).toMatchObject({ number: 3, rollbackOf: 1, note: 'back' });
  expect(current.rules).toMatchObject([{ id: 'a', number: 1 }]);
  expect(current.draftDiffers).toBe(false);
  await expect(call(policy, policy.rollback, { version: 9, note: '', rollout: undefined })).rejects.toMatchObject({
    code: status.NOT_FOUND,
  });
});

test('problems come back all at once with their places, and nothing changes', async () => {
  await apply({ files: [ruleFile('a', 1)] });
  const bad = 'rules:\n  - id: x\n    service: tcp/70000\n    providedBy: colour=red\n    usedBy: role=web\n';
  const refused = await apply({
    files: [
      { name: 'bad.yaml', content: bad },
      { name: 'worse.yaml', content: 'rules: [' },
    ],
  });
  expect(refused).toMatchObject({ accepted: false, changed: false, version: 1 });
  const places = refused.problems.map(({ file, line, code }) => `${file}:${line} ${code}`);
  expect(places.filter((place) => place.startsWith('bad.yaml:'))).toHaveLength(2);
  expect(places.some((place) => place.startsWith('worse.yaml:1'))).toBe(true);
  const { policy } = rf.admin;
  expect((await call(policy, policy.get, { ref: draft })).files.map(({ name }) => name)).toEqual(['a.yaml']);
  const checked = await call(policy, policy.check, { files: [ruleFile('z', 1)], prune: true });
  expect(checked).toMatchObject({ accepted: true, changed: false, rules: 1, version: 1 });
  expect((await call(policy, policy.get, { ref: undefined })).rules.map(({ id }) => id)).toEqual(['a']);
});

test('a policy whose own test fails is refused at provision, but may stand in the draft', async () => {
  const withTest = {
    name: 't.yaml',
    content:
      'tests:\n  - name: must stay open\n    from: { labels: { role: web } }\n    to: { labels: { role: db } }\n    service: tcp/1\n    expect: allowed\n',
  };
  expect(await apply({ files: [withTest] })).toMatchObject({ accepted: false, problems: [{ code: 'RF_POLICY_TEST' }] });
  expect(await apply({ files: [withTest], draftOnly: true })).toMatchObject({
    accepted: true,
    problems: [{ warning: true }],
  });
  expect(await apply({ files: [ruleFile('a', 1)] })).toMatchObject({ accepted: true, version: 1 });
});

test('of two who expect the same version one succeeds', async () => {
  const both = await Promise.allSettled([apply({ files: [ruleFile('a', 1)] }), apply({ files: [ruleFile('b', 1)] })]);
  expect(both.every(({ status: how }) => how === 'fulfilled')).toBe(true);
  const race = await Promise.allSettled([
    apply({ files: [ruleFile('c', 1)], expectedVersion: 2 }),
    apply({ files: [ruleFile('d', 1)], expectedVersion: 2 }),
  ]);
  expect(race.map(({ status: how }) => how).sort()).toEqual(['fulfilled', 'rejected']);
  const failed = race.find((result) => result.status === 'rejected');
  expect(failed?.reason).toMatchObject({
    code: status.ABORTED,
    details: expect.stringContaining('RF_POLICY_CONFLICT'),
  });
});

test('file names and sizes are bounded', async () => {
  const file = ruleFile('a', 1);
  for (const name of ['', '/etc/x.yaml', '../x.yaml', 'a/../b.yaml', 'x'.repeat(300)]) {
    await expect(apply({ files: [{ ...file, name }] }), name).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  }
  await expect(apply({ files: [file, file] })).rejects.toThrow(/RF_POLICY_FILES.*twice/);
  await expect(apply({ files: [{ name: 'big.yaml', content: '#'.repeat(1_000_001) }] })).rejects.toThrow(
    /RF_POLICY_FILES/,
  );
});
