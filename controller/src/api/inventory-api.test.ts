// The inventory: which workloads a selector selects, and what one workload belongs to.
import { parseAddress } from '@ringfence/proto/address.js';
import { WorkloadSpec } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { call } from '../testing/admin-client.js';
import { Harness } from '../testing/harness.js';

const POLICY = `
labelGroups:
  - {name: live, dimension: env, values: [prod, staging]}
  - {name: everywhere, dimension: env, values: [dev], groups: [live]}
  - {name: fronts, dimension: role, values: [web, proxy]}
ipLists:
  - {name: office, include: [192.0.2.0/24], exclude: [192.0.2.128/25]}
rules:
  - {id: b-web-to-db, service: tcp/5432, providedBy: role=db, usedBy: role=web}
  - {id: a-same, service: tcp/1, providedBy: {label: env, group: live}, usedBy: {label: env, group: live}, enabled: false}
  - {id: c-anyone, service: tcp/80, providedBy: role=web, usedBy: anyone}
modes:
  - {id: prod-enforced, match: env=prod, direction: inbound, mode: enforce, priority: 5}
  - {id: all-tested, match: workloads, mode: test}
`;

let rf: Harness;
beforeAll(async () => {
  rf = await Harness.start();
  const workload = (id: string, ip: string, labels: Record<string, string>) =>
    WorkloadSpec.fromPartial({
      id,
      name: id,
      addresses: [{ ip: Buffer.from(parseAddress(ip) ?? []), space: '' }],
      labels: Object.entries(labels).map(([dimension, value]) => ({ dimension, value })),
    });
  const { workloads } = rf.admin;
  await call(workloads, workloads.push, {
    source: 'test',
    prune: true,
    workloads: [
      workload('db1', '10.0.0.1', { role: 'db', env: 'prod' }),
      workload('web1', '192.0.2.1', { role: 'web', env: 'prod' }),
      workload('web2', '192.0.2.200', { role: 'web', env: 'dev' }),
      workload('bare', '10.0.0.9', {}),
    ],
  });
  expect(await rf.applyPolicy(POLICY)).toMatchObject({ accepted: true });
});
afterAll(() => rf.dispose());

const match = (selector: string, draft = false) => {
  const { workloads } = rf.admin;
  return call(workloads, workloads.match, { selector, draft, page: undefined });
};

test.each<[string, string[], string]>([
  ['role=web', ['web1', 'web2'], 'role=web'],
  ['workloads', ['bare', 'db1', 'web1', 'web2'], 'every workload'],
  ['{ label: env, group: everywhere }', ['db1', 'web1', 'web2'], 'env in (dev, prod, staging)'],
  ['all: [role=web, { label: env, group: live }]', ['web1'], 'role=web and env in (prod, staging)'],
  ['not: { label: role, exists: true }', ['bare'], 'not has role'],
  ['{ workload: db1 }', ['db1'], 'workload db1'],
  ['role=nothing', [], 'role=nothing'],
])('%s selects %j', async (selector, ids, understood) => {
  const answer = await match(selector);
  expect(answer.workloads.map(({ id }) => id)).toEqual(ids);
  expect(answer).toMatchObject({ understood, total: ids.length, nextToken: '' });
});

test.each([
  ['', /RF_SELECTOR.*found 0 YAML documents, wanted one selector/],
  ['color=red', /RF_SELECTOR.*wanted a declared dimension/],
  ['{ label: env, group: none }', /RF_SELECTOR.*wanted a declared label group/],
  ['{ any: [] }', /RF_SELECTOR/],
  ['anyone', /RF_SELECTOR.*wanted a selector of known workloads/],
  ['{ not closed', /RF_SELECTOR/],
  ['role=web\n---\nrole=db', /RF_SELECTOR.*found 2 YAML documents/],
])('%j is no selector', async (selector, message) => {
  await expect(match(selector)).rejects.toThrow(message);
});

test('with draft, the draft’s groups count', async () => {
  await rf.applyPolicy('labelGroups: [{name: live, dimension: env, values: [dev]}]\n', { draftOnly: true });
  const selector = '{ label: env, group: live }';
  expect((await match(selector, true)).workloads.map(({ id }) => id)).toEqual(['web2']);
  expect((await match(selector)).workloads.map(({ id }) => id)).toEqual(['db1', 'web1']);
});

test('memberships name groups with the way in, lists, rules at each end, and the modes that decide', async () => {
  const { workloads } = rf.admin;
  const of = (workload: string) => call(workloads, workloads.memberships, { workload });
  expect(await of('web1')).toEqual({
    workloadId: 'web1',
    policyVersion: 1,
    groups: [
      { name: 'everywhere', dimension: 'env', value: 'prod', via: ['live'] },
      { name: 'fronts', dimension: 'role', value: 'web', via: [] },
      { name: 'live', dimension: 'env', value: 'prod', via: [] },
    ],
    ipLists: [{ name: 'office', address: { ip: Buffer.from([192, 0, 2, 1]), space: '' } }],
    rules: [
      { id: 'a-same', action: 'allow', provides: true, uses: true, idle: true },
      { id: 'b-web-to-db', action: 'allow', provides: false, uses: true, idle: false },
      { id: 'c-anyone', action: 'allow', provides: true, uses: false, idle: false },
    ],
    modes: [
      {
        ...{ id: 'prod-enforced', mode: Mode.MODE_ENFORCE, inbound: true, outbound: false },
        ...{ decidesInbound: true, decidesOutbound: false },
      },
      {
        ...{ id: 'all-tested', mode: Mode.MODE_TEST, inbound: true, outbound: true },
        ...{ decidesInbound: false, decidesOutbound: true },
      },
    ],
  });
  // Excluded from the list; of one group only by its value.
  expect(await of('web2')).toMatchObject({
    ipLists: [],
    groups: [{ name: 'everywhere', via: [] }, { name: 'fronts' }],
  });
  expect(await of('bare')).toMatchObject({ groups: [], rules: [], modes: [{ id: 'all-tested' }] });
  await expect(of('nobody')).rejects.toThrow(/RF_WORKLOAD_UNKNOWN/);
});
