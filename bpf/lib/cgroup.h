/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The body of both cgroup_skb programs: context → endpoint → parse → judge → verdict. Attached once, at the agent's
 * cgroup root. */
#ifndef RF_CGROUP_H
#define RF_CGROUP_H

#include "judge.h"

#define RF_CGROUP_PASS 1
#define RF_CGROUP_DROP 0

/* The loopback device's index, the same in every network namespace. */
#define RF_LOOPBACK_IFINDEX 1

static __always_inline int rf_cgroup(struct __sk_buff *skb, __u8 direction)
{
	struct rf_work w = {.direction = direction, .bytes = skb->len};
	struct bpf_sock *sk = rf_socket(skb);
	struct rf_endpoint *ep;
	struct rf_owner *owner;
	enum rf_parsed parsed;

	if (!sk)
		return RF_CGROUP_PASS;
	owner = bpf_sk_storage_get(&rf_sockets, sk, 0, sk->type == RF_SOCK_RAW ? 0 : BPF_SK_STORAGE_GET_F_CREATE);
	if (!owner && sk->type != RF_SOCK_RAW)
		rf_failed(RF_ERROR_OWNER);
	w.global_generation = rf_global_generation();
	ep = rf_find_cgroup_endpoint(skb, sk, owner, w.global_generation, &w.at);
	if (!ep) {
		rf_count(RF_VERDICT_ALLOWED, RF_REASON_NO_ENDPOINT, direction, w.bytes);
		return RF_CGROUP_PASS;
	}
	parsed = rf_parse_ip(skb, &w.p, skb->protocol);
	if (parsed == RF_PARSED_NON_IP) {
		rf_count(RF_VERDICT_ALLOWED, RF_REASON_NON_IP, direction, w.bytes);
		return RF_CGROUP_PASS;
	}
	w.now = rf_now();
	w.loopback = skb->ifindex == RF_LOOPBACK_IFINDEX || rf_is_loopback_address(&w.p.src) ||
		     rf_is_loopback_address(&w.p.dst);
	return rf_judge(skb, &w, ep, parsed, sk, owner && owner->pid ? owner : 0, direction) == RF_PASS
		       ? RF_CGROUP_PASS
		       : RF_CGROUP_DROP;
}

#endif
