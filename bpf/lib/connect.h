/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * connect() and sendmsg() of host workloads: a forbidden destination fails at once with EPERM. Only what enforcement
 * would surely drop is refused here; everything else, and every report in test and visibility mode, is left to
 * cgroup_skb. The destination is the one before NAT, and the local address may not be chosen yet.
 */
#ifndef RF_CONNECT_H
#define RF_CONNECT_H

#include "events.h"
#include "judge.h"
#include "owner.h"
#include "tag.h"

#define RF_CALL_PASS 1
#define RF_CALL_REFUSE 0

static __always_inline int rf_is_own_address(const struct rf_endpoint *ep, const struct rf_addr *addr)
{
	struct rf_peer_key key = {.space = ep->space, .addr = *addr};
	struct rf_peer *peer;
	const __u32 *words = (const __u32 *)addr->bytes;

	/* Loopback; the unspecified address connects to loopback too. */
	if (rf_is_loopback_address(addr) ||
	    (!words[0] && !words[1] && (!words[2] || words[2] == bpf_htonl(0xffff)) && !words[3]))
		return 1;
	peer = bpf_map_lookup_elem(&rf_peers, &key);
	return peer && peer->flags & RF_PEER_HOST;
}

/* key holds remote, remote port and protocol; the local end as far as it is known. */
RF_SUBPROGRAM int rf_call_is_refused(struct rf_flow_key *key, const struct rf_endpoint *ep,
				     const struct rf_owner *owner)
{
	struct rf_report report = {.now = rf_now(), .kind = RF_EVENT_KIND_DENY, .flags = RF_EVENT_FROM_CONNECT};
	struct rf_refusal refusal = {
		.d = {.direction = RF_DIRECTION_OUTBOUND},
		.policy_version = ep->policy_version,
		.packet_direction = RF_DIRECTION_OUTBOUND,
	};
	struct rf_decision reverse = {};

	key->endpoint = ep->number;
	rf_decide(ep, key, &refusal.d);
	if (refusal.d.verdict != RF_VERDICT_BLOCKED)
		return 0;
	/* A bound datagram socket may be answering: its packet is matched with the flow it belongs to at cgroup_skb. */
	if (key->proto != RF_PROTO_TCP && key->local_port_be) {
		reverse.direction = RF_DIRECTION_INBOUND;
		rf_decide(ep, key, &reverse);
		if (reverse.allowed)
			return 0;
	}
	rf_count(refusal.d.verdict, refusal.d.reason, RF_DIRECTION_OUTBOUND, 0);
	report.attempts = rf_fold_deny(key, report.now);
	if (!report.attempts)
		return 1;
	if (owner) {
		refusal.pid = owner->pid;
		__builtin_memcpy(refusal.comm, owner->comm, sizeof(refusal.comm));
	}
	rf_report_refusal(key, &refusal, &report);
	return 1;
}

/* Whose SYN this socket is going to send. Containers count by their cgroup, in whatever network namespace they are. */
static __always_inline void rf_note_sender(struct rf_owner *owner, const struct rf_endpoint *ep, __u64 endpoint_id,
					   int foreign)
{
	int known = ep && (!foreign || ep->flags & RF_EP_SKIP);

	if (owner)
		owner->sender = known ? endpoint_id : 0;
	else if (known)
		rf_failed(RF_ERROR_SENDER);
}

/* connect: the caller becomes the socket's owner (who made it may have handed it on). */
static __always_inline int rf_call(struct bpf_sock_addr *ctx, struct rf_flow_key *key, int is_connect)
{
	struct rf_endpoint_key at = {};
	struct rf_endpoint *ep;
	struct rf_owner *owner = 0;
	struct rf_tags *tags;
	int foreign, tagging = 0;

	if (ctx->sk) {
		owner = bpf_sk_storage_get(&rf_sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!owner)
			rf_failed(RF_ERROR_OWNER);
		else if (is_connect && owner->pid != (__u32)(bpf_get_current_pid_tgid() >> 32))
			rf_own(owner, bpf_get_netns_cookie(ctx));
	}
	if (ctx->protocol != RF_PROTO_TCP && ctx->protocol != RF_PROTO_UDP && ctx->protocol != RF_PROTO_UDPLITE &&
	    ctx->protocol != RF_PROTO_SCTP)
		return RF_CALL_PASS;
	foreign = rf_netns_cookie && bpf_get_netns_cookie(ctx) != rf_netns_cookie;
	if (is_connect && ctx->protocol == RF_PROTO_TCP) {
		tags = rf_tags_now();
		tagging = tags && tags->flags & RF_TAGS_WRITE;
		if (owner && !tagging)
			owner->sender = 0;
	}
	if (foreign && !tagging)
		return RF_CALL_PASS;
	ep = rf_find_calling_endpoint(&at);
	if (tagging)
		rf_note_sender(owner, ep, at.id, foreign);
	if (foreign || !ep || ep->flags & RF_EP_SKIP ||
	    (ep->mode_out != RF_MODE_ENFORCE && !(ep->flags & RF_EP_ISOLATED)))
		return RF_CALL_PASS;
	key->proto = ctx->protocol;
	if (ctx->sk)
		key->local_port_be = bpf_htons(ctx->sk->src_port);
	if (rf_is_own_address(ep, &key->remote) || !rf_call_is_refused(key, ep, owner))
		return RF_CALL_PASS;
	if (rf_has_set_retval)
		bpf_set_retval(-(int)rf_connect_errno);
	return RF_CALL_REFUSE;
}

static __always_inline int rf_call4(struct bpf_sock_addr *ctx, int is_connect)
{
	struct rf_flow_key key = {.remote_port_be = ctx->user_port};

	rf_map_v4(&key.local, is_connect ? 0 : ctx->msg_src_ip4);
	rf_map_v4(&key.remote, ctx->user_ip4);
	return rf_call(ctx, &key, is_connect);
}

static __always_inline int rf_call6(struct bpf_sock_addr *ctx, int is_connect)
{
	struct rf_flow_key key = {.remote_port_be = ctx->user_port};
	__u32 *remote = (__u32 *)key.remote.bytes;

	remote[0] = ctx->user_ip6[0];
	remote[1] = ctx->user_ip6[1];
	remote[2] = ctx->user_ip6[2];
	remote[3] = ctx->user_ip6[3];
	return rf_call(ctx, &key, is_connect);
}

#endif
