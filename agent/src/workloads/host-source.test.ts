import type { NetworkInterfaceInfo } from 'node:os';
import { formatAddress } from '@ringfence/proto/address.js';
import { expect, it } from 'vitest';
import { ManualTimers } from '../testing/manual-timers.js';
import { findCgroupMount } from './cgroup-tree.js';
import type { FoundWorkload } from './found-workload.js';
import { hostAddresses } from './host-addresses.js';
import { HostSource } from './host-source.js';

const v4 = (address: string, internal = false) =>
  ({ address, family: 'IPv4', internal, netmask: '', mac: '', cidr: null }) as NetworkInterfaceInfo;
const v6 = (address: string) =>
  ({ address, family: 'IPv6', internal: false, netmask: '', mac: '', cidr: null, scopeid: 0 }) as NetworkInterfaceInfo;
const spaceOf = (name: string, family: 4 | 6) => (name === 'docker0' && family === 4 ? 'local:bridge' : '');

const machine = {
  lo: [v4('127.0.0.1', true)],
  eth0: [v4('10.0.0.5'), v6('fe80::1'), v6('fd00::5')],
  docker0: [v4('172.17.0.1'), v6('fd01::1')],
  veth9: [v4('169.254.1.1'), v6('fe80::9')],
};
const text = (addresses: { ip: Uint8Array; space: string }[]) =>
  addresses.map((a) => `${formatAddress(a.ip)} ${a.space}`.trim());

it('hostAddresses leaves out loopback and link-local, and gives bridges their space', () => {
  const { reported, own } = hostAddresses(machine, undefined, spaceOf);
  expect(text(reported)).toEqual(['172.17.0.1 local:bridge', 'fd01::1', '10.0.0.5', 'fd00::5']);
  expect(own.map(formatAddress)).toContain('fe80::9');
  expect(own.map(formatAddress)).not.toContain('127.0.0.1');
});

it('hostAddresses reports only the interfaces asked for, and owns all', () => {
  const { reported, own } = hostAddresses(machine, ['eth0'], spaceOf);
  expect(text(reported)).toEqual(['10.0.0.5', 'fd00::5']);
  expect(own).toHaveLength(7);
});

it('HostSource notices a changed address and a missing cgroup root', async () => {
  const timers = new ManualTimers();
  let found: readonly FoundWorkload[] = [];
  let now: Record<string, NetworkInterfaceInfo[]> = machine;
  const options = { hostName: 'h', interfaces: ['eth0'], spaceOf, pollMs: 5000, timers, read: () => now };
  const source = new HostSource({ ...options, cgroupRoot: findCgroupMount().path });
  source.start((f) => {
    found = f;
  });
  expect(found[0]?.local.cgroup?.id).toBeTypeOf('bigint');
  now = { eth0: [v4('10.0.0.6')] };
  await timers.advance(5000);
  expect(text(found[0]?.inventory.addresses ?? [])).toEqual(['10.0.0.6']);
  await source.stop();
  expect(timers.pending).toBe(0);
  const lost = new HostSource({ ...options, cgroupRoot: '/nonexistent' });
  lost.start(() => {
    throw new Error('reported without a cgroup');
  });
  expect(lost.problem).toMatch(/Cannot find the cgroup root \/nonexistent/);
  await lost.stop();
});
