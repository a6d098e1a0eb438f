import { mappedAddress, parseAddress } from '@ringfence/proto/address.js';
import { WorkloadKind as Kind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { expect, test } from 'vitest';
import type { WorkloadRecord } from '../store/records.js';
import { EndResolver } from './ends.js';

type Known = Pick<WorkloadRecord, 'id' | 'name' | 'kind' | 'hostId' | 'labels' | 'present' | 'version'>;
const known = (id: string, kind: Kind, role: string, present = true): WorkloadRecord => {
  const [hostId = '', name = ''] = id.split('/');
  const record: Known = { id, name, kind, hostId, labels: { role, env: 'prod' }, present, version: 1 };
  return record as WorkloadRecord;
};
const address = (text: string) => mappedAddress(parseAddress(text) ?? new Uint8Array());

function resolver(...records: WorkloadRecord[]): EndResolver {
  return new EndResolver({
    workload: (id) => records.find((record) => record.id === id),
    at: () => [],
    ofHost: (hostId) => records.filter((record) => record.hostId === hostId),
    identityOf: (id) => records.findIndex((record) => record.id === id) + 1,
    workloadsOf: () => [],
  });
}

const host = known('h/host', Kind.WORKLOAD_KIND_HOST, 'db');
const service = known('h/api', Kind.WORKLOAD_KIND_CGROUP, 'api');
const container = known('h/c', Kind.WORKLOAD_KIND_CONTAINER, 'web');
const gone = known('h/old', Kind.WORKLOAD_KIND_CGROUP, 'old', false);
const elsewhere = known('g/host', Kind.WORKLOAD_KIND_HOST, 'web');

test.each(['127.0.0.1', '127.8.9.10', '::1'])(
  'EndResolver names %s as the reporting host, never as a container of it',
  (at) => {
    expect(resolver(host, container, gone, elsewhere).remote(address(at), 0, 'h')).toMatchObject({
      workloadId: 'h/host',
      labels: { role: 'db', env: 'prod' },
    });
    expect(resolver(host, container, elsewhere).remote(address(at), 0, 'g')).toMatchObject({ workloadId: 'g/host' });
  },
);

test('EndResolver on loopback of a host with services: by identity the one, without it what they have in common', () => {
  const ends = resolver(host, service);
  expect(ends.remote(address('127.0.0.1'), 2, 'h')).toMatchObject({ workloadId: 'h/api' });
  expect(ends.remote(address('127.0.0.1'), 0, 'h')).toEqual({
    workloadId: '',
    workloadName: '',
    hostId: 'h',
    labels: { env: 'prod' },
    identity: 0,
  });
});

test.each(['128.0.0.1', '126.255.255.255', '::2'])('EndResolver does not take %s for loopback', (at) => {
  expect(resolver(host).remote(address(at), 0, 'h')).toMatchObject({ workloadId: '', hostId: '' });
});

test('EndResolver lets no host report in the name of another one’s workload', () => {
  const ends = resolver(host, container, elsewhere);
  expect(ends.local('h/c', 'h', 2)).toMatchObject({ workloadId: 'h/c', hostId: 'h', labels: { role: 'web' } });
  expect(ends.local('h/c', 'g', 2)).toEqual({ workloadId: '', workloadName: '', hostId: 'g', labels: {}, identity: 0 });
  // Who is behind an address, the controller itself knows: also what is on no host.
  const printer = { ...known('printer', Kind.WORKLOAD_KIND_UNMANAGED, 'client'), hostId: '' };
  expect(resolver(printer).found('printer', '', 0)).toMatchObject({
    workloadId: 'printer',
    labels: { role: 'client' },
  });
});
