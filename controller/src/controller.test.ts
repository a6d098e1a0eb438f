// The whole controller over real TLS: agents that enrol, report, ack and upload on one side, an operator on the other.

import { credentials, status } from '@grpc/grpc-js';
import { parseAddress } from '@ringfence/proto/address.js';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { StatusClient } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import { Mode, Reason, Verdict, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Authority } from './ca/authority.js';
import { SERVER_NAME } from './ca/certificates.js';
import { call, collect, Tail } from './testing/admin-client.js';
import { flowColumns } from './testing/flow-columns.js';
import { Harness } from './testing/harness.js';
import { SimulatedAgent } from './testing/simulated-agent.js';

let rf: Harness;
beforeEach(async () => {
  rf = await Harness.start();
});
afterEach(() => rf.dispose());

const POLICY = `
rules:
  - id: web-reads-db
    service: tcp/5432
    providedBy: role=db
    usedBy: role=web
modes:
  - id: all
    match: workloads
    mode: enforce
`;

function container(name: string, address: string, localId = `container:${name}`) {
  const ip = Buffer.from(parseAddress(address) ?? []);
  return {
    localId,
    name,
    kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
    source: 'docker',
    addresses: [{ ip, space: '' }],
  };
}

const text = (ip: Buffer) => [...ip].join('.');

test('inventory, labels and policy reach the agents that they concern, and their acks show', async () => {
  const web = await rf.agent('host-a');
  const db = await rf.agent('host-b');
  web.sendInventory([container('web1', '10.1.0.1')]);
  db.sendInventory([container('db1', '10.2.0.1')]);
  await web.until(() => web.assignments.has('container:web1'), 'assignment');
  await db.until(() => db.assignments.has('container:db1'), 'assignment');
  expect(web.assignments.get('container:web1')).toMatchObject({
    workloadId: 'host-a/container:web1',
    modeIn: Mode.MODE_VISIBILITY,
  });

  await rf.setLabels('web1', { role: 'web' });
  await rf.setLabels('host-b/db1', { role: 'db' });
  const applied = await rf.applyPolicy(POLICY, { note: 'first' });
  expect(applied).toMatchObject({ accepted: true, changed: true, version: 1, rules: 1, hostsAffected: 2 });
  await web.until(
    () => web.policyVersion === 1 && web.assignments.get('container:web1')?.modeOut === Mode.MODE_ENFORCE,
    'policy',
  );
  await db.until(() => db.policyVersion === 1 && db.assignments.get('container:db1')?.setIn !== '', 'policy');
  const dbSet = db.sets.get(db.assignments.get('container:db1')?.setIn ?? '');
  const webIdentity = web.assignments.get('container:web1')?.identity ?? 0;
  expect(dbSet?.groups.find((group) => group.identities.includes(webIdentity))?.ports).toMatchObject([
    { protocol: 6, portLow: 5432, portHigh: 5432, allow: true },
  ]);
  expect([...db.bindings.values()].find((binding) => binding.identity === webIdentity)).toBeDefined();

  const bystander = await rf.agent('host-c');
  await rf.applyPolicy(`${POLICY}# the same rules in another file text\n`);
  await bystander.until(() => bystander.policyVersion === 2, 'number of a version that changes nothing here');
  await web.until(() => web.policyVersion === 2, 'version');
  await db.until(() => db.policyVersion === 2, 'version');
  bystander.close();
  await rf.applyPolicy(POLICY);
  await web.until(() => web.policyVersion === 3, 'version');
  await db.until(() => db.policyVersion === 3, 'version');

  web.sendStatus();
  const { workloads, hosts, status: system } = rf.admin;
  await expect.poll(async () => (await call(workloads, workloads.get, { workload: 'web1' })).inForce).toBe(true);
  const shown = await call(workloads, workloads.get, { workload: 'web1' });
  expect(shown).toMatchObject({ id: 'host-a/container:web1', identity: webIdentity, present: true, why: '' });
  expect(shown.expectedMode).toEqual({ inbound: Mode.MODE_ENFORCE, outbound: Mode.MODE_ENFORCE });
  const host = await call(hosts, hosts.get, { host: 'host-b' });
  expect(host).toMatchObject({ connected: true, policyVersion: 3, workloads: 1, revoked: false });
  expect(host.revisionAcked).toBe(db.revision);
  const whole = await call(system, system.get, {});
  expect(whole).toMatchObject({
    hosts: 3,
    hostsConnected: 2,
    hostsCurrent: 2,
    workloads: 2,
    rules: 1,
    policyVersion: 3,
    workloadsNotInForce: 1,
  });
  expect(whole.conditions.map(({ code }) => code)).toEqual(['RF_NOT_IN_FORCE', 'RF_HOST_OFFLINE']);

  const { policy } = rf.admin;
  const explained = await call(policy, policy.explain, {
    source: { end: { $case: 'workload', value: 'web1' } },
    destination: { end: { $case: 'address', value: '10.2.0.1' } },
    protocol: 6,
    port: 5432,
    draft: false,
  });
  expect(explained.verdict).toBe(Verdict.VERDICT_ALLOWED);
  expect(explained.inbound).toMatchObject({
    ruleId: 'web-reads-db',
    reason: Reason.REASON_RULE_ALLOW,
    hostPolicyVersion: 3,
  });
  expect(explained.destination?.workload?.id).toBe('host-b/container:db1');
  const denied = await call(policy, policy.explain, {
    source: { end: { $case: 'workload', value: 'db1' } },
    destination: { end: { $case: 'workload', value: 'web1' } },
    protocol: 6,
    port: 5432,
    draft: false,
  });
  expect(denied).toMatchObject({ verdict: Verdict.VERDICT_BLOCKED });
  expect(denied.outbound?.reason).toBe(Reason.REASON_IMPLICIT_DENY);
});

