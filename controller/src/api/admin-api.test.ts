import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { parseAddress } from '@ringfence/proto/address.js';
import type { Host } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import {
  ListWorkloadsRequest,
  type WorkloadEvent,
  WorkloadFilter,
  WorkloadSpec,
} from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { UnenrollOutcome } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { call } from '../testing/admin-client.js';
import { Harness } from '../testing/harness.js';
import { enrollAgent } from '../testing/simulated-agent.js';
import { fileDescriptors } from './reflection.js';

let rf: Harness;
beforeEach(async () => {
  rf = await Harness.start(['--listen-metrics', '127.0.0.1:0']);
});
afterEach(() => rf.dispose());

const address = (text: string, space = '') => ({ ip: Buffer.from(parseAddress(text) ?? []), space });
const role = (value: string) => [{ dimension: 'role', value }];

function spec(id: string, more: Partial<WorkloadSpec> = {}): WorkloadSpec {
  return WorkloadSpec.fromPartial({ id, name: id, addresses: [address('192.0.2.1')], labels: role('db'), ...more });
}

test('pushed workloads become peers of agents; a source prunes only its own', async () => {
  const agent = await rf.agent('host-a');
  agent.sendInventory([
    { localId: 'host', name: 'host-a', kind: WorkloadKind.WORKLOAD_KIND_HOST, addresses: [address('10.0.0.1')] },
  ]);
  await agent.until(() => agent.assignments.size === 1, 'assignment');
  await rf.setLabels('host-a/host', { role: 'web' });
  await rf.applyPolicy('rules:\n  - id: r\n    service: tcp/1\n    providedBy: role=db\n    usedBy: role=web\n');
  const { workloads } = rf.admin;
  const push = (source: string, list: WorkloadSpec[], prune = true) =>
    call(workloads, workloads.push, { source, workloads: list, prune });
  const two = [spec('k8s/a'), spec('k8s/b', { addresses: [address('2001:db8::7')] })];
  expect(await push('k8s', two)).toMatchObject({ created: 2, updated: 0, removed: 0, unchanged: 0 });
  await agent.until(() => [...agent.bindings.values()].filter((binding) => binding.unmanaged).length === 2, 'bindings');
  expect(await push('k8s', two)).toMatchObject({ unchanged: 2, updated: 0 });
  expect(await push('other', [spec('other/x')])).toMatchObject({ created: 1, removed: 0 });
  expect(await push('k8s', [spec('k8s/a', { name: 'renamed' })])).toMatchObject({ updated: 1, removed: 1 });
  await expect(push('k8s', [spec('other/x')])).rejects.toMatchObject({ code: status.ALREADY_EXISTS });
  const listed = await call(workloads, workloads.list, ListWorkloadsRequest.fromPartial({ filter: { source: 'k8s' } }));
  expect(listed.workloads.map(({ id, name, version }) => [id, name, version])).toEqual([['k8s/a', 'renamed', 2n]]);
});

