// What each object file holds, where it attaches, and which read-only data it takes.
import { fileURLToPath } from 'node:url';

export type Hook =
  | 'tc'
  | 'cgroup_skb'
  | 'cgroup_connect'
  | 'cgroup_sendmsg'
  | 'cgroup_sock'
  | 'sock_ops'
  | 'iter_task_file'
  | 'iter_map';

export interface ProgramFace {
  /** The C function. */
  readonly name: string;
  /** bpf/build/<object>.bpf.o */
  readonly object: string;
  readonly hook: Hook;
  /** BPF_* attach type for link create and prog query; for tc the tcx number (clsact knows only the direction). */
  readonly attachType: number;
  /** tc: side of the host's veth. The container sends through its ingress. */
  readonly side?: 'ingress' | 'egress';
  /** Enforcement does not work without it; the others only add detail (process names, early refusal). */
  readonly required: boolean;
}

/** One program per object file. */
export const PROGRAMS = {
  rf_tc_ingress: {
    name: 'rf_tc_ingress',
    object: 'tc_ingress',
    hook: 'tc',
    attachType: 46,
    side: 'ingress',
    required: true,
  },
  rf_tc_egress: {
    name: 'rf_tc_egress',
    object: 'tc_egress',
    hook: 'tc',
    attachType: 47,
    side: 'egress',
    required: true,
  },
  rf_cg_ingress: { name: 'rf_cg_ingress', object: 'cgroup_ingress', hook: 'cgroup_skb', attachType: 0, required: true },
  rf_cg_egress: { name: 'rf_cg_egress', object: 'cgroup_egress', hook: 'cgroup_skb', attachType: 1, required: true },
  rf_connect4: { name: 'rf_connect4', object: 'connect4', hook: 'cgroup_connect', attachType: 10, required: false },
  rf_connect6: { name: 'rf_connect6', object: 'connect6', hook: 'cgroup_connect', attachType: 11, required: false },
  rf_sendmsg4: { name: 'rf_sendmsg4', object: 'sendmsg4', hook: 'cgroup_sendmsg', attachType: 14, required: false },
  rf_sendmsg6: { name: 'rf_sendmsg6', object: 'sendmsg6', hook: 'cgroup_sendmsg', attachType: 15, required: false },
  rf_sock_create: {
    name: 'rf_sock_create',
    object: 'sock_create',
    hook: 'cgroup_sock',
    attachType: 2,
    required: false,
  },
  /** Attached only while tags are written. Needs rf_connect4 and rf_connect6, which note whose socket it is. */
  rf_sock_ops: { name: 'rf_sock_ops', object: 'sock_ops', hook: 'sock_ops', attachType: 3, required: false },
  /** Run once after rf_sock_create is attached: names the sockets that were open before. No output. */
  rf_iter_files: {
    name: 'rf_iter_files',
    object: 'iter_files',
    hook: 'iter_task_file',
    attachType: 28,
    required: false,
  },
  /**
   * The sweep over rf_flows (iterate({ map })). Output: packed rf_event records (128 bytes, RF_EVENT_SWEPT, sequence 0), to be
   * read like a batch from a ring: VERDICT for flows whose decision changed (CUT: close the socket), UPDATE every
   * rf_update_period_ns, END of idle flows (which it deletes). Run it every second or so, and at once after a generation change.
   */
  rf_iter_flows: { name: 'rf_iter_flows', object: 'iter_flows', hook: 'iter_map', attachType: 28, required: true },
} as const satisfies Readonly<Record<string, ProgramFace>>;

export type ProgramName = keyof typeof PROGRAMS;

/** Read-only data of every object, with its default and unit. All may be set before load. */
export const RODATA = {
  /** Cookie of the agent's network namespace: cgroup programs decide only sockets in it. 0: all. */
  rf_netns_cookie: { bytes: 8, default: 0n },
  /** bpf_get_netns_cookie works in cgroup_skb (kernel 6.15 or so): otherwise the cookie comes from the socket's storage. */
  rf_has_skb_cookie: { bytes: 1, default: 0n },
  /** bpf_get_netns_cookie works in cgroup/sock_create (5.15). */
  rf_has_sock_cookie: { bytes: 1, default: 0n },
  /** bpf_ktime_get_coarse_ns (5.11). */
  rf_has_coarse_clock: { bytes: 1, default: 0n },
  /** bpf_set_retval (5.18): connect and sendmsg are refused with rf_connect_errno instead of EPERM. */
  rf_has_set_retval: { bytes: 1, default: 0n },
  /** Positive errno for refused connects, for example 111 (ECONNREFUSED); 1 (EPERM) is what kernels before 5.18 give. */
  rf_connect_errno: { bytes: 4, default: 1n },
  /** CAP_PERFMON is there: the name of the process (its group leader) is read instead of the thread's. */
  rf_has_task_read: { bytes: 1, default: 0n },
  /** Some endpoint has the flag CONTAINERS: sockets of other network namespaces are looked at too. */
  rf_guards_containers: { bytes: 1, default: 0n },
  /** Report connections inside the host (reason LOOPBACK). They are never blocked. */
  rf_report_loopback: { bytes: 1, default: 1n },
  /** Time between UPDATE events of a flow. */
  rf_update_period_ns: { bytes: 8, default: 5_000_000_000n },
  /** Denies of one flow inside this time are one event. */
  rf_deny_period_ns: { bytes: 8, default: 1_000_000_000n },
  /** Bytes waiting in a ring that wake the consumer though it was not empty. */
  rf_wakeup_bytes: { bytes: 4, default: 131_072n },
  /** Silence after which a flow ends: TCP never answered, TCP open, TCP closed (grace for late packets), UDP one way, UDP both ways, ICMP, others. */
  rf_tcp_new_ns: { bytes: 8, default: 60_000_000_000n },
  rf_tcp_open_ns: { bytes: 8, default: 10_800_000_000_000n },
  rf_tcp_closed_ns: { bytes: 8, default: 10_000_000_000n },
  rf_udp_new_ns: { bytes: 8, default: 30_000_000_000n },
  rf_udp_open_ns: { bytes: 8, default: 180_000_000_000n },
  rf_icmp_ns: { bytes: 8, default: 30_000_000_000n },
  rf_other_ns: { bytes: 8, default: 600_000_000_000n },
} as const;

export type RodataName = keyof typeof RODATA;

/** Absolute path of an object file; the same from ts/ and dist/. */
export function objectPath(object: string): string {
  return fileURLToPath(new URL(`../build/${object}.bpf.o`, import.meta.url));
}
