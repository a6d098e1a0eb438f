// Labels that follow logins through a whole controller: reports by simulated agents, rules by policy, labels and deltas seen by both.
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { call } from '../testing/admin-client.js';
import { Harness } from '../testing/harness.js';
import type { SimulatedAgent } from '../testing/simulated-agent.js';

const POLICY = `
userGroups:
  - {id: ops, value: ops, groups: wheel, priority: 10}
  - {id: staff, value: staff, groups: [staff]}
rules:
  - id: ops-may-administer
    service: tcp/22
    providedBy: role=server
    usedBy: user-group=ops
modes:
  - {id: all, match: workloads, mode: enforce}
`;

let rf: Harness;
let agents: SimulatedAgent[];
beforeEach(async () => {
  rf = await Harness.start();
  agents = await Promise.all(['desk', 'server', 'other'].map((name) => rf.agent(name)));
  agents.forEach((agent, i) => {
    const ip = Buffer.from([10, 0, 0, i + 1]);
    const name = agent.credentials.hostId;
    agent.sendInventory([
      { localId: 'host', kind: WorkloadKind.WORKLOAD_KIND_HOST, name, addresses: [{ ip, space: '' }] },
    ]);
  });
  await Promise.all(agents.map((agent) => agent.until(() => agent.assignments.has('host'), 'assignment')));
  await rf.setLabels('server/host', { role: 'server' });
  expect(await rf.applyPolicy(POLICY)).toMatchObject({ accepted: true });
  await Promise.all(agents.map((agent) => agent.until(() => agent.policyVersion === 1, 'policy')));
});
afterEach(() => rf.dispose());

const desk = () => agents[0] as SimulatedAgent;
const server = () => agents[1] as SimulatedAgent;
const labelsOf = (agent: SimulatedAgent) => agent.assignments.get('host')?.labels;
/** Whether the server's table names somebody behind the desk's address. */
const deskIsKnown = () => [...server().bindings.values()].some(({ address }) => Buffer.from(address).at(-1) === 1);
const show = (workload: string) => call(rf.admin.workloads, rf.admin.workloads.get, { workload });
const group = (agent: SimulatedAgent, value: string | undefined) =>
  agent.until(() => labelsOf(agent)?.['user-group'] === value, `user-group ${value}`);

test('a login gives the label and lets in, a logout takes it away; only deltas travel, and only to whom it concerns', async () => {
  const before = agents.map(({ fullUpdates }) => fullUpdates);
  expect(deskIsKnown()).toBe(false);
  desk().sendLogins({ anna: { uid: 1000, groups: ['staff', 'wheel'] } });
  await group(desk(), 'ops');
  await server().until(deskIsKnown, 'the desk among the server’s peers');
  const shown = await show('desk/host');
  expect(shown.labelReasons).toMatchObject([
    { dimension: 'user-group', source: 'login', rule: 'ops', user: 'anna', group: 'wheel' },
  ]);
  const otherUpdates = agents[2]?.updates;
  desk().sendLogins({});
  await group(desk(), undefined);
  await server().until(() => !deskIsKnown(), 'the desk gone from the server’s peers');
  expect(agents.map(({ fullUpdates }) => fullUpdates)).toEqual(before);
  expect(agents[2]?.updates).toBe(otherUpdates);
  const { hosts, audit } = rf.admin;
  expect((await call(hosts, hosts.get, { host: 'desk' })).logins).toEqual({ source: 'logind', users: [] });
  const filter = { actions: ['label.change'], actor: '', object: 'desk/host', hostId: '', keyId: '', sinceMs: 0n };
  const { entries } = await call(audit, audit.list, { filter, limit: 10, before: 0n });
  expect(entries.map(({ text, actor }) => `${actor} ${text}`)).toEqual([
    'host:desk desk: user-group-',
    'host:desk desk: user-group=ops',
  ]);
});

