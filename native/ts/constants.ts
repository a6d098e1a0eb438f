// Numbers of the kernel's user API (linux/bpf.h). Declared here because Debian 12's headers lack the newer ones.

export const MapType = {
  HASH: 1,
  ARRAY: 2,
  PROG_ARRAY: 3,
  PERF_EVENT_ARRAY: 4,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  CGROUP_ARRAY: 8,
  LRU_HASH: 9,
  LRU_PERCPU_HASH: 10,
  LPM_TRIE: 11,
  ARRAY_OF_MAPS: 12,
  HASH_OF_MAPS: 13,
  SOCKHASH: 18,
  QUEUE: 22,
  STACK: 23,
  SK_STORAGE: 24,
  RINGBUF: 27,
  TASK_STORAGE: 29,
  BLOOM_FILTER: 30,
  CGRP_STORAGE: 32,
} as const;
export type MapType = (typeof MapType)[keyof typeof MapType];

export const MapFlag = {
  NO_PREALLOC: 1 << 0,
  NO_COMMON_LRU: 1 << 1,
  RDONLY: 1 << 3,
  WRONLY: 1 << 4,
  RDONLY_PROG: 1 << 7,
  WRONLY_PROG: 1 << 8,
  CLONE: 1 << 9,
  MMAPABLE: 1 << 10,
  INNER_MAP: 1 << 12,
} as const;

/** What an update expects to find. */
export const UpdateFlag = { ANY: 0, NOEXIST: 1, EXIST: 2 } as const;
export type UpdateFlag = (typeof UpdateFlag)[keyof typeof UpdateFlag];

export const ProgramType = {
  SOCKET_FILTER: 1,
  SCHED_CLS: 3,
  CGROUP_SKB: 8,
  CGROUP_SOCK: 9,
  SOCK_OPS: 13,
  CGROUP_SOCK_ADDR: 18,
  TRACING: 26,
} as const;
export type ProgramType = (typeof ProgramType)[keyof typeof ProgramType];

export const AttachType = {
  CGROUP_INET_INGRESS: 0,
  CGROUP_INET_EGRESS: 1,
  CGROUP_INET_SOCK_CREATE: 2,
  CGROUP_SOCK_OPS: 3,
  CGROUP_INET4_BIND: 8,
  CGROUP_INET6_BIND: 9,
  CGROUP_INET4_CONNECT: 10,
  CGROUP_INET6_CONNECT: 11,
  CGROUP_INET4_POST_BIND: 12,
  CGROUP_INET6_POST_BIND: 13,
  CGROUP_UDP4_SENDMSG: 14,
  CGROUP_UDP6_SENDMSG: 15,
  CGROUP_UDP4_RECVMSG: 19,
  CGROUP_UDP6_RECVMSG: 20,
  TRACE_ITER: 28,
  CGROUP_INET_SOCK_RELEASE: 34,
  TCX_INGRESS: 46,
  TCX_EGRESS: 47,
} as const;
export type AttachType = (typeof AttachType)[keyof typeof AttachType];

/** As the interface sees packets: ingress is what it receives. */
export type TcDirection = 'ingress' | 'egress';

/** Decimal numbers of bpf_link types that this package creates or reports by name. */
export const LinkType = { CGROUP: 3, ITER: 4, NETNS: 5, XDP: 6, TCX: 11, NETKIT: 13 } as const;