test('labels survive a restart of the workload and of the controller; sticky ones go to a new container of the name', async () => {
  const agent = await rf.agent('host-a');
  agent.sendInventory([container('web1', '10.1.0.1'), container('db1', '10.1.0.2')]);
  await agent.until(() => agent.assignments.size === 2, 'assignments');
  await rf.setLabels('web1', { role: 'web' });
  await rf.setLabels('db1', { role: 'db' }, true);
  agent.sendInventory([], true);
  await agent.until(() => agent.assignments.size === 0, 'empty host');
  await rf.restart();
  const again = await rf.agent(agent.credentials);
  again.sendInventory([container('web1', '10.1.0.9'), container('db1', '10.1.0.2', 'container:made-anew')]);
  await again.until(() => again.assignments.size === 2, 'assignments');
  const { workloads } = rf.admin;
  const labelsOf = async (workload: string) => (await call(workloads, workloads.get, { workload })).labels;
  expect(await labelsOf('host-a/container:web1')).toEqual([{ dimension: 'role', value: 'web' }]);
  expect(await labelsOf('host-a/container:made-anew')).toEqual([{ dimension: 'role', value: 'db' }]);
  const set = [{ dimension: 'role', value: 'db' }];
  const made = await call(workloads, workloads.setLabels, {
    workload: 'host-a/container:made-anew',
    set,
    remove: [],
    replace: true,
    expectedVersion: 0n,
    sticky: false,
  });
  expect(made.stickyLabels).toBe(false);
  again.sendInventory([container('db1', '10.1.0.2', 'container:third')]);
  await again.until(() => again.assignments.has('container:third'), 'assignment');
  expect(await labelsOf('host-a/container:third')).toEqual([]);
});

test('an agent that returns gets only what changed; one whose revision is unknown gets everything', async () => {
  const agent = await rf.agent('host-a');
  agent.sendInventory([container('web1', '10.1.0.1')]);
  await agent.until(() => agent.assignments.size === 1, 'assignment');
  agent.close();
  await rf.setLabels('web1', { role: 'web' });
  await rf.applyPolicy(POLICY);
  const back = await rf.agent(agent.credentials, { resumeFrom: agent });
  expect(back.welcomes[0]?.resumed).toBe(true);
  await back.until(() => back.policyVersion === 1, 'policy');
  expect(back.fullUpdates).toBe(0);
  back.close();
  await rf.restart();
  const later = await rf.agent(agent.credentials, { resumeFrom: back });
  expect(later.welcomes[0]).toMatchObject({ resumed: false, epoch: back.epoch });
  await later.until(() => later.fullUpdates === 1 && later.revision > back.revision, 'full state');
  expect([...later.assignments.keys()]).toEqual(['container:web1']);
});

