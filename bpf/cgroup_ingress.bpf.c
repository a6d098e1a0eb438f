/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a socket of a host workload is about to receive. */
#include "lib/cgroup.h"

SEC("cgroup_skb/ingress")
int rf_cg_ingress(struct __sk_buff *skb)
{
	return rf_cgroup(skb, RF_DIRECTION_INBOUND);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
