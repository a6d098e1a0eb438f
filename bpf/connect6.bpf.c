/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* connect() to an IPv6 address, IPv4-mapped ones included. */
#include "lib/connect.h"

SEC("cgroup/connect6")
int rf_connect6(struct bpf_sock_addr *ctx)
{
	return rf_call6(ctx, 1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
