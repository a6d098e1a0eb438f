// What the flow map asks for: a timeline, groups by process, what decided, and verdicts as another policy would give them. Over both
// stores, which must answer alike.

import { parseAddress } from '@ringfence/proto/address.js';
import { FlowGraphRequest, FlowTimelineRequest } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction, Reason, Verdict, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call } from '../testing/admin-client.js';
import { type FlowRow, flowColumns } from '../testing/flow-columns.js';
import { Harness } from '../testing/harness.js';

const POLICY = `rules:
  - { id: web-db, service: [tcp/5432], providedBy: role=db, usedBy: role=web }
modes:
  - { id: all, match: workloads, mode: enforce }
`;
const { VERDICT_ALLOWED, VERDICT_BLOCKED } = Verdict;

describe.each(['on', 'off'])('flow store %s', (store) => {
  let rf: Harness;
  const nowUs = Math.floor(Date.now() / 1000) * 1_000_000;

  beforeAll(async () => {
    rf = await Harness.start(['--flow-store', store]);
    const agent = await rf.agent('host-a');
    const container = (name: string, address: string) => ({
      localId: `container:${name}`,
      name,
      kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
      source: 'docker',
      addresses: [{ ip: Buffer.from(parseAddress(address) ?? []), space: '' }],
    });
    agent.sendInventory([container('web', '10.0.0.1'), container('db', '10.0.0.2')]);
    await agent.until(() => agent.assignments.size === 2, 'assignments');
    await rf.setLabels('web', { role: 'web' });
    await rf.setLabels('db', { role: 'db' });
    await rf.applyPolicy(POLICY);
    const rule = (await call(rf.admin.policy, rf.admin.policy.get, { ref: undefined })).rules[0]?.number ?? 0;
    const out = {
      workload: 'host-a/container:web',
      local: '10.0.0.1',
      remote: '10.0.0.2',
      remotePort: 5432,
      rule,
      pid: 7,
    };
    const at = (secondsAgo: number) => ({
      firstSeenUs: nowUs - secondsAgo * 1_000_000,
      lastSeenUs: nowUs - secondsAgo * 1_000_000 + 1000,
    });
    const refused = { verdict: VERDICT_BLOCKED, reason: Reason.REASON_IMPLICIT_DENY, rule: 0, remotePort: 22 };
    const rows: FlowRow[] = [
      { ...out, ...at(100), process: 'nginx', bytesOut: 10 },
      { ...out, ...at(100), process: 'php', bytesOut: 20 },
      { ...out, ...at(40), process: 'php', bytesOut: 30, ...refused },
      {
        workload: 'host-a/container:db',
        local: '10.0.0.2',
        remote: '10.0.0.1',
        localPort: 5432,
        servicePort: 5432,
        direction: Direction.DIRECTION_INBOUND,
        process: 'postgres',
        rule,
        bytesIn: 10,
        ...at(100),
      },
    ];
    const stream = agent.openFlows();
    stream.send(1n, flowColumns(rows));
    await stream.untilAcked(1n);
    stream.close();
  });
  afterAll(() => rf.dispose());

  const graph = (request: Parameters<typeof FlowGraphRequest.fromPartial>[0]) =>
    call(rf.admin.flows, rf.admin.flows.graph, FlowGraphRequest.fromPartial(request));
  const timeline = (request: Parameters<typeof FlowTimelineRequest.fromPartial>[0]) =>
    call(rf.admin.flows, rf.admin.flows.timeline, FlowTimelineRequest.fromPartial(request));

  test('Timeline: attempts by verdict in the step of their last packet, without gaps, as the filter has it', async () => {
    const sinceUs = BigInt(nowUs - 120_000_000);
    const filter = { sinceUs, untilUs: BigInt(nowUs) };
    const whole = await timeline({ filter, steps: 12 });
    expect(whole.stepUs).toBe(10_000_000n);
    expect(whole.fromUs <= sinceUs && whole.fromUs > sinceUs - whole.stepUs).toBe(true);
    expect(whole.oldestUs).toBe(BigInt(nowUs - 100_000_000));
    const stepAt = (secondsAgo: number) =>
      whole.steps[Number((BigInt(nowUs - secondsAgo * 1_000_000 + 1000) - whole.fromUs) / whole.stepUs)];
    expect(stepAt(100)).toEqual({ allowed: 3n, wouldBlock: 0n, blocked: 0n, bytes: 40n });
    expect(stepAt(40)).toEqual({ allowed: 0n, wouldBlock: 0n, blocked: 1n, bytes: 30n });
    expect(whole.steps.reduce((sum, step) => sum + step.allowed + step.blocked, 0n)).toBe(4n);
    const some = await timeline({ filter: { ...filter, ports: [{ low: 22, high: 22 }] }, steps: 12 });
    expect(some.steps.reduce((sum, step) => sum + step.allowed + step.blocked, 0n)).toBe(1n);
    expect(
      (await timeline({ filter: { sinceUs: BigInt(nowUs - 90 * 86_400_000_000) }, steps: 10 })).stepUs % 3_600_000_000n,
    ).toBe(0n);
    await expect(timeline({ steps: 501 })).rejects.toThrow('RF_TIMELINE');
    await expect(timeline({ filter: { sinceUs: 5n, untilUs: 5n } })).rejects.toThrow('RF_TIMELINE');
  });

  test('Graph by process: the reporting end has its own, the other none', async () => {
    const { nodes, edges } = await graph({
      groupBy: ['role', 'process'],
      filter: { directions: [Direction.DIRECTION_OUTBOUND] },
    });
    const name = new Map(nodes.map(({ id, labels }) => [id, labels.map(({ value }) => value).join(' ')]));
    expect(edges.map(({ source, destination }) => `${name.get(source)} > ${name.get(destination)}`).sort()).toEqual([
      'web nginx > db',
      'web php > db',
    ]);
  });

  test('Graph names what decided, by direction and rule', async () => {
    const { edges } = await graph({ groupBy: ['role'] });
    const service = edges[0]?.services.find(({ port }) => port === 5432);
    expect(service?.decisions).toMatchObject([
      { direction: Direction.DIRECTION_OUTBOUND, reason: Reason.REASON_RULE_ALLOW, ruleId: 'web-db', count: 2n },
      { direction: Direction.DIRECTION_INBOUND, reason: Reason.REASON_RULE_ALLOW, ruleId: 'web-db', count: 1n },
    ]);
    const refused = edges[0]?.services.find(({ port }) => port === 22);
    expect(refused?.decisions).toMatchObject([{ reason: Reason.REASON_IMPLICIT_DENY, rule: 0, ruleId: '' }]);
  });

  test('Graph judged: by the policy in force as it was, by the draft as it would be; sums stay the same', async () => {
    const verdicts = async (judge: object) => {
      const { edges } = await graph({ groupBy: ['role'], judge });
      return Object.fromEntries(
        (edges[0]?.services ?? []).map(({ port, verdict, sums }) => [port, [verdict, sums?.bytesForward]]),
      );
    };
    expect(await verdicts({ policy: {} })).toEqual({ 5432: [VERDICT_ALLOWED, 30n], 22: [VERDICT_BLOCKED, 30n] });
    await rf.applyPolicy(POLICY.replace('tcp/5432', 'tcp/22').replace('mode: enforce', 'mode: test'), {
      draftOnly: true,
    });
    expect(await verdicts({})).toEqual({ 5432: [Verdict.VERDICT_WOULD_BLOCK, 30n], 22: [VERDICT_ALLOWED, 30n] });
    expect(await verdicts({ asEnforced: true })).toEqual({ 5432: [VERDICT_BLOCKED, 30n], 22: [VERDICT_ALLOWED, 30n] });
    // A filter on verdicts asks what the judge says.
    const blocked = await graph({
      groupBy: ['role'],
      judge: { asEnforced: true },
      filter: { verdicts: [VERDICT_BLOCKED] },
    });
    expect(blocked.edges[0]?.services.map(({ port }) => port)).toEqual([5432]);
    await expect(graph({ judge: { policy: { ref: { $case: 'version', value: 99 } } } })).rejects.toThrow(
      'RF_POLICY_VERSION',
    );
  });
});