test('a second user with a weaker rule changes nothing; when the first leaves, the second counts', async () => {
  desk().sendLogins({ anna: { groups: ['wheel'] } });
  await group(desk(), 'ops');
  desk().sendLogins({ anna: { groups: ['wheel'] }, ben: { groups: ['staff'] } });
  desk().sendLogins({ ben: { groups: ['staff'] } });
  await group(desk(), 'staff');
});

test('another policy maps the same logins anew; a canary’s rules count for its workloads only', async () => {
  for (const agent of [desk(), server()]) agent.sendLogins({ anna: { groups: ['staff'] } });
  await Promise.all([group(desk(), 'staff'), group(server(), 'staff')]);
  const renamed = POLICY.replace('value: staff', 'value: people');
  const requirement = { dimension: 'role', operator: 1, values: ['server'] };
  const canary = { requirements: [requirement] };
  await rf.applyPolicy(renamed, { rollout: { confirmWithinMs: 0, canary } });
  await group(server(), 'people');
  expect(labelsOf(desk())?.['user-group']).toBe('staff');
  await call(rf.admin.policy, rf.admin.policy.promote, { version: 0, confirmWithinMs: 0 });
  await group(desk(), 'people');
  await rf.applyPolicy('rules: []\n');
  await Promise.all([group(desk(), undefined), group(server(), undefined)]);
});

test('an operator’s label stands before logins; taken away, the login counts again', async () => {
  await rf.setLabels('desk/host', { 'user-group': 'kiosk' });
  await group(desk(), 'kiosk');
  desk().sendLogins({ anna: { groups: ['wheel'] } });
  const { workloads } = rf.admin;
  desk().sendInventory([], false);
  expect((await show('desk/host')).labels).toContainEqual({ dimension: 'user-group', value: 'kiosk' });
  const request = { workload: 'desk/host', set: [], remove: ['user-group'], replace: false, expectedVersion: 0n };
  await call(workloads, workloads.setLabels, { ...request, sticky: false });
  await group(desk(), 'ops');
});

test('logins outlive a controller restart, and a workload that comes later has the label at once', async () => {
  desk().sendLogins({ anna: { uid: 1000, groups: ['wheel'] }, ben: { uid: 1001, groups: ['staff'] } });
  await group(desk(), 'ops');
  const { credentials } = desk();
  await rf.restart();
  expect((await show('desk/host')).labels).toEqual([{ dimension: 'user-group', value: 'ops' }]);
  const again = await rf.agent(credentials);
  const slice = (uid: number) => ({
    localId: `cgroup:user-${uid}`,
    kind: WorkloadKind.WORKLOAD_KIND_CGROUP,
    name: `user-${uid}.slice`,
    cgroupPath: `user.slice/user-${uid}.slice`,
  });
  again.sendInventory([slice(1000), slice(1001), slice(1002)], false);
  await again.until(() => again.assignments.size === 4, 'slices');
  const labels = [1000, 1001, 1002].map((uid) => again.assignments.get(`cgroup:user-${uid}`)?.labels);
  expect(labels).toEqual([{ 'user-group': 'ops' }, { 'user-group': 'staff' }, {}]);
});

test('a host that reports other logins again and again is held back, and its last word counts', async () => {
  const { audit } = rf.admin;
  const filter = { actions: ['label.change'], actor: '', object: 'desk/host', hostId: '', keyId: '', sinceMs: 0n };
  const count = async () => (await call(audit, audit.list, { filter, limit: 1000, before: 0n })).entries.length;
  for (let i = 0; i < 100; i += 1) desk().sendLogins(i % 2 === 0 ? { anna: { groups: ['wheel'] } } : {});
  desk().sendLogins({ anna: { groups: ['staff'] } });
  // What follows in the stream has been taken when it is answered.
  desk().sendInventory([{ localId: 'cgroup:x', kind: WorkloadKind.WORKLOAD_KIND_CGROUP, name: 'x' }], false);
  await desk().until(() => desk().assignments.has('cgroup:x'), 'the next message to be taken');
  expect(await count()).toBe(20);
  rf.clockAheadMs = 60_000;
  await group(desk(), 'staff');
  expect(await count()).toBe(21);
});
