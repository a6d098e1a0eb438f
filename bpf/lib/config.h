/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Includes and read-only data of every program. The values are set before load, so a branch on one is decided by the
 * verifier and the other side is removed: helpers of newer kernels stand behind such switches. bpf/ts/programs.ts
 * describes each.
 */
#ifndef RF_CONFIG_H
#define RF_CONFIG_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "reasons.h"
#include "limits.h"
#include "abi.h"

#define RF_SECOND_NS 1000000000ULL

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* A BPF subprogram of its own: verified with the caller's state, its stack counted on top. Not every object calls each.
 */
#define RF_SUBPROGRAM static __noinline __attribute__((unused))

/*
 * A global subprogram: verified once per object and on its own, not again on every path that calls it. Its pointers may
 * be NULL to the verifier, and what they point to must be initialised. Without it 6.1 gives up on tc_ingress ("BPF
 * program is too large. Processed 1000001 insn"), and 6.18 takes seconds. Pointers to structs want 5.12.
 */
#define RF_GLOBAL __noinline __attribute__((unused))

const volatile __u64 rf_netns_cookie = 0;
const volatile __u8 rf_has_skb_cookie = 0;
const volatile __u8 rf_has_sock_cookie = 0;
const volatile __u8 rf_has_coarse_clock = 0;
const volatile __u8 rf_has_set_retval = 0;
const volatile __u8 rf_has_task_read = 0;
const volatile __u8 rf_guards_containers = 0;
const volatile __u8 rf_report_loopback = 1;
const volatile __u32 rf_connect_errno = 1;
const volatile __u32 rf_wakeup_bytes = 131072;
const volatile __u64 rf_update_period_ns = 5 * RF_SECOND_NS;
const volatile __u64 rf_deny_period_ns = RF_SECOND_NS;
const volatile __u64 rf_tcp_new_ns = 60 * RF_SECOND_NS;
const volatile __u64 rf_tcp_open_ns = 10800 * RF_SECOND_NS;
const volatile __u64 rf_tcp_closed_ns = 10 * RF_SECOND_NS;
const volatile __u64 rf_udp_new_ns = 30 * RF_SECOND_NS;
const volatile __u64 rf_udp_open_ns = 180 * RF_SECOND_NS;
const volatile __u64 rf_icmp_ns = 30 * RF_SECOND_NS;
const volatile __u64 rf_other_ns = 600 * RF_SECOND_NS;

/* CLOCK_MONOTONIC; the coarse clock lags by at most a tick, which is fine for timeouts and cheaper by half. */
static __always_inline __u64 rf_now(void)
{
	if (rf_has_coarse_clock)
		return bpf_ktime_get_coarse_ns();
	return bpf_ktime_get_ns();
}

#endif
