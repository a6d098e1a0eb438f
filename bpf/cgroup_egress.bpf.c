/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a socket of a host workload sends. A dropped packet is EPERM to the caller. */
#include "lib/cgroup.h"

SEC("cgroup_skb/egress")
int rf_cg_egress(struct __sk_buff *skb)
{
	return rf_cgroup(skb, RF_DIRECTION_OUTBOUND);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
