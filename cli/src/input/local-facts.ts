import { hostname, networkInterfaces, release } from 'node:os';
import { parseAddress, wireAddress } from '@ringfence/proto/address.js';
import type { HostFacts } from '@ringfence/proto/gen/ringfence/v1/agent.js';

/**
 * What can be said of this machine before an agent runs on it: enough for the enrolment record. The agent reports the rest
 * (runtimes, kernel features, its version) when it connects. `read` gives a file's text or fails.
 */
export async function localFacts(read: (path: string) => Promise<string>): Promise<HostFacts> {
  const text = async (path: string) => (await read(path).catch(() => '')).trim();
  const osRelease = await text('/etc/os-release');
  const mounts = await text('/proc/mounts');
  return {
    hostname: hostname(),
    kernel: release(),
    os: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? '',
    addresses: Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
      .flatMap(({ address }) => {
        const ip = parseAddress(address);
        return ip === undefined ? [] : [{ ip: Buffer.from(wireAddress(ip)), space: '' }];
      }),
    cgroupMode: cgroupModeOf(mounts),
    runtimes: [],
    machineId: await text('/etc/machine-id'),
    bootId: await text('/proc/sys/kernel/random/boot_id'),
    agentVersion: '',
    features: [],
  };
}

/** "unified", "hybrid" or "legacy", from the text of /proc/mounts. */
export function cgroupModeOf(mounts: string): 'unified' | 'hybrid' | 'legacy' {
  const types = new Set(mounts.split('\n').map((line) => line.split(' ')[2]));
  if (!types.has('cgroup2')) return 'legacy';
  return types.has('cgroup') ? 'hybrid' : 'unified';
}
