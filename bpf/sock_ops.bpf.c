/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SYNs of the host's services and containers get a tag. Attached only while tags are on. */
#include "lib/tag_write.h"

SEC("sockops")
int rf_sock_ops(struct bpf_sock_ops *ctx)
{
	__u32 op = ctx->op;
	struct rf_owner *owner;
	struct bpf_sock *sk;

	/* Two thirds of the calls of a connection are for something else. */
	if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_HDR_OPT_LEN_CB &&
	    op != BPF_SOCK_OPS_WRITE_HDR_OPT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	owner = bpf_sk_storage_get(&rf_sockets, sk, 0, 0);
	if (!owner || !owner->sender)
		return 1;
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		rf_tag_arm(ctx, owner);
	else if (!owner->tag_armed)
		return 1;
	else if (op == BPF_SOCK_OPS_HDR_OPT_LEN_CB)
		rf_tag_reserve(ctx);
	else if (op == BPF_SOCK_OPS_WRITE_HDR_OPT_CB)
		rf_tag_write(ctx, owner);
	else
		rf_tag_disarm(ctx, owner);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
