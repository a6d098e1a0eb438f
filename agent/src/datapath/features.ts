import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { objectPath, PROGRAMS, RODATA } from '@ringfence/bpf';
import { effectiveCapabilities, NativeError, netnsCookie, probeFeatures, type VariableValue } from '@ringfence/native';

/** What this kernel and process allow, as far as the programs and their attachment care. */
export interface KernelFeatures {
  readonly tcx: boolean;
  /** Read-only data of every program. */
  readonly rodata: Readonly<Record<string, VariableValue>>;
}

/** Probes the kernel; guardsContainers goes into the read-only data. Throws NativeError when the cookie cannot be read for another reason than its absence. */
export function kernelFeatures(guardsContainers: boolean): KernelFeatures {
  const probed = probeFeatures();
  const capabilities = effectiveCapabilities();
  return {
    tcx: probed.tcx.supported,
    rodata: {
      rf_netns_cookie: ownCookie(),
      rf_has_skb_cookie: probed.netnsCookieInCgroupSkb.supported,
      rf_has_sock_cookie: kernelAtLeast(5, 15),
      rf_guards_containers: guardsContainers,
      rf_has_coarse_clock: probed.coarseClock.supported,
      rf_has_set_retval: probed.setRetval.supported,
      rf_has_task_read: capabilities.has('CAP_PERFMON') || capabilities.has('CAP_SYS_ADMIN'),
    },
  };
}

/**
 * 0 before 5.14 ("Cannot read the cookie of the network namespace: Protocol not available"): the cgroup programs then decide the
 * sockets of every network namespace below the agent's cgroup root; containers pass by their cgroup once they are found.
 */
function ownCookie(): bigint {
  try {
    return netnsCookie();
  } catch (error) {
    if (error instanceof NativeError && error.errnoName === 'ENOPROTOOPT') return 0n;
    throw error;
  }
}

/** bpf_get_netns_cookie in cgroup/sock_create has no cheaper probe than the version. */
function kernelAtLeast(major: number, minor: number): boolean {
  const [found = 0, foundMinor = 0] = release().split('.').map(Number);
  return found > major || (found === major && foundMinor >= minor);
}

/** 32 bytes that differ whenever loading would give other programs: object files and read-only data. */
export function fingerprint(objectDir: string | undefined, rodata: Readonly<Record<string, VariableValue>>): Buffer {
  const digest = createHash('sha256');
  for (const { object } of Object.values(PROGRAMS)) digest.update(readFileSync(objectFile(objectDir, object)));
  for (const name of Object.keys(RODATA)) digest.update(`${name}=${String(rodata[name] ?? '')};`);
  return digest.digest();
}

/** Path of an object file. */
export function objectFile(objectDir: string | undefined, object: string): string {
  return objectDir === undefined ? objectPath(object) : `${objectDir}/${object}.bpf.o`;
}