test('a refused revision shows as an alarm, and nothing follows until something changes', async () => {
  let refuse = false;
  const agent = await rf.agent('host-a', {
    answer: (update) =>
      refuse
        ? { revision: update.revision, code: 'RF_MAP_FULL', message: 'found 3, wanted 2', table: 'rf_peers' }
        : 'ack',
  });
  agent.sendInventory([container('web1', '10.1.0.1')]);
  await agent.until(() => agent.assignments.size === 1, 'assignment');
  refuse = true;
  await rf.applyPolicy(POLICY);
  const { hosts } = rf.admin;
  const host = () => call(hosts, hosts.get, { host: 'host-a' });
  await expect.poll(async () => (await host()).nack?.code).toBe('RF_MAP_FULL');
  expect((await host()).conditions.map(({ code }) => code)).toContain('RF_STREAM_NACK');
  const sent = agent.updates;
  agent.sendStatus();
  await expect.poll(async () => (await host()).lastSeenMs).toBeGreaterThan(0n);
  expect(agent.updates).toBe(sent);
  refuse = false;
  await rf.setLabels('web1', { role: 'web' });
  await agent.until(() => agent.policyVersion === 1, 'corrected state');
  expect(agent.fullUpdates).toBe(2);
  await expect.poll(async () => (await host()).nack).toBeUndefined();
});

test('a policy that would overfill a host is refused with host, table and numbers, and changes nothing', async () => {
  const agent = await rf.agent('host-a', { capacities: [{ table: 'rf_ports', entriesMax: 1, entries: 0 }] });
  agent.sendInventory([container('web1', '10.1.0.1'), container('db1', '10.1.0.2')]);
  await agent.until(() => agent.assignments.size === 2, 'assignments');
  await rf.setLabels('web1', { role: 'web' });
  await rf.setLabels('db1', { role: 'db' });
  const many = POLICY.replace('tcp/5432', '[tcp/1, tcp/3, tcp/5, udp/7, udp/9]');
  const refused = await rf.applyPolicy(many);
  expect(refused).toMatchObject({ accepted: false, changed: false, version: 0 });
  expect(refused.problems[0]).toMatchObject({ code: 'RF_CAPACITY' });
  expect(refused.problems[0]?.message).toMatch(/table rf_ports of host host-a holds 1 entries, wanted \d+/);
  const { policy } = rf.admin;
  expect((await call(policy, policy.history, { limit: 0, before: 0 })).versions).toEqual([]);
});

test('two agents with one certificate are told apart and reported', async () => {
  const own = await rf.enroll('host-a');
  const run = (byte: number) => Buffer.alloc(16, byte);
  const first = await rf.agent(own, { run: run(1) });
  const second = await rf.agent(own, { run: run(2) });
  expect(await first.untilEnded()).toMatchObject({ code: status.ABORTED });
  const { hosts } = rf.admin;
  const codes = async () => (await call(hosts, hosts.get, { host: 'host-a' })).conditions.map(({ code }) => code);
  expect(await codes()).not.toContain('RF_HOST_CLONED');
  await rf.agent(own, { run: run(1) });
  expect(await second.untilEnded()).toMatchObject({ code: status.ABORTED });
  expect(await codes()).toContain('RF_HOST_CLONED');
});

test('revoking a host ends its streams and keeps it out; a new token for it lets it in again', async () => {
  const agent = await rf.agent('host-a');
  const flows = agent.openFlows();
  flows.send(1n, undefined);
  await flows.untilAcked(1n);
  const { hosts } = rf.admin;
  const revoked = await call(hosts, hosts.revokeCertificate, { hostId: 'host-a', reason: 'stolen' });
  expect(revoked.revoked).toBe(true);
  expect(await agent.untilEnded()).toMatchObject({
    code: status.UNAUTHENTICATED,
    details: expect.stringMatching(/RF_TLS_REVOKED.*stolen/),
  });
  await expect.poll(() => flows.ended).toMatchObject({ code: status.UNAUTHENTICATED });
  const back = new SimulatedAgent(agent.credentials);
  expect(await back.untilEnded()).toMatchObject({
    code: status.UNAUTHENTICATED,
    details: expect.stringContaining('revoked'),
  });
  back.close();
  flows.close();
});

