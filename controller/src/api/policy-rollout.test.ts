import { status } from '@grpc/grpc-js';
import { LabelRequirement_Operator as Operator } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import { PolicyVersionState as State } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { Verdict, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { call } from '../testing/admin-client.js';
import { Harness } from '../testing/harness.js';
import type { SimulatedAgent } from '../testing/simulated-agent.js';

let rf: Harness;
let web: SimulatedAgent;
let db: SimulatedAgent;

const rule = (port: number) => `rules:
  - id: web-db
    service: tcp/${port}
    providedBy: role=db
    usedBy: role=web
modes:
  - { id: all, match: workloads, mode: enforce }
`;
const window = (confirmWithinMs: number) => ({ rollout: { confirmWithinMs, canary: undefined } });
const onWeb = (confirmWithinMs = 0) => ({
  rollout: {
    confirmWithinMs,
    canary: { requirements: [{ dimension: 'role', operator: Operator.OPERATOR_IN, values: ['web'] }] },
  },
});

beforeEach(async () => {
  rf = await Harness.start();
  web = await rf.agent('web-host');
  db = await rf.agent('db-host');
  for (const [agent, role, ip] of [
    [web, 'web', '10.0.0.1'],
    [db, 'db', '10.0.0.2'],
  ] as const) {
    const addresses = [{ ip: Buffer.from(ip.split('.').map(Number)), space: '' }];
    agent.sendInventory([{ localId: 'host', kind: WorkloadKind.WORKLOAD_KIND_HOST, name: role, addresses }]);
    await agent.until(() => agent.assignments.size === 1, 'assignment');
    await rf.setLabels(`${agent.credentials.hostId}/host`, { role });
  }
});
afterEach(() => rf.dispose());

const at = (...versions: number[]) =>
  vi.waitFor(() => expect([web.policyVersion, db.policyVersion]).toEqual(versions), { timeout: 10_000 });
const history = async () => {
  const { policy } = rf.admin;
  return (await call(policy, policy.history, { limit: 0, before: 0 })).versions;
};
const states = async () =>
  Object.fromEntries((await history()).map(({ number, state }) => [number, State[state].slice(21)]));
const get = () => call(rf.admin.status, rf.admin.status.get, {});
const step = (name: 'confirm' | 'promote' | 'return', version = 0) => {
  const { policy } = rf.admin;
  const request = { version, note: 'because', confirmWithinMs: 0 };
  return call(policy, policy[name], request);
};
const explain = async (port: number) => {
  const { policy } = rf.admin;
  const end = (workload: string) => ({ end: { $case: 'workload' as const, value: workload } });
  return call(policy, policy.explain, { source: end('web'), destination: end('db'), protocol: 6, port, draft: false });
};

test('confirm window: hosts are told what is left of it, and a confirmation ends it', async () => {
  await rf.applyPolicy(rule(1));
  await at(1, 1);
  expect(web.terms).toEqual({ confirmWithinMs: 0, confirmedPolicyVersion: 1 });
  const applied = await rf.applyPolicy(rule(2), window(60_000));
  expect(applied).toMatchObject({
    accepted: true,
    version: 2,
    rollout: { version: 2, baseVersion: 1, author: 'admin' },
  });
  await at(2, 2);
  expect(web.terms.confirmWithinMs).toBeGreaterThan(50_000);
  expect(web.terms.confirmWithinMs).toBeLessThanOrEqual(60_000);
  expect(web.terms.confirmedPolicyVersion).toBe(0);
  expect(await states()).toEqual({ 1: 'STANDBY', 2: 'AWAITING' });
  await vi.waitFor(
    async () => expect((await get()).rollout).toMatchObject({ version: 2, hosts: 2, hostsInForce: 2, workloads: 2 }),
    { timeout: 30_000 },
  );
  expect((await get()).conditions.map(({ code }) => code)).toContain('RF_POLICY_OPEN');
  expect(await step('confirm', 2)).toMatchObject({ accepted: true, version: 2, rollout: undefined });
  await web.until(() => web.terms.confirmedPolicyVersion === 2, 'confirmation');
  expect(web.terms.confirmWithinMs).toBe(0);
  expect(await states()).toEqual({ 1: 'SUPERSEDED', 2: 'IN_FORCE' });
  expect((await history())[0]).toMatchObject({ confirmedBy: 'admin', confirmWithinMs: 60_000, confirmByMs: 0n });
});

test('confirm window: unconfirmed, the version before comes back by itself, and everything says so', async () => {
  await rf.applyPolicy(rule(1));
  await at(1, 1);
  const sets = [...web.sets.keys()];
  await rf.applyPolicy(rule(2), window(1000));
  await at(2, 2);
  expect([...web.sets.keys()]).not.toEqual(sets);
  await at(1, 1);
  expect([...web.sets.keys()]).toEqual(sets);
  expect(web.terms).toEqual({ confirmWithinMs: 0, confirmedPolicyVersion: 1 });
  const [newest] = await history();
  expect(newest).toMatchObject({ number: 2, next: 1, why: 'not confirmed within 1 s' });
  expect(await states()).toEqual({ 1: 'IN_FORCE', 2: 'RETURNED' });
  expect(await get()).toMatchObject({ policyVersion: 1, draftDiffers: true, rollout: undefined });
  expect((await get()).conditions).toContainEqual(
    expect.objectContaining({ code: 'RF_POLICY_RETURNED', text: expect.stringContaining('version 1 is in force') }),
  );
  await expect(step('confirm', 2)).rejects.toMatchObject({
    code: status.FAILED_PRECONDITION,
    details: expect.stringMatching(/RF_POLICY_SETTLED.*not confirmed within 1 s.*version 1 is in force/),
  });
  // The number is used up: the next version is 3.
  expect(await rf.applyPolicy(rule(3))).toMatchObject({ version: 3 });
  expect((await get()).conditions.map(({ code }) => code)).not.toContain('RF_POLICY_RETURNED');
});

test('confirm window: a controller that was killed goes on with what is left, and takes back what ended meanwhile', async () => {
  await rf.applyPolicy(rule(1));
  await rf.applyPolicy(rule(2), window(600_000));
  await at(2, 2);
  await rf.restart();
  expect(await get()).toMatchObject({ policyVersion: 2, rollout: { version: 2, baseVersion: 1 } });
  const again = await rf.agent(web.credentials, { resumeFrom: web });
  await again.until(() => again.terms.confirmWithinMs > 0, 'what is left of the window');
  expect(again.policyVersion).toBe(2);
  rf.clockAheadMs = 599_000;
  await rf.restart();
  await vi.waitFor(async () => expect(await get()).toMatchObject({ policyVersion: 1, rollout: undefined }), 10_000);
  await rf.applyPolicy(rule(4), window(600_000));
  rf.clockAheadMs = 3_600_000;
  await rf.restart();
  expect(await get()).toMatchObject({ policyVersion: 1, rollout: undefined });
  expect(await states()).toEqual({ 1: 'IN_FORCE', 2: 'RETURNED', 3: 'RETURNED' });
});

test('confirm window: nothing else may be provisioned meanwhile; it can be ended by hand', async () => {
  await rf.applyPolicy(rule(1));
  await rf.applyPolicy(rule(2), window(60_000));
  const pending = { code: status.FAILED_PRECONDITION, details: expect.stringMatching(/RF_POLICY_PENDING.*version 2/) };
  await expect(rf.applyPolicy(rule(3))).rejects.toMatchObject(pending);
  expect(await rf.applyPolicy(rule(3), { draftOnly: true })).toMatchObject({ accepted: true });
  await expect(step('confirm', 7)).rejects.toMatchObject({ code: status.ABORTED });
  await expect(step('promote')).rejects.toMatchObject({ details: expect.stringContaining('confirm it instead') });
  expect(await step('return', 2)).toMatchObject({ version: 1, rollout: undefined });
  expect((await history())[0]).toMatchObject({ why: 'taken back by admin: because' });
  await at(1, 1);
  await expect(rf.applyPolicy(rule(5), window(10))).rejects.toMatchObject({
    details: expect.stringMatching(/RF_POLICY_ROLLOUT.*wanted 1 s to 24 h/),
  });
});

test('canary: only its hosts get the version, both ends decide by their own, and promotion makes it one again', async () => {
  await rf.applyPolicy(rule(1));
  await at(1, 1);
  const before = [...db.sets.values()];
  expect(await rf.applyPolicy(rule(2), onWeb())).toMatchObject({
    version: 2,
    rollout: { version: 2, baseVersion: 1, canary: 'role=web', workloads: 1, confirmByMs: 0n },
  });
  await at(2, 1);
  expect([...db.sets.values()]).toEqual(before);
  // The host that is left alone is not behind either.
  const { hosts } = await call(rf.admin.hosts, rf.admin.hosts.list, {});
  expect(hosts.map((h) => [h.policyVersion, h.policyVersionWanted])).toEqual([
    [1, 1],
    [2, 2],
  ]);
  expect(hosts.every((h) => h.revisionAcked === h.revisionWanted)).toBe(true);
  expect(await get()).toMatchObject({ policyVersion: 1, rollout: { version: 2 } });
  expect(await states()).toEqual({ 1: 'IN_FORCE', 2: 'CANARY' });
  // The source may use port 2 only, the destination provides port 1 only: neither passes between them.
  const [one, two] = [await explain(1), await explain(2)];
  expect(one).toMatchObject({
    verdict: Verdict.VERDICT_BLOCKED,
    outbound: { ruleId: '', policyVersion: 2, modeId: 'all' },
    inbound: { ruleId: 'web-db', policyVersion: 1, hostConnected: true, hostPolicyVersion: 1 },
  });
  expect(one.notes.join()).toMatch(/source is decided by version 2, the destination by version 1/);
  expect(two).toMatchObject({
    verdict: Verdict.VERDICT_BLOCKED,
    outbound: { ruleId: 'web-db' },
    inbound: { ruleId: '' },
  });
  // A workload that comes into the canary takes its host along, and leaves with it.
  await rf.setLabels(`${db.credentials.hostId}/host`, { role: 'web' });
  await at(2, 2);
  await rf.setLabels(`${db.credentials.hostId}/host`, { role: 'db' });
  await at(2, 1);
  expect(await step('promote', 2)).toMatchObject({ version: 2, rollout: undefined });
  await at(2, 2);
  expect(await explain(2)).toMatchObject({ verdict: Verdict.VERDICT_ALLOWED, policyVersion: 2 });
  expect(await states()).toEqual({ 1: 'SUPERSEDED', 2: 'IN_FORCE' });
});

test('canary: with a window it ends by itself; over a restart it stays what it is; confirm promotes it', async () => {
  await rf.applyPolicy(rule(1));
  await rf.applyPolicy(rule(2), onWeb(1000));
  await at(2, 1);
  expect([web.terms.confirmWithinMs > 0, db.terms.confirmWithinMs]).toEqual([true, 0]);
  await at(1, 1);
  expect(await states()).toEqual({ 1: 'IN_FORCE', 2: 'RETURNED' });
  await rf.applyPolicy(rule(3), onWeb());
  await at(3, 1);
  await rf.restart();
  expect(await get()).toMatchObject({ policyVersion: 1, rollout: { version: 3, canary: 'role=web' } });
  expect(await step('confirm', 3)).toMatchObject({ version: 3, rollout: undefined });
  expect(await get()).toMatchObject({ policyVersion: 3 });
});
