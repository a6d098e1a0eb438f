import type { ExplainEnd, PolicyRef } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { Direction, Mode, Reason, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { call } from '../testing/admin-client.js';
import { type FlowRow, flowColumns } from '../testing/flow-columns.js';
import { Harness } from '../testing/harness.js';
import type { SimulatedAgent } from '../testing/simulated-agent.js';

let rf: Harness;
let sequence = 0n;
beforeEach(async () => {
  rf = await Harness.start();
});
afterEach(() => rf.dispose());

const LIVE = `services:
  - { name: sql, ports: [tcp/5432] }
rules:
  - { id: web-db, service: sql, providedBy: role=db, usedBy: role=web }
  - { id: web-cache, service: tcp/6379, providedBy: role=cache, usedBy: role=web }
modes:
  - { id: all, match: workloads, mode: enforce }
`;
const DRAFT = `services:
  - { name: sql, ports: [tcp/5433] }
rules:
  - { id: web-db, service: sql, providedBy: role=db, usedBy: role=web }
  - { id: all-of-it, service: any, providedBy: workloads, usedBy: workloads }
  - { id: no-cache, action: deny, service: tcp/6379, providedBy: role=cache, usedBy: anyone }
  - { id: fresh, service: tcp/7, providedBy: role=db, usedBy: role=web }
modes:
  - { id: all, match: workloads, mode: enforce }
`;

/** Two hosts, web and db, as their agents report them. */
async function shop(): Promise<Record<'web' | 'db', SimulatedAgent>> {
  const [web, db] = [await rf.agent('web'), await rf.agent('db')];
  for (const [agent, role, last] of [
    [web, 'web', 1],
    [db, 'db', 2],
  ] as const) {
    const addresses = [{ ip: Buffer.from([10, 0, 0, last]), space: '' }];
    agent.sendInventory([{ localId: 'host', kind: WorkloadKind.WORKLOAD_KIND_HOST, name: role, addresses }]);
    await agent.until(() => agent.assignments.size === 1, 'assignment');
    await rf.setLabels(`${agent.credentials.hostId}/host`, { role });
  }
  return { web, db };
}

/** A connection from web to an address, as web reports it, and with `both` as its peer does too. */
async function seen(agents: Record<'web' | 'db', SimulatedAgent>, port: number, times: number, both: boolean) {
  const nowUs = Date.now() * 1000;
  const common = {
    servicePort: port,
    firstSeenUs: nowUs,
    mode: Mode.MODE_ENFORCE,
    reason: Reason.REASON_IMPLICIT_DENY,
  };
  const out: FlowRow = {
    ...common,
    workload: `${agents.web.credentials.hostId}/host`,
    local: '10.0.0.1',
    remote: '10.0.0.2',
    remotePort: port,
  };
  const into: FlowRow = {
    ...common,
    workload: `${agents.db.credentials.hostId}/host`,
    local: '10.0.0.2',
    remote: '10.0.0.1',
    localPort: port,
    direction: Direction.DIRECTION_INBOUND,
  };
  for (const [agent, row] of both
    ? ([
        [agents.web, out],
        [agents.db, into],
      ] as const)
    : ([[agents.web, out]] as const)) {
    const stream = agent.openFlows();
    sequence += 1n;
    stream.send(sequence, flowColumns(Array.from({ length: times }, (_, i) => ({ remotePort: 40_000 + i, ...row }))));
    await stream.untilAcked(sequence);
    stream.close();
  }
}

const draft = { ref: { $case: 'draft' as const, value: true } };

test("diff: rules and objects in words, and which of today's label sets gain or lose what", async () => {
  await shop();
  await rf.applyPolicy(LIVE);
  await rf.applyPolicy(LIVE.replace('5432', '5433'), { draftOnly: true });
  const { policy } = rf.admin;
  const diff = await call(policy, policy.diff, { from: undefined, to: undefined });
  expect(diff).toMatchObject({ unreadable: false, truncated: false });
  expect(diff.objects).toEqual([
    {
      section: 'services',
      key: 'sql',
      change: 'changed',
      fields: [{ field: 'ports', before: '["tcp/5432"]', after: '["tcp/5433"]' }],
    },
  ]);
  expect(diff.reach).toEqual([
    { from: 'role=web', to: 'role=db', fromWorkloads: 1, toWorkloads: 1, gained: 'tcp/5433', lost: 'tcp/5432' },
  ]);
});

test('lint: what is odd, with its place; use is judged by recorded flows, and only of rules that could be met', async () => {
  const agents = await shop();
  await rf.applyPolicy(LIVE);
  await rf.applyPolicy(DRAFT, { draftOnly: true });
  const { policy } = rf.admin;
  const bare = await call(policy, policy.lint, { policy: undefined, sinceMs: 0n });
  expect(bare.notes.join()).toMatch(/nothing is said about unused rules/);
  expect(bare.findings.map(({ kind, rule }) => `${kind} ${rule}`)).toEqual(
    expect.arrayContaining(['redundant web-db', 'broad all-of-it', 'nobody no-cache', 'redundant fresh']),
  );
  expect(bare.findings.find(({ kind }) => kind === 'broad')).toMatchObject({ file: 'policy.yaml', line: 5 });
  await seen(agents, 9, 3, false);
  const lint = await call(policy, policy.lint, { policy: draft, sinceMs: 0n });
  expect(lint.connections).toBe(3n);
  // Of web-db nobody made use; all-of-it and fresh never were in force.
  expect(lint.findings.filter(({ kind }) => kind === 'unused').map(({ rule }) => rule)).toEqual(['web-db']);
  expect(lint.notes.join()).toMatch(/3 rules are not in force yet/);
});

test('simulate: recorded connections through the draft, each once though both ends reported it', async () => {
  const agents = await shop();
  await rf.applyPolicy(LIVE);
  await rf.applyPolicy(LIVE.replace('5432', '5433'), { draftOnly: true });
  await seen(agents, 5432, 4, true);
  await seen(agents, 5433, 2, false);
  await seen(agents, 22, 1, true);
  const { policy } = rf.admin;
  const request = { from: undefined, to: undefined, sinceMs: 0n, dimensions: [], asEnforced: false };
  const replay = await call(policy, policy.simulate, request);
  expect(replay).toMatchObject({ connections: 7n, newlyBlocked: 4n, newlyAllowed: 2n, unchanged: 1n });
  expect(replay.groups).toMatchObject([
    { outcome: 'newly blocked', from: 'role=web', to: 'role=db', protocol: 6, port: 5432, connections: 4n },
    { outcome: 'newly allowed', port: 5433, connections: 2n },
    { outcome: 'unchanged', port: 22, connections: 1n },
  ]);
  expect(Number(replay.groups[0]?.lastSeenMs)).toBeGreaterThan(Date.now() - 60_000);
  const later = await call(policy, policy.simulate, { ...request, sinceMs: BigInt(Date.now() + 60_000) });
  expect(later).toMatchObject({ connections: 0n, groups: [] });
});

test('lint of a version that does not exist is refused', async () => {
  const { policy } = rf.admin;
  await rf.applyPolicy(LIVE);
  await expect(
    call(policy, policy.lint, { policy: { ref: { $case: 'version', value: 9 } }, sinceMs: 0n }),
  ).rejects.toMatchObject({ details: expect.stringContaining('RF_POLICY_VERSION') });
});

test('import: NetworkPolicy becomes our YAML, which is accepted; what cannot be said is refused by name', async () => {
  const { policy } = rf.admin;
  const manifest = (name: string, port: string) => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ${name}, namespace: shop }
spec:
  podSelector: { matchLabels: { app: db } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: web } } }]
      ports: [{ protocol: TCP, port: ${port} }]
