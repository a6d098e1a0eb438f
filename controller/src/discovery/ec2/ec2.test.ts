// The connector against an EC2 on loopback: what it finds, how it is seen, and what happens when EC2 does not answer.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addressHex, formatAddress, parseAddress } from '@ringfence/proto/address.js';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openSqlite } from '../../store/sqlite.js';
import { StateStore } from '../../store/state-store.js';
import { Connector } from '../connector.js';
import { storedTree } from '../space-book.js';
import { Ec2Source, type Ec2SourceOptions } from './source.js';
import { FakeEc2, instance, tagSet, type Xml } from './testing/fake-ec2.js';

const REGION = 'eu-central-1';
const KEY = 'AKIDEXAMPLE';
const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const VPC = 'vpc-0a1';

let dir: string;
let store: StateStore;
let ec2: FakeEc2;
let logged: string[];
const hosts: { id: string; addresses: string[] }[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'rf-ec2-'));
  store = new StateStore(openSqlite(join(dir, 'db')));
  ec2 = await FakeEc2.start(KEY, REGION);
  ec2.region = region();
  logged = [];
  hosts.length = 0;
  vi.stubEnv('AWS_ACCESS_KEY_ID', KEY);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', SECRET);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(dir, 'none'));
  vi.stubEnv('AWS_CONFIG_FILE', join(dir, 'none'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await ec2.close();
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

function region(instances: readonly Xml[] = INSTANCES): FakeEc2['region'] {
  return {
    DescribeVpcs: {
      set: 'vpcSet',
      items: [
        {
          vpcId: VPC,
          cidrBlock: '10.0.0.0/16',
          cidrBlockAssociationSet: [
            { cidrBlock: '10.0.0.0/16', cidrBlockState: { state: 'associated' } },
            { cidrBlock: '100.64.0.0/16', cidrBlockState: { state: 'associated' } },
          ],
          tagSet: tagSet({ Name: 'prod' }),
        },
      ],
    },
    DescribeSubnets: {
      set: 'subnetSet',
      items: [
        { subnetId: 'subnet-pub', vpcId: VPC, cidrBlock: '10.0.0.0/24' },
        { subnetId: 'subnet-priv', vpcId: VPC, cidrBlock: '10.0.1.0/24' },
      ],
    },
    DescribeRouteTables: {
      set: 'routeTableSet',
      items: [
        {
          vpcId: VPC,
          routeSet: [{ destinationCidrBlock: '0.0.0.0/0', gatewayId: 'igw-1', state: 'active' }],
          associationSet: [{ main: true }],
        },
        {
          vpcId: VPC,
          routeSet: [
            { destinationCidrBlock: '10.0.0.0/16', gatewayId: 'local', state: 'active' },
            { destinationCidrBlock: '0.0.0.0/0', natGatewayId: 'nat-1', state: 'active' },
          ],
          associationSet: [{ main: false, subnetId: 'subnet-priv' }],
        },
      ],
    },
    DescribeNatGateways: {
      set: 'natGatewaySet',
      items: [
        {
          natGatewayId: 'nat-1',
          vpcId: VPC,
          state: 'available',
          natGatewayAddressSet: [{ publicIp: '203.0.113.50', privateIp: '10.0.0.9' }],
        },
      ],
    },
    DescribeAddresses: {
      set: 'addressesSet',
      items: [{ publicIp: '203.0.113.7', domain: 'vpc', instanceId: 'i-elastic', privateIpAddress: '10.0.0.7' }],
    },
    DescribeInstances: { set: 'reservationSet', items: instances },
  };
}

const INSTANCES = [
  instance('i-public', VPC, 'subnet-pub', '10.0.0.5', {
    publicIp: '203.0.113.5',
    tags: { Name: 'web-1', Role: 'web' },
  }),
  instance('i-elastic', VPC, 'subnet-pub', '10.0.0.7', { tags: { Role: 'web & more' } }),
  instance('i-private', VPC, 'subnet-priv', '10.0.1.8', { ipv6: '2001:db8:1::8', tags: { Name: 'db-1', Role: 'db' } }),
  instance('i-gone', VPC, 'subnet-priv', '10.0.1.9', { state: 'terminated' }),
];

function connector(options: Partial<Ec2SourceOptions> = {}): Connector {
  const source = new Ec2Source({
    name: 'prod',
    region: REGION,
    endpoint: ec2.endpoint,
    attempts: 3,
    labels: { role: 'Role' },
    defaultLabels: { loc: 'aws' },
    vpcs: [],
    unmanaged: true,
    hosts: () => hosts,
    ...options,
  });
  const log = pino({ level: 'debug' }, { write: (line) => void logged.push(line) });
  return new Connector({
    source,
    store,
    intervalMs: 60_000,
    permits: (dimension, value) => dimension === 'loc' || value === 'web' || value === 'db',
    now: () => 1000,
    after: () => () => {},
    random: () => 0,
    log,
  });
}

/** How an address of the VPC is seen in the routed world. */
function outside(text: string): string[] | undefined {
  const tree = storedTree(store.table('spaces'), store.table('translation'));
  const hex = addressHex(parseAddress(text) ?? new Uint8Array(16));
  return tree.outwards({ space: `ec2.prod.${VPC}`, hex })?.hex.map((each) => formatAddress(Buffer.from(each, 'hex')));
}

describe('the EC2 connector', () => {
  it('finds public addresses and Elastic IPs one to one, NAT gateways by subnet, IPv6 routed, and who has them', async () => {
    const looked = connector();
    await looked.look();
    expect(looked.standing).toMatchObject({ problem: '', spaces: 1, workloads: 3 });
    expect(outside('10.0.0.5')).toEqual(['203.0.113.5']);
    expect(outside('10.0.0.7')).toEqual(['203.0.113.7']);
    expect(outside('10.0.1.8')).toEqual(['203.0.113.50']);
    expect(outside('2001:db8:1::8')).toEqual(['2001:db8:1::8']);
    expect(store.get('workload', 'prod/i-private')).toMatchObject({
      name: 'db-1',
      hostId: '',
      source: 'connector:prod',
      labels: { loc: 'aws', role: 'db' },
      addresses: [{ space: `ec2.prod.${VPC}` }, { space: `ec2.prod.${VPC}` }],
    });
    expect(store.get('workload', 'prod/i-gone')).toBeUndefined();
    // A value that no policy permits is left out and told.
    expect(store.get('workload', 'prod/i-elastic')?.labels).toEqual({ loc: 'aws' });
    expect(looked.standing.notes.join()).toMatch(/prod\/i-elastic role=web & more/);
  });

  it('reads every page, and writes nothing when nothing has changed', async () => {
    ec2.pageSize = 1;
    const looked = connector();
    await looked.look();
    expect(looked.standing).toMatchObject({ problem: '', workloads: 3 });
    expect(ec2.calls.filter((call) => call.startsWith('DescribeInstances'))).toEqual([
      'DescribeInstances',
      'DescribeInstances page-1',
      'DescribeInstances page-2',
      'DescribeInstances page-3',
    ]);
    const { revision } = store.driver().status();
    await looked.look();
    expect(store.driver().status().revision).toBe(revision);
  });

  it('follows changes: an instance that goes, a NAT gateway that is replaced', async () => {
    const looked = connector();
    await looked.look();
    ec2.region = {
      ...region(INSTANCES.slice(0, 2)),
      DescribeNatGateways: {
        set: 'natGatewaySet',
        items: [{ natGatewayId: 'nat-1', state: 'available', natGatewayAddressSet: [{ publicIp: '203.0.113.51' }] }],
      },
    };
    await looked.look();
    expect(store.get('workload', 'prod/i-private')).toBeUndefined();
    expect(outside('10.0.1.8')).toEqual(['203.0.113.51']);
  });

  it("puts an agent's host into its VPC by the address that only the two have, or by its tag, and makes no workload of it", async () => {
    hosts.push({ id: 'h1', addresses: ['10.0.0.5'] }, { id: 'h2', addresses: ['192.168.7.7'] });
    ec2.region = region([
      ...INSTANCES,
      instance('i-tagged', VPC, 'subnet-priv', '10.0.1.20', { tags: { 'ringfence:host': 'h2' } }),
    ]);
    await connector().look();
    const tree = storedTree(store.table('spaces'), store.table('translation'));
    expect([tree.ofHost('h1'), tree.ofHost('h2')]).toEqual([`ec2.prod.${VPC}`, `ec2.prod.${VPC}`]);
    expect(['prod/i-public', 'prod/i-tagged'].map((id) => store.get('workload', id))).toEqual([undefined, undefined]);
  });

  it('does not guess which of two VPCs with one range a host is in', async () => {
    hosts.push({ id: 'h1', addresses: ['10.0.0.5'] });
    const other = 'vpc-0b2';
    ec2.region = {
      ...region([...INSTANCES, instance('i-twin', other, 'subnet-x', '10.0.0.5')]),
      DescribeVpcs: {
        set: 'vpcSet',
        items: [VPC, other].map((vpcId) => ({ vpcId, cidrBlock: '10.0.0.0/16', tagSet: [] })),
      },
    };
    const looked = connector();
    await looked.look();
    expect(looked.standing.notes.join()).toMatch(/Cannot tell on which instance host h1 runs: found i-public, i-twin/);
    expect(storedTree(store.table('spaces'), store.table('translation')).ofHost('h1')).toBe('');
  });

  it('lets what an operator declares stand before what a connector finds', async () => {
    hosts.push({ id: 'h1', addresses: ['10.0.0.5'] });
    await store.update((tx) =>
      tx.set('spaces', 'current', { content: 'spaces: [{ name: mine, hosts: [h1] }]', changedMs: 1 }),
    );
    await connector().look();
    const tree = storedTree(store.table('spaces'), store.table('translation'));
    expect(tree.ofHost('h1')).toBe('mine');
    expect(tree.get(`ec2.prod.${VPC}`)?.hosts).toEqual([]);
  });

  it('waits out throttling, and keeps what it knew when EC2 goes on refusing', async () => {
    ec2.failures.push({ action: 'DescribeSubnets', status: 503, code: 'RequestLimitExceeded', times: 2 });
    const looked = connector();
    await looked.look();
    expect(looked.standing.problem).toBe('');
    expect(ec2.calls.filter((call) => call === 'DescribeSubnets')).toHaveLength(3);
    ec2.failures.push({ action: 'DescribeInstances', status: 500, code: 'InternalError', times: 99 });
    await looked.look();
    expect(looked.standing.problem).toMatch(
      /^RF_CONNECTOR_EC2: Cannot look at EC2 in eu-central-1: found InternalError/,
    );
    expect(store.get('workload', 'prod/i-private')).toBeDefined();
    expect(outside('10.0.1.8')).toEqual(['203.0.113.50']);
  }, 20_000);

  it('says so when credentials are refused or missing, and logs nothing of them', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDOTHER');
    const refused = connector();
    await refused.look();
    expect(refused.standing.problem).toMatch(/^RF_CONNECTOR_CREDENTIALS: .*found AuthFailure/);
    vi.stubEnv('AWS_ACCESS_KEY_ID', '');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', '');
    const missing = connector();
    await missing.look();
    expect(missing.standing.problem).toMatch(/^RF_CONNECTOR_CREDENTIALS: /);
    expect(logged.length).toBeGreaterThanOrEqual(2);
    for (const hidden of [SECRET, KEY, 'AKIDOTHER', 'Signature', 'Authorization'])
      expect(logged.join('\n')).not.toContain(hidden);
  });

  it('stops at once while EC2 does not answer', async () => {
    ec2.silent.add('DescribeSubnets');
    const hanging = connector();
    hanging.start();
    await expect.poll(() => ec2.calls).toContain('DescribeVpcs');
    await hanging.stop();
    expect(hanging.standing).toMatchObject({ lookedMs: 0, problem: '' });
  });

  it('takes VPCs that are named, and says which are not there', async () => {
    const looked = connector({ vpcs: ['vpc-0dead'] });
    await looked.look();
    expect(looked.standing).toMatchObject({ spaces: 0, workloads: 0 });
    expect(looked.standing.notes).toEqual(['Cannot find VPC vpc-0dead: found none of this id in the region']);
  });
});