test('open streams end when their certificate expires', async () => {
  const agent = await rf.agent('host-a');
  const flows = agent.openFlows();
  flows.send(1n, undefined);
  await flows.untilAcked(1n);
  rf.clockAheadMs = 31 * 86_400_000;
  expect(await agent.untilEnded()).toMatchObject({
    code: status.UNAUTHENTICATED,
    details: expect.stringContaining('expired at'),
  });
  await expect.poll(() => flows.ended).toMatchObject({ code: status.UNAUTHENTICATED });
  flows.close();
});

test('certificates of another authority and of the wrong role are refused in words', async () => {
  const own = await rf.enroll('host-a');
  const other = await Harness.start();
  try {
    const foreign = await other.enroll('host-a');
    const stranger = new SimulatedAgent({ ...foreign, syncAddress: own.syncAddress, caPem: own.caPem });
    expect(await stranger.untilEnded()).toMatchObject({
      code: status.UNAUTHENTICATED,
      details: expect.stringMatching(/RF_TLS_FOREIGN: .*no valid client certificate of this controller's authority/),
    });
    stranger.close();
  } finally {
    await other.dispose();
  }
  const authority = await Authority.open(rf.stateDir, Date.now);
  expect(authority.caPem).toBe(rf.admin.caPem);
  const asHost = new StatusClient(
    rf.controller.addresses.admin,
    credentials.createSsl(Buffer.from(own.caPem), Buffer.from(own.keyPem), Buffer.from(own.certificatePem)),
    { 'grpc.ssl_target_name_override': SERVER_NAME },
  );
  await expect(call(asHost, asHost.get, {})).rejects.toMatchObject({
    code: status.PERMISSION_DENIED,
    details: expect.stringContaining('RF_TLS_ROLE'),
  });
  asHost.close();
  expect(rf.logged.join('')).not.toMatch(/PRIVATE KEY|rfe1\./);
});

test('flows come back enriched, filtered and followed without gap or duplicate', async () => {
  const agent = await rf.agent('host-a');
  agent.sendInventory([container('web1', '10.1.0.1'), container('db1', '10.1.0.2')]);
  await agent.until(() => agent.assignments.size === 2, 'assignments');
  await rf.setLabels('web1', { role: 'web', env: 'prod' });
  await rf.setLabels('db1', { role: 'db', env: 'prod' });
  await rf.applyPolicy(POLICY);
  await agent.until(() => agent.policyVersion === 1 && agent.assignments.get('container:db1')?.setIn !== '', 'policy');
  const identity = (localId: string) => agent.assignments.get(localId)?.identity ?? 0;
  const base = {
    workload: 'host-a/container:web1',
    local: '10.1.0.1',
    localIdentity: identity('container:web1'),
    policyVersion: 1,
    process: 'psql',
    pid: 77,
  };
  const toDb = {
    ...base,
    remote: '10.1.0.2',
    remotePort: 5432,
    remoteIdentity: identity('container:db1'),
    rule: 1,
    bytesOut: 10,
    bytesIn: 20,
  };
  const toWorld = {
    ...base,
    remote: '198.51.100.7',
    remotePort: 443,
    verdict: Verdict.VERDICT_BLOCKED,
    reason: Reason.REASON_IMPLICIT_DENY,
  };
  const flows = agent.openFlows();
  flows.send(1n, flowColumns([toDb, toWorld]), { eventsProduced: 2n, recordsSent: 2n });
  await flows.untilAcked(1n);

  const { flows: api, status: system } = rf.admin;
  const query = async (filter: object) => {
    const messages = await collect(api.query({ filter: FlowFilter.fromPartial(filter), limit: 0 }));
    return messages.flatMap(({ body }) => (body?.$case === 'rows' ? body.value.flows : []));
  };
  const [first, second] = await query({});
  expect(first).toMatchObject({
    ruleId: 'web-reads-db',
    servicePort: 5432,
    bytesForward: 10n,
    bytesBack: 20n,
    reporterHostId: 'host-a',
    source: { workloadName: 'web1', process: 'psql', pid: 77 },
    destination: { workloadId: 'host-a/container:db1', hostId: 'host-a' },
  });
  expect(first?.destination?.labels).toEqual([
    { dimension: 'env', value: 'prod' },
    { dimension: 'role', value: 'db' },
  ]);
  expect(second?.destination).toMatchObject({ workloadId: '', identity: 0 });
  expect(text(second?.destination?.ip ?? Buffer.alloc(0))).toBe('198.51.100.7');
  const ids = async (filter: object) => (await query(filter)).map(({ id }) => id);
  const dbSelector = { requirements: [{ dimension: 'role', operator: 1, values: ['db'] }] };
  expect(await ids({ destination: { selector: dbSelector } })).toEqual([1n]);
  expect(await ids({ source: { selector: dbSelector } })).toEqual([]);
  expect(await ids({ either: { selector: dbSelector } })).toEqual([1n]);
  expect(await ids({ verdicts: [Verdict.VERDICT_BLOCKED] })).toEqual([2n]);
  expect(await ids({ reasons: [Reason.REASON_RULE_ALLOW], protocols: [6] })).toEqual([1n]);
  expect(await ids({ destination: { addresses: ['198.51.100.0/24'] } })).toEqual([2n]);
  expect(await ids({ either: { workloads: ['db1'] } })).toEqual([1n]);
  expect(await ids({ rules: ['web-reads-db'] })).toEqual([1n]);
  expect(await ids({ rules: ['0'] })).toEqual([2n]);
  expect(await ids({ ports: [{ low: 400, high: 500 }], processes: ['psql'], reporters: ['host-a'] })).toEqual([2n]);
  await expect(query({ reporters: ['nobody'] })).rejects.toThrow(/RF_FILTER: .*nobody/);
  await expect(query({ either: { addresses: ['10.1/8'] } })).rejects.toThrow(/RF_FILTER/);

  const follow = {
    filter: FlowFilter.fromPartial({ verdicts: [Verdict.VERDICT_ALLOWED] }),
    history: true,
    historyLimit: 0,
    sample: 0,
    buffer: 0,
  };
  const tail = new Tail(api.follow(follow));
  await tail.until(() => tail.synced, 'history');
  // A repeated batch is acknowledged and not shown again; the next one is, since it tells of another connection.
  flows.send(1n, flowColumns([toDb, toWorld]));
  flows.send(2n, flowColumns([{ ...toDb, localPort: 41_000 }]), { eventsProduced: 9n, ringDropped: 5n });
  await flows.untilAcked(2n);
  await tail.until(() => tail.rows.length >= 2 && tail.gaps.length > 0, 'live row and gap');
  expect(tail.rows.map(({ id }) => id)).toEqual([1n, 3n]);
  expect(tail.gaps).toMatchObject([{ count: 5n, beforeFilter: true, hop: 'ring', hostId: 'host-a' }]);
  const { flows: counted } = await call(system, system.get, {});
  expect(counted?.loss).toMatchObject({ recordsReceived: 3n, recordsDuplicate: 2n, ringDropped: 5n });
  expect(counted?.byVerdict.slice(0, 3)).toEqual([0n, 2n, 1n]);
  tail.close();

  // What contradicts itself is counted, and holds up nothing behind it.
  const bad = flowColumns([toDb]);
  bad.remoteIp = Buffer.alloc(3);
  flows.send(3n, bad);
  flows.send(4n, flowColumns([{ ...toDb, localPort: 41_001 }]));
  await flows.untilAcked(4n);
  expect(flows.ended).toBeUndefined();
  const { flows: after } = await call(system, system.get, {});
  expect(after?.loss).toMatchObject({ recordsReceived: 4n, recordsRefused: 1n });
});