test('what a caller may write is checked: ids, addresses, labels, versions, managed workloads', async () => {
  const agent = await rf.agent('host-a');
  agent.sendInventory([{ localId: 'host', name: 'host-a', kind: WorkloadKind.WORKLOAD_KIND_HOST }]);
  await agent.until(() => agent.assignments.size === 1, 'assignment');
  const { workloads } = rf.admin;
  const create = (workload: WorkloadSpec) => call(workloads, workloads.create, { workload, source: '' });
  const cases: [WorkloadSpec, RegExp][] = [
    [spec('bad id'), /RF_WORKLOAD_ID/],
    [spec('host-a/fake'), /RF_WORKLOAD_ID.*below that of a host/],
    [spec('a', { addresses: [{ ip: Buffer.alloc(7), space: '' }] }), /RF_ADDRESS.*7 bytes, wanted 4 or 16/],
    [spec('a', { addresses: [address('10.0.0.1', 'local:docker0')] }), /RF_ADDRESS.*space/],
    [
      spec('a', { labels: [{ dimension: 'colour', value: 'red' }] }),
      /RF_LABEL_DIMENSION.*unknown dimension "colour", wanted one of app, env/,
    ],
    [spec('a', { labels: [...role('a'), ...role('b')] }), /RF_LABEL: .*role twice/],
    [spec('a', { labels: role('x'.repeat(300)) }), /RF_LABEL_VALUE/],
    [spec('a', { name: 'x'.repeat(300) }), /RF_TEXT.*300 characters, wanted at most 255/],
  ];
  for (const [bad, wanted] of cases) await expect(create(bad), String(wanted)).rejects.toThrow(wanted);
  const made = await create(spec('ext/db'));
  expect(made).toMatchObject({ kind: WorkloadKind.WORKLOAD_KIND_UNMANAGED, source: 'admin', version: 1n, hostId: '' });
  await expect(create(spec('ext/db'))).rejects.toMatchObject({ code: status.ALREADY_EXISTS });
  const update = (expectedVersion: bigint) =>
    call(workloads, workloads.update, { workload: spec('ext/db', { labels: role('cache') }), expectedVersion });
  await expect(update(7n)).rejects.toMatchObject({
    code: status.ABORTED,
    details: expect.stringContaining('found version 1, wanted 7'),
  });
  expect(await update(1n)).toMatchObject({ version: 2n, labels: role('cache') });
  const setLabels = (expectedVersion: bigint) =>
    call(workloads, workloads.setLabels, {
      workload: 'ext/db',
      set: [],
      remove: ['role'],
      replace: false,
      expectedVersion,
      sticky: false,
    });
  await expect(setLabels(1n)).rejects.toMatchObject({ code: status.ABORTED });
  expect((await setLabels(2n)).labels).toEqual([]);
  await expect(call(workloads, workloads.delete, { id: 'host-a/host', expectedVersion: 0n })).rejects.toThrow(
    /RF_WORKLOAD_MANAGED/,
  );
  await call(workloads, workloads.delete, { id: 'ext/db', expectedVersion: 0n });
  await expect(call(workloads, workloads.get, { workload: 'ext/db' })).rejects.toMatchObject({
    code: status.NOT_FOUND,
  });
});

