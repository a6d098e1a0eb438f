// What the agent tells the controller about its machine. A fact that cannot be read is empty, never an error.
import { readFileSync } from 'node:fs';
import { hostname, networkInterfaces, release } from 'node:os';
import { HostFacts } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { findCgroupMount } from '../workloads/cgroup-tree.js';
import { hostAddresses } from '../workloads/host-addresses.js';

/** Version of this agent. */
export const AGENT_VERSION = '0.1.0';

export interface FactsOptions {
  /** Name instead of the machine's own. */
  readonly hostName?: string | undefined;
  /** For example "docker 20.10.24 /var/run/docker.sock". */
  readonly runtimes?: readonly string[];
  /** Kernel capabilities found, for example "tcx". */
  readonly features?: readonly string[];
  /** Those that were tried and not found, with why. */
  readonly missingFeatures?: readonly string[];
  /** See hostAddresses. */
  readonly spaceOf?: (interfaceName: string, family: 4 | 6) => string;
}

/** Reads them now. */
export function hostFacts(options: FactsOptions = {}): HostFacts {
  return HostFacts.create({
    hostname: options.hostName ?? hostname(),
    kernel: release(),
    os: osName(readText('/etc/os-release')),
    addresses: hostAddresses(networkInterfaces(), undefined, options.spaceOf ?? (() => '')).reported,
    cgroupMode: cgroupMode(),
    runtimes: [...(options.runtimes ?? [])],
    machineId: readText('/etc/machine-id').trim(),
    bootId: bootId(),
    agentVersion: AGENT_VERSION,
    features: [...(options.features ?? [])],
    missingFeatures: [...(options.missingFeatures ?? [])],
  });
}

/** Names this boot of the machine; '' when it cannot be read. */
export function bootId(): string {
  return readText('/proc/sys/kernel/random/boot_id').trim();
}

function cgroupMode(): string {
  try {
    return findCgroupMount().mode;
  } catch {
    return 'legacy';
  }
}

function osName(osRelease: string): string {
  const line = osRelease.split('\n').find((l) => l.startsWith('PRETTY_NAME='));
  return line?.slice('PRETTY_NAME='.length).replace(/^"|"$/g, '') ?? '';
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
