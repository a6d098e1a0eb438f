/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sendto() and sendmsg() with an IPv6 destination, on sockets that are not connected. */
#include "lib/connect.h"

SEC("cgroup/sendmsg6")
int rf_sendmsg6(struct bpf_sock_addr *ctx)
{
	return rf_call6(ctx, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
