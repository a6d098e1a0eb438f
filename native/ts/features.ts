import { binding } from './binding.js';

export interface Feature {
  supported: boolean;
  /** Why not, in words; '' when supported. */
  reason: string;
  /** Positive errno of the step that failed, 0 otherwise. */
  errno: number;
}

/** What the datapath asks of a kernel, each with the first mainline version that has it. */
export const FEATURES = {
  /** 6.6: bpf_link at TCX. Without it: clsact. */
  tcx: '6.6',
  /** 4.5: clsact qdisc with a direct-action BPF filter. */
  clsact: '4.5',
  /** 5.8 */
  ringbuf: '5.8',
  /** 5.7: bpf_link at a cgroup. */
  cgroupLink: '5.7',
  /** 6.2 [helper allowed in cgroup_skb]: bpf_get_netns_cookie. */
  netnsCookieInCgroupSkb: '6.2',
  /** 5.2: socket storage in cgroup_skb. */
  skStorage: '5.2',
  /** 5.18: bpf_set_retval in connect hooks. */
  setRetval: '5.18',
  /** 5.11: bpf_ktime_get_coarse_ns. */
  coarseClock: '5.11',
  /** 5.6: batched map operations. */
  batchOps: '5.6',
  /** 5.8: iterators over tasks' files. */
  iterTaskFile: '5.8',
} as const;
export type FeatureName = keyof typeof FEATURES;

const EPERM = 1;

/**
 * Tries each feature for real: makes the map, loads the program, attaches it in a throw-away network namespace. Nothing is left
 * behind. Never throws for an unsupported feature; what may not be tried counts as unsupported and says so. Takes some tens of
 * milliseconds. Wants CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; clsact also CAP_SYS_ADMIN, for the namespace.
 */
export function probeFeatures(): Record<FeatureName, Feature> {
  const out = {} as Record<FeatureName, Feature>;
  for (const name of Object.keys(FEATURES) as FeatureName[]) {
    const { errno, reason } = binding().probeFeature(name);
    const wanted = errno === EPERM ? 'wanted the capability to try' : `wanted kernel ${FEATURES[name]} or later`;
    out[name] = { supported: reason === '', reason: reason === '' ? '' : `${reason}, ${wanted}`, errno };
  }
  return out;
}