`;
  const foreign = 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: { name: other }\n';
  const files = [
    { name: 'a.yaml', content: `${manifest('plain', '5432')}---\n${manifest('named', 'sql')}` },
    { name: 'b.yaml', content: foreign },
  ];
  const imported = await call(policy, policy.import, { files });
  expect(imported).toMatchObject({ imported: 1, refused: [{ policy: 'shop/named' }] });
  expect(imported.refused[0]?.reason).toMatch(/Cannot import NetworkPolicy shop\/named: found /);
  expect(imported.problems).toMatchObject([{ code: 'RF_IMPORT_KIND', file: 'b.yaml', line: 2 }]);
  expect(await rf.applyPolicy(imported.content, { draftOnly: true })).toMatchObject({ accepted: true, problems: [] });
});

const TESTED = `${LIVE}tests:
  - name: web reads its database
    from: { labels: { role: web } }
    to: { labels: { role: db } }
    service: tcp/5432
    expect: allowed
  - name: nobody from outside does
    from: { address: 203.0.113.9 }
    to: { labels: { role: db } }
    service: tcp/5432
    expect: blocked
`;

test('test: the stored tests of the draft and of versions, in words, with what was found', async () => {
  const { policy } = rf.admin;
  await rf.applyPolicy(TESTED);
  // The draft no longer allows what its test wants, and asks for a workload that there is not.
  const broken = `${TESTED.replace('service: sql,', 'service: tcp/1,')}  - { name: ghost, from: { workload: nobody }, to: { labels: { role: db } }, service: icmp/8, expect: blocked }\n`;
  await rf.applyPolicy(broken, { draftOnly: true });
  const found = async (ref: PolicyRef | undefined) =>
    (await call(policy, policy.test, { policy: ref, questions: [] })).results.map(
      (result) => [result.name, result.expected, result.found, result.passed] as const,
    );
  expect(await found({ ref: { $case: 'version', value: 1 } })).toEqual([
    ['nobody from outside does', 'blocked', 'blocked', true],
    ['web reads its database', 'allowed', 'allowed', true],
  ]);
  expect(await found(undefined)).toEqual([
    ['ghost', 'blocked', 'with workload nobody unknown', false],
    ['nobody from outside does', 'blocked', 'blocked', true],
    ['web reads its database', 'allowed', 'blocked', false],
  ]);
  const { results } = await call(policy, policy.test, { policy: draft, questions: [] });
  expect(results[0]).toMatchObject({ from: 'nobody', to: 'role=db', protocol: 1, port: 2048 });
});

test('test: a question is judged as a stored test, by any version; what cannot be asked is refused', async () => {
  await shop();
  const { policy } = rf.admin;
  await rf.applyPolicy(LIVE);
  await rf.applyPolicy(DRAFT, { draftOnly: true });
  const labels = (role: string): ExplainEnd => ({
    end: { $case: 'labels', value: { labels: [{ dimension: 'role', value: role }] } },
  });
  const question = {
    name: 'q',
    from: labels('web'),
    to: labels('cache'),
    protocol: 6,
    port: 6379,
    expectAllowed: true,
  };
  const ask = async (ref: PolicyRef | undefined, more: Partial<typeof question> = {}) => {
    const [result] = (await call(policy, policy.test, { policy: ref, questions: [{ ...question, ...more }] })).results;
    return [result?.found, result?.passed];
  };
  expect(await ask({ ref: { $case: 'version', value: 1 } })).toEqual(['allowed', true]);
  expect(await ask(undefined)).toEqual(['blocked', false]);
  expect(await ask(undefined, { expectAllowed: false })).toEqual(['blocked', true]);
  const web: ExplainEnd = { end: { $case: 'workload', value: 'web' } };
  expect(await ask(undefined, { from: web, to: labels('db'), port: 7 })).toEqual(['allowed', true]);
  const refused = (more: object) =>
    call(policy, policy.test, { policy: undefined, questions: [{ ...question, ...more }] });
  await expect(refused({ from: undefined })).rejects.toThrow('RF_POLICY_QUESTION');
  await expect(refused({ port: 70_000 })).rejects.toThrow('RF_POLICY_QUESTION');
  await expect(refused({ to: { end: { $case: 'address', value: '10.0.0.300' } } })).rejects.toThrow('RF_ADDRESS');
});
