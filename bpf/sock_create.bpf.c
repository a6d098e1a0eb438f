/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* socket(): remembers which process made it. Accepted connections inherit it from their listener (BPF_F_CLONE). */
#include "lib/owner.h"

SEC("cgroup/sock_create")
int rf_sock_create(struct bpf_sock *sk)
{
	struct rf_owner *owner = bpf_sk_storage_get(&rf_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!owner) {
		rf_failed(RF_ERROR_OWNER);
		return 1;
	}
	rf_own(owner, rf_has_sock_cookie ? bpf_get_netns_cookie(sk) : 0);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
