import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PushNatMappingsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_nat.js';
import type { CreateWorkloadRequest, PushWorkloadsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { testAuthority, writeContext } from '../testing/certificates.js';
import { type FakeController, startFakeController } from '../testing/fake-controller.js';
import { sampleWorkload } from '../testing/samples.js';
import { TestTerminal } from '../testing/terminal.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let folder: string;
let context: string;
let controller: FakeController;
let nats: PushNatMappingsRequest[];
let pushes: PushWorkloadsRequest[];
let creations: CreateWorkloadRequest[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-push-'));
  const authority = await testAuthority();
  controller = await startFakeController(
    authority.ca,
    await authority.issue('controller', { dns: 'ringfence-controller' }),
    {
      nat: {
        push: ({ request }, done) => {
          nats.push(request);
          done(null, { created: 1, updated: 2, removed: 3 });
        },
        list: (_call, done) =>
          done(null, {
            mappings: nats.flatMap(({ source, mappings }) => mappings.map((mapping) => ({ ...mapping, source }))),
          }),
      },
      workloads: {
        push: ({ request }, done) => {
          pushes.push(request);
          done(null, { created: 1, updated: 0, removed: 0, unchanged: 4 });
        },
        create: ({ request }, done) => {
          creations.push(request);
          done(null, sampleWorkload());
        },
      },
    },
  );
  context = await writeContext(folder, controller.address, authority.ca, await authority.issue('operator'));
});
beforeEach(() => {
  nats = [];
  pushes = [];
  creations = [];
});
afterAll(async () => {
  controller.stop();
  await rm(folder, { recursive: true });
});

function terminal(stdin?: string): TestTerminal {
  return new TestTerminal({ env: { RINGFENCE_CONTEXT: context }, stdin });
}

test('nat push: mappings with their defaults, then nat list shows them', async () => {
  const file = `source: gateway-1
mappings:
  - { address: 203.0.113.7, port: 443, workload: web, workloadPort: 8443 }
  - { address: "2001:db8::7@vpc-1", protocol: udp, port: 53, workload: dns }
`;
  expect(await terminal(file).run('nat', 'push', '-', '--prune')).toBe(0);
  expect(nats[0]).toMatchObject({ source: 'gateway-1', prune: true });
  expect(nats[0]?.mappings).toMatchObject([
    {
      address: { ip: Buffer.from([203, 0, 113, 7]), space: '' },
      protocol: 6,
      port: 443,
      workloadId: 'web',
      workloadPort: 8443,
    },
    { address: { space: 'vpc-1' }, protocol: 17, port: 53, workloadPort: 53 },
  ]);
  const list = terminal();
  expect(await list.run('nat', 'list')).toBe(0);
  expect(list.stdout.text).toMatchInlineSnapshot(`
    "ADDRESS              PORT     WORKLOAD  TO PORT  SOURCE     STATE
    203.0.113.7          tcp/443  web          8443  gateway-1  waits for workload
    2001:db8::7 (vpc-1)  udp/53   dns            53  gateway-1  waits for workload
    "
  `);
});

test('workload push: labels, addresses and metadata of one source', async () => {
  const file = `
workloads:
  - id: vm-1
    addresses: [10.0.0.1, 10.0.0.2@lan]
    labels: { role: db, tier: 1 }
    metadata: { owner: me }
`;
  const shell = terminal(file);
  expect(await shell.run('workload', 'push', '-', '--source', 'cmdb', '-o', 'json')).toBe(0);
  expect(pushes[0]).toMatchObject({
    source: 'cmdb',
    prune: false,
    workloads: [
      {
        id: 'vm-1',
        name: 'vm-1',
        labels: [
          { dimension: 'role', value: 'db' },
          { dimension: 'tier', value: '1' },
        ],
        metadata: { owner: 'me' },
      },
    ],
  });
  expect(pushes[0]?.workloads[0]?.addresses.map(({ space }) => space)).toEqual(['', 'lan']);
  expect(JSON.parse(shell.stdout.text)).toEqual({ source: 'cmdb', created: 1, updated: 0, removed: 0, unchanged: 4 });
});

describe('a wrong file is refused with its place before anything is sent', () => {
  test.each([
    ['a: [', '-:1:', 'YAML'],
    ['[]', '-:1:1', 'wanted a mapping'],
    ['source: x\nmapings: []', '-:2:1', '"mapings"'],
    ['mappings: []', '-:1:1', 'wanted a mapping with source'],
    ['source: x\nmappings: {}', '-:2:11', 'wanted a sequence'],
    ['source: x\nmappings: [{ address: 10.0.0.1, port: 70000, workload: w }]', '-:2:39', '70000'],
    ['source: x\nmappings: [{ address: 10.0.0, port: 1, workload: w }]', '-:2:23', '10.0.0'],
    ['source: x\nmappings: [{ address: 10.0.0.1, workload: w }]', '-:2:12', 'a mapping with port'],
    ['source: x\nmappings: [{ address: 10.0.0.1, port: 1, workload: [w] }]', '-:2:52', 'wanted text'],
    ['source: x\nmappings: [{ address: 10.0.0.1, protocol: smtp, port: 1, workload: w }]', '-:2:43', 'smtp'],
  ])('%j', async (text, place, said) => {
    const shell = terminal(text);
    expect(await shell.run('nat', 'push', '-')).toBe(2);
    expect(shell.stderr.text).toContain(`where: ${place}`);
    expect(shell.stderr.text).toContain(said);
    expect(nats).toEqual([]);
  });

  test('a file that is not there: exit code 4', async () => {
    expect(await terminal().run('workload', 'push', join(folder, 'none.yaml'))).toBe(4);
  });
});

test('workload create: addresses, labels and metadata', async () => {
  const args = [
    'workload',
    'create',
    'printer',
    '-a',
    '10.0.0.9',
    '-a',
    'fd00::9@lan',
    '-l',
    'role=printer',
    '--metadata',
    'floor=3',
    '--id',
    'p-1',
  ];
  expect(await terminal().run(...args)).toBe(0);
  expect(creations[0]?.workload).toMatchObject({
    id: 'p-1',
    name: 'printer',
    labels: [{ dimension: 'role', value: 'printer' }],
    metadata: { floor: '3' },
  });
  expect(creations[0]?.workload?.addresses.map(({ ip, space }) => [ip.length, space])).toEqual([
    [4, ''],
    [16, 'lan'],
  ]);
  expect(await terminal().run('workload', 'create', 'printer')).toBe(2);
  expect(await terminal().run('workload', 'create', 'printer', '-a', 'here')).toBe(2);
});

test('a file on disk is named in errors', async () => {
  const file = join(folder, 'w.yaml');
  await writeFile(file, 'source: x\nworkloads:\n  - name: no-id\n');
  const shell = terminal();
  expect(await shell.run('workload', 'push', file)).toBe(2);
  expect(shell.stderr.text).toContain(`where: ${file}:3:5`);
});