test('permitted values of a dimension hold as soon as a draft or a version declares them', async () => {
  await rf.applyPolicy('dimensions:\n  - name: tier\n    values: [gold, silver]\n', { draftOnly: true });
  const { workloads } = rf.admin;
  const create = (value: string) =>
    call(workloads, workloads.create, { workload: spec('', { labels: [{ dimension: 'tier', value }] }), source: '' });
  await expect(create('lead')).rejects.toThrow(/RF_LABEL_VALUE.*"lead" of tier, wanted one of gold, silver/);
  expect(await create('gold')).toMatchObject({ id: expect.stringMatching(/^pushed\//) });
  const { labels } = rf.admin;
  const { dimensions } = await call(labels, labels.listDimensions, {});
  expect(dimensions.find(({ name }) => name === 'tier')).toEqual({
    name: 'tier',
    permitted: ['gold', 'silver'],
    used: [{ value: 'gold', workloads: 1 }],
    inPolicy: false,
  });
});

test('lists come in pages, filtered; names that mean several workloads are refused', async () => {
  const { workloads } = rf.admin;
  const many = Array.from({ length: 25 }, (_, i) =>
    spec(`w/${String(i).padStart(2, '0')}`, { name: `n${i % 5}`, labels: role(i % 2 === 0 ? 'even' : 'odd') }),
  );
  await call(workloads, workloads.push, { source: 's', workloads: many, prune: false });
  const ids: string[] = [];
  let token = '';
  do {
    const page = await call(
      workloads,
      workloads.list,
      ListWorkloadsRequest.fromPartial({ page: { limit: 10, token } }),
    );
    expect(page.total).toBe(25);
    ids.push(...page.workloads.map(({ id }) => id));
    token = page.nextToken;
  } while (token !== '');
  expect(ids).toEqual(many.map(({ id }) => id));
  const filter = (more: object) =>
    call(
      workloads,
      workloads.list,
      ListWorkloadsRequest.fromPartial({ filter: WorkloadFilter.fromPartial(more) }),
    ).then(({ total }) => total);
  expect(await filter({ selector: { requirements: [{ dimension: 'role', operator: 1, values: ['odd'] }] } })).toBe(12);
  expect(await filter({ selector: { requirements: [{ dimension: 'role', operator: 2, values: ['odd'] }] } })).toBe(13);
  expect(await filter({ selector: { requirements: [{ dimension: 'env', operator: 3 }] } })).toBe(0);
  expect(await filter({ selector: { requirements: [{ dimension: 'env', operator: 4 }] }, text: 'W/1' })).toBe(10);
  await expect(filter({ selector: { requirements: [{ dimension: 'role', operator: 1 }] } })).rejects.toThrow(
    /RF_SELECTOR.*at least one/,
  );
  await expect(call(workloads, workloads.get, { workload: 'n1' })).rejects.toThrow(/RF_WORKLOAD_AMBIGUOUS.*found 5/);
});

test('watch gives what exists, then synced, then each change that the filter concerns', async () => {
  const { workloads } = rf.admin;
  const push = (list: WorkloadSpec[]) => call(workloads, workloads.push, { source: 's', workloads: list, prune: true });
  await push([spec('a'), spec('b', { labels: role('web') })]);
  const events: WorkloadEvent[] = [];
  const stream = workloads.watch({
    filter: WorkloadFilter.fromPartial({
      selector: { requirements: [{ dimension: 'role', operator: 1, values: ['db'] }] },
    }),
  });
  stream.on('error', () => {});
  stream.on('data', (event: WorkloadEvent) => events.push(event));
  const words = () =>
    events.map(({ event }) =>
      event?.$case === 'set' ? `set ${event.value.id} v${event.value.version}` : `${event?.$case} ${event?.value}`,
    );
  await expect.poll(words).toEqual(['set a v1', 'synced true']);
  await push([spec('a', { name: 'x' }), spec('b', { labels: role('web'), name: 'y' })]);
  await expect.poll(words).toEqual(['set a v1', 'synced true', 'set a v2']);
  await push([spec('a', { name: 'x', labels: role('web') }), spec('b', { name: 'y' })]);
  await expect.poll(() => words().slice(3).sort()).toEqual(['removed a', 'set b v3']);
  stream.cancel();
});

test('destination mappings reach agents with the identity of their workload, and leave with it', async () => {
  const agent = await rf.agent('host-a');
  const { nat, workloads } = rf.admin;
  const mapping = {
    address: address('203.0.113.5'),
    protocol: 6,
    port: 8443,
    workloadId: 'ext/db',
    workloadPort: 443,
    source: '',
    effective: false,
  };
  const push = (source: string, mappings: object[], prune = false) =>
    call(nat, nat.push, { source, mappings: mappings as (typeof mapping)[], prune });
  expect(await push('gw', [mapping])).toEqual({ created: 1, updated: 0, removed: 0 });
  expect((await call(nat, nat.list, { source: '' })).mappings).toMatchObject([
    { source: 'gw', effective: false, port: 8443 },
  ]);
  await call(workloads, workloads.create, { workload: spec('ext/db'), source: '' });
  await agent.until(() => agent.nats.size === 1, 'mapping');
  const [[key, value]] = [...agent.nats] as [[string, { identity: number; port: number }]];
  expect(key).toBe('|cb007105|6|8443');
  expect(value.port).toBe(443);
  expect(value.identity).toBeGreaterThan(0);
  expect((await call(nat, nat.list, { source: 'gw' })).mappings).toMatchObject([{ effective: true }]);
  await expect(push('thief', [mapping])).rejects.toMatchObject({ code: status.ALREADY_EXISTS });
  await expect(push('gw', [{ ...mapping, port: 0 }])).rejects.toThrow(/RF_NAT.*port 0/);
  await expect(push('gw', [{ ...mapping, address: address('10.0.0.1', 'vpc-1') }])).rejects.toThrow(/RF_NAT_SPACE/);
  const late = await rf.agent('host-b');
  await late.until(() => late.nats.size === 1, 'mapping of a host that came later');
  expect(await push('gw', [], true)).toEqual({ created: 0, updated: 0, removed: 1 });
  await agent.until(() => agent.nats.size === 0, 'removal');
});

test('tokens: listed without their secret, revocable, bounded; enrolment says why it refuses', async () => {
  const { hosts, caPem } = rf.admin;
  const create = (more: object) => call(hosts, hosts.createToken, { ttlSeconds: 60, hostId: '', note: 'n', ...more });
  const made = await create({ hostId: 'db-7' });
  const { tokens } = await call(hosts, hosts.listTokens, {});
  expect(tokens).toMatchObject([{ tokenId: made.tokenId, hostId: 'db-7', note: 'n', author: 'admin' }]);
  expect(made.enrollAddress).toBe(rf.controller.addresses.enroll);
  const own = await enrollAgent(made.enrollAddress, made.token, caPem, { hostname: 'whatever' });
  expect(own).toMatchObject({ hostId: 'db-7', syncAddress: rf.controller.addresses.sync });
  await expect(enrollAgent(made.enrollAddress, made.token, caPem)).rejects.toMatchObject({
    code: status.UNAUTHENTICATED,
    details: expect.stringContaining('RF_ENROLL_TOKEN_USED'),
  });
  const second = await create({});
  await call(hosts, hosts.revokeToken, { tokenId: second.tokenId });
  await expect(enrollAgent(made.enrollAddress, second.token, caPem)).rejects.toThrow(/RF_ENROLL_TOKEN: /);
  await expect(create({ ttlSeconds: 9_999_999 })).rejects.toThrow(/RF_TOKEN_TTL/);
  await expect(create({ hostId: 'No Such/Id' })).rejects.toThrow(/RF_HOST_ID/);
  expect((await call(hosts, hosts.listTokens, {})).tokens).toEqual([]);
});

test('what a host can and what it lacks is on record when the first state reaches it', async () => {
  const { hosts } = rf.admin;
  let shown: Promise<Host> | undefined;
  const facts = {
    kernel: '6.1.0',
    features: ['ringbuf'],
    missingFeatures: ['tcx: found no such link, wanted kernel 6.6 or later'],
  };
  const agent = await rf.agent('host-a', {
    facts,
    answer: () => {
      shown ??= call(hosts, hosts.get, { host: 'host-a' });
      return 'ack';
    },
  });
  agent.sendInventory([{ localId: 'host', name: 'host-a', kind: WorkloadKind.WORKLOAD_KIND_HOST }]);
  await agent.until(() => agent.assignments.size === 1, 'assignment');
  expect((await shown)?.facts).toMatchObject(facts);
});

test('a removed host is gone with its workloads, and its certificate is worth nothing even when the id is given again', async () => {
  const agent = await rf.agent('host-a');
  agent.sendInventory([{ localId: 'host', name: 'host-a', kind: WorkloadKind.WORKLOAD_KIND_HOST }]);
  await agent.until(() => agent.assignments.size === 1, 'assignment');
  const { hosts, workloads } = rf.admin;
  const outcome = UnenrollOutcome.UNENROLL_OUTCOME_OPEN;
  expect(await call(hosts, hosts.remove, { hostId: 'host-a', reason: 'scrapped', outcome })).toEqual({ told: true });
  expect(await agent.untilEnded()).toBe('closed');
  expect(agent.dismissed).toBe(outcome);
  await expect(rf.agent(agent.credentials)).rejects.toThrow(/was removed/);
  expect((await call(workloads, workloads.list, ListWorkloadsRequest.fromPartial({}))).total).toBe(0);
  expect((await call(hosts, hosts.list, {})).hosts).toEqual([]);
  await rf.enroll('host-a');
  await expect(rf.agent(agent.credentials)).rejects.toThrow(/not among those it was given/);
});

test('metrics count hosts, workloads and flows', async () => {
  await rf.agent('host-a');
  const response = await fetch(`http://${rf.controller.addresses.metrics}/metrics`);
  const text = await response.text();
  expect(text).toMatch(/^ringfence_hosts\{standing="connected"\} 1$/m);
  expect(text).toMatch(/^ringfence_store_healthy 1$/m);
});

test('the committed descriptor set is what buf makes of the protos, and reflection names every service', async () => {
  const root = new URL('../../../', import.meta.url);
  const built = execFileSync(
    process.execPath,
    ['node_modules/@bufbuild/buf/bin/buf', 'build', '--exclude-source-info', '-o', '-#format=binpb'],
    { cwd: root },
  );
  const committed = readFileSync(new URL('proto/descriptor.binpb', root));
  expect(fileDescriptors(committed).length).toBeGreaterThan(8);
  expect(built.equals(committed), 'run: make gen').toBe(true);
});
