/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* At the host side of a container's veth: what the container sends. */
#include "lib/tc.h"

SEC("tc")
int rf_tc_ingress(struct __sk_buff *skb)
{
	return rf_tc(skb, RF_DIRECTION_OUTBOUND);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
