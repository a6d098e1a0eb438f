/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* connect() to an IPv4 address. */
#include "lib/connect.h"

SEC("cgroup/connect4")
int rf_connect4(struct bpf_sock_addr *ctx)
{
	return rf_call4(ctx, 1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
