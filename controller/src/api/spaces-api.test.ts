import { addressHex, parseAddress } from '@ringfence/proto/address.js';
import { ExplainRequest } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { type AgentMessage, SourceTranslations } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { Confidence, Verdict, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { call } from '../testing/admin-client.js';
import { Harness } from '../testing/harness.js';

let rf: Harness;
beforeEach(async () => {
  rf = await Harness.start();
});
afterEach(() => rf.dispose());

const address = (text: string, space = '') => ({ ip: Buffer.from(parseAddress(text) ?? []), space });
const { WORKLOAD_KIND_HOST: HOST, WORKLOAD_KIND_CONTAINER: CONTAINER } = WorkloadKind;

const SPACES = `
spaces:
  - name: office
    hosts: [host-a]
    source: [{ address: 198.51.100.1 }]
    destination: [{ address: 198.51.100.1, port: 9080, to: 10.1.0.5, toPort: 8080 }]
`;

/** A web container on host-a with a published port, a client container on host-b; the client may use it. */
async function docker() {
  const a = await rf.agent('host-a');
  a.sendInventory([
    {
      localId: 'host',
      name: 'host-a',
      kind: HOST,
      addresses: [address('10.1.0.5'), address('172.17.0.1', 'local:bridge')],
    },
    {
      localId: 'container:web',
      name: 'web',
      kind: CONTAINER,
      addresses: [address('172.17.0.2', 'local:bridge')],
      published: [{ protocol: 6, hostAddress: undefined, hostPort: 8080, port: 80 }],
    },
  ]);
  const b = await rf.agent('host-b');
  b.sendInventory([
    { localId: 'host', name: 'host-b', kind: HOST, addresses: [address('192.0.2.20')] },
    {
      localId: 'container:client',
      name: 'client',
      kind: CONTAINER,
      addresses: [address('172.17.0.2', 'local:bridge')],
    },
  ]);
  await a.until(() => a.assignments.size === 2, 'assignments of host-a');
  await b.until(() => b.assignments.size === 2, 'assignments of host-b');
  await rf.setLabels('host-a/container:web', { role: 'web' });
  await rf.setLabels('host-b/container:client', { role: 'client' });
  await rf.applyPolicy(
    'modes:\n  - id: all\n    match: role=web\n    mode: enforce\nrules:\n  - id: r\n    service: tcp/80\n    providedBy: role=web\n    usedBy: role=client\n',
  );
  return { a, b };
}

const key = (text: string, port: number) => {
  const bytes = parseAddress(text) ?? new Uint8Array(16);
  return `|${Buffer.from(bytes.subarray(12)).toString('hex')}|6|${port}`;
};

const apply = (content: string, dryRun = false) =>
  call(rf.admin.spaces, rf.admin.spaces.apply, { content, file: 'spaces.yaml', dryRun });
const path = (source: string, destination: string) =>
  call(rf.admin.spaces, rf.admin.spaces.path, { source, destination, family: 0 });

test('a published port reaches every host, and moves behind a gateway when one is declared', async () => {
  const { a, b } = await docker();
  await b.until(() => b.nats.get(key('10.1.0.5', 8080))?.port === 80, 'the published port');
  await a.until(() => a.nats.has(key('172.17.0.1', 8080)) && a.nats.has(key('10.1.0.5', 8080)), 'its own ports');
  expect(b.nats.has(key('172.17.0.1', 8080))).toBe(false);
  expect(await path('client', 'web')).toMatchObject({
    reachable: true,
    services: [{ address: '10.1.0.5', port: 8080, workloadPort: 80 }],
    destinationConfidence: Confidence.CONFIDENCE_MAPPED,
    hops: [{ address: '172.17.0.2' }, { address: '192.0.2.20', by: 'masquerade of host host-b' }],
    sourceConfidence: Confidence.CONFIDENCE_SHARED,
    sharedWith: ['host-b/host'],
  });
  expect(await apply(SPACES, true)).toMatchObject({ accepted: true, changed: true, spaces: 1 });
  expect(b.nats.has(key('10.1.0.5', 8080))).toBe(true);
  expect(await apply(SPACES)).toMatchObject({ accepted: true, changed: true, problems: [] });
  await b.until(() => b.nats.has(key('198.51.100.1', 9080)) && !b.nats.has(key('10.1.0.5', 8080)), 'the gateway');
  expect(await path('client', 'web')).toMatchObject({ services: [{ address: '198.51.100.1', port: 9080 }] });
  expect(await path('web', 'client')).toMatchObject({ reachable: false });
  expect((await path('web', 'host-b')).hops.map(({ space, address }) => [space, address])).toEqual([
    ['local:bridge on host-a', '172.17.0.2'],
    ['office', '10.1.0.5'],
    ['', '198.51.100.1'],
  ]);
  expect(await apply(SPACES)).toMatchObject({ changed: false });
  const { spaces } = await call(rf.admin.spaces, rf.admin.spaces.list, { name: '' });
  expect(spaces.map(({ name, parent, declared }) => [name, parent, declared])).toEqual([
    ['', '', true],
    ['local:bridge on host-a', 'office', false],
    ['local:bridge on host-b', '', false],
    ['office', '', true],
  ]);
  // Bindings follow: the client is behind its host, under the one address that host-a sees.
  const seen = [...a.bindings.values()].map(({ address: bytes, shared }) => [addressHex(bytes), shared.length]);
  expect(seen).toEqual([[addressHex(parseAddress('192.0.2.20') ?? new Uint8Array(16)), 2]]);
});

test('the path draws every kind of translation: masquerade, pool, one to one, port block, a gateway that was seen, and what else was', async () => {
  const { a, b } = await docker();
  const drawn = async (source: string) => {
    expect(await apply(`spaces:\n  - { name: office, hosts: [host-b], ${source} }\n`)).toMatchObject({
      accepted: true,
    });
    const { hops, alsoSeenAs } = await path('client', 'web');
    return [...hops.map(({ address: text, by }) => `${text} ${by}`.trim()), ...alsoSeenAs];
  };
  const inside = ['172.17.0.2', '192.0.2.20 masquerade of host host-b'];
  expect(await drawn('source: [{ pool: [198.51.100.1, 198.51.100.2] }]')).toEqual([
    ...inside,
    '198.51.100.1 source translation of space office',
  ]);
  expect(await drawn('source: [{ oneToOne: { inside: 192.0.2.0/24, outside: 203.0.113.0/24 } }]')).toEqual([
    ...inside,
    '203.0.113.20 one to one of space office',
  ]);
  expect(
    await drawn('source: [{ ports: { inside: 192.0.2.20/32, outside: 198.51.100.9, low: 1024, high: 2047 } }]'),
  ).toEqual([...inside, '198.51.100.9 port block of space office']);
  expect(await drawn('source: [{ address: 198.51.100.7, inside: 192.0.2.0/24 }, { address: 198.51.100.8 }]')).toEqual([
    ...inside,
    '198.51.100.7 source translation of space office',
  ]);
  expect(await drawn('gateway: host-a')).toEqual([...inside, '192.0.2.20 routed of space office']);
  // The gateway tells what it was seen to do, and the client's host another address of the client.
  const pair = (from: string, to: string) => ({ inside: address(from).ip, outside: address(to).ip });
  const told = (gateway: boolean, ...translations: ReturnType<typeof pair>[]): AgentMessage => ({
    body: { $case: 'translations', value: SourceTranslations.fromPartial({ gateway, translations }) },
  });
  a.send(told(true, pair('192.0.2.20', '198.51.100.77')));
  b.send(told(false, pair('172.17.0.2', '192.0.2.99')));
  await expect.poll(async () => (await path('client', 'web')).alsoSeenAs.length).toBeGreaterThan(0);
  expect(await drawn('gateway: host-a ')).toEqual([
    ...inside,
    '198.51.100.77 source translation of space office, as seen at gateway host-a',
    '192.0.2.99',
  ]);
  const { spaces } = await call(rf.admin.spaces, rf.admin.spaces.list, { name: 'office' });
  expect(spaces).toMatchObject([{ origin: 'declaration', gateway: 'host-a', sources: ['behind 198.51.100.77'] }]);
});

test('a file with a mistake changes nothing and says where; a restart keeps what was accepted', async () => {
  expect(await apply('spaces:\n  - name: a\n    parent: b\n')).toMatchObject({
    accepted: false,
    problems: [{ code: 'RF_SPACE_PARENT', file: 'spaces.yaml', line: 3, column: 13 }],
  });
  expect(await apply(SPACES)).toMatchObject({ accepted: true, problems: [{ code: 'RF_SPACE_HOST', warning: true }] });
  await rf.restart();
  expect(await apply(SPACES)).toMatchObject({ accepted: true, changed: false });
  const agent = await rf.agent('host-a');
  agent.sendInventory([{ localId: 'host', name: 'host-a', kind: HOST, addresses: [address('10.1.0.5')] }]);
  await agent.until(() => agent.assignments.size === 1, 'assignment');
  const { spaces } = await call(rf.admin.spaces, rf.admin.spaces.list, { name: 'office' });
  expect(spaces).toMatchObject([{ name: 'office', workloads: 1 }]);
});

test('explain decides as the hosts do: the port behind the mapping, the source behind its host', async () => {
  await docker();
  const explain = (destination: ExplainRequest['destination'], port: number) =>
    call(
      rf.admin.policy,
      rf.admin.policy.explain,
      ExplainRequest.fromPartial({
        source: { end: { $case: 'workload', value: 'client' } },
        ...(destination && { destination }),
        protocol: 6,
        port,
      }),
    );
  const published = await explain({ end: { $case: 'address', value: '10.1.0.5' } }, 8080);
  expect(published).toMatchObject({
    verdict: Verdict.VERDICT_ALLOWED,
    inbound: { ruleId: 'r' },
    outbound: { ruleId: 'r' },
  });
  expect(published.notes).toContainEqual('10.1.0.5 port 8080 is port 80 of web.');
  expect(published.notes).toContainEqual('The source is translated: seen as 192.0.2.20.');
  const byName = await explain({ end: { $case: 'workload', value: 'web' } }, 80);
  expect(byName.notes).toContainEqual('The destination is reached as 10.1.0.5 port 8080.');
  const hidden = await explain({ end: { $case: 'workload', value: 'web' } }, 81);
  expect(hidden).toMatchObject({ verdict: Verdict.VERDICT_BLOCKED });
  expect(hidden.notes.join()).toContain('No path');
});
