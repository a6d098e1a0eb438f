/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sender's half: connect() notes whose socket it is, the SYN's option callbacks write the tag. States of a socket:
 *
 *   noted     connect() found the endpoint of the calling process (rf_sockets, which the socket has anyway)
 *   armed     TCP_CONNECT: the destination is worth a tag, so callbacks for options are on
 *   done      ACTIVE_ESTABLISHED: callbacks are off again; no later packet costs anything
 *
 * A retransmitted SYN is written anew, with the time it is sent at.
 */
#ifndef RF_TAG_WRITE_H
#define RF_TAG_WRITE_H

#include "owner.h"
#include "parse.h"
#include "tag.h"

#define RF_TCP_SYN_ACK (RF_TCP_SYN | RF_TCP_ACK)

static __always_inline void rf_remote_address(const struct bpf_sock_ops *ctx, struct rf_addr *addr)
{
	__u32 *words = (__u32 *)addr->bytes, v4 = ctx->remote_ip4;

	/* Read where it stands: else LLVM picks the offset first, and "dereference of modified ctx ptr" is refused. */
	barrier_var(v4);
	words[0] = ctx->remote_ip6[0];
	words[1] = ctx->remote_ip6[1];
	words[2] = ctx->remote_ip6[2];
	words[3] = ctx->remote_ip6[3];
	if (ctx->family == RF_AF_INET)
		rf_map_v4(addr, v4);
}

/*
 * The destination as policy sees it, written down for the SYN and its retransmissions: behind a published port it is
 * bound by identity. 0: not worth a tag.
 */
static __always_inline int rf_tag_aim(struct bpf_sock_ops *ctx, const struct rf_endpoint *ep, struct rf_owner *owner)
{
	struct rf_nat_key nat_key = {.space = ep->space, .proto = RF_PROTO_TCP};
	struct rf_peer_key peer_key = {.space = ep->space};
	struct rf_tags *tags;
	struct rf_peer *peer;
	struct rf_nat *nat;

	rf_remote_address(ctx, &nat_key.addr);
	/* remote_port holds the port's two bytes, in network order, in its upper half. */
	nat_key.port_be = ctx->remote_port >> 16;
	nat = bpf_map_lookup_elem(&rf_nat, &nat_key);
	if (nat) {
		owner->tag_identity = nat->identity;
		owner->tag_port = bpf_ntohs(nat->port_be);
		return 1;
	}
	owner->tag_identity = 0;
	owner->tag_port = bpf_ntohs(nat_key.port_be);
	if (rf_is_loopback_address(&nat_key.addr))
		return 0;
	peer_key.addr = nat_key.addr;
	peer = bpf_map_lookup_elem(&rf_peers, &peer_key);
	if (!peer) {
		tags = rf_tags_now();
		return tags && tags->flags & RF_TAGS_ANYWHERE;
	}
	/* This host sees its own workloads as they are; where there is no agent nobody reads tags. */
	return !(peer->flags & (RF_PEER_HOST | RF_PEER_UNMANAGED));
}

/* The endpoint that this socket speaks for, when SYNs are tagged. at: room for its key. */
static __always_inline struct rf_endpoint *rf_tag_sender(const struct rf_owner *owner, struct rf_endpoint_key *at)
{
	struct rf_endpoint *ep;

	at->id = owner->sender;
	at->kind = RF_ENDPOINT_CGROUP;
	ep = bpf_map_lookup_elem(&rf_endpoints, at);
	return ep && ep->identity ? ep : 0;
}

/*
 * The callbacks are switched on for the handshake of a socket whose SYN is to carry a tag. connect() has just asked
 * whether tags are written at all; the SYN asks again.
 */
static __always_inline void rf_tag_arm(struct bpf_sock_ops *ctx, struct rf_owner *owner)
{
	struct rf_endpoint_key at = {};
	struct rf_endpoint *ep;

	owner->tag_armed = 0;
	ep = rf_tag_sender(owner, &at);
	if (!ep || !rf_tag_aim(ctx, ep, owner))
		return;
	/* Another program's already: it is not ours to switch off. */
	if (ctx->bpf_sock_ops_cb_flags & BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG)
		return;
	if (!bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG))
		owner->tag_armed = 1;
}

static __always_inline void rf_tag_disarm(struct bpf_sock_ops *ctx, struct rf_owner *owner)
{
	owner->tag_armed = 0;
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}

static __always_inline void rf_tag_reserve(struct bpf_sock_ops *ctx)
{
	if ((ctx->skb_tcp_flags & RF_TCP_SYN_ACK) != RF_TCP_SYN)
		return;
	/* -ENOSPC: Fast Open with a cookie, MD5. The SYN goes without. */
	if (bpf_reserve_hdr_opt(ctx, sizeof(struct rf_tag_option), 0))
		rf_tag_counted(RF_TAG_COUNT_NO_ROOM);
}

static __always_inline void rf_tag_write(struct bpf_sock_ops *ctx, const struct rf_owner *owner)
{
	struct rf_tag_option option = {
		.kind = RF_TAG_KIND,
		.length = sizeof(option),
		.exid_be = bpf_htons(RF_TAG_EXID),
	};
	void *data = (void *)(long)ctx->skb_data, *end = (void *)(long)ctx->skb_data_end;
	struct rf_tags *tags = rf_tags_now();
	struct rf_tag_claim claim = {};
	struct rf_endpoint_key at = {};
	struct rf_tcp *tcp = data;
	struct rf_tag_key *key;
	struct rf_endpoint *ep;
	__u64 now, sealed;
	__u32 index;

	if (!tags || !(tags->flags & RF_TAGS_WRITE) || data + sizeof(*tcp) > end ||
	    (tcp->flags & RF_TCP_SYN_ACK) != RF_TCP_SYN)
		return;
	claim.isn = bpf_ntohl(tcp->seq_be);
	/* Asked for each SYN: a label may have changed since the one before. */
	ep = rf_tag_sender(owner, &at);
	if (!ep)
		return;
	claim.port = owner->tag_port;
	claim.bound_identity = owner->tag_identity;
	claim.bound = owner->tag_identity ? RF_TAG_BOUND_IDENTITY : RF_TAG_BOUND_ADDRESS;
	if (!owner->tag_identity)
		rf_remote_address(ctx, &claim.address);
	now = rf_fleet_time(tags);
	claim.epoch = tags->next_epoch && now >= tags->next_from_ns ? tags->next_epoch : tags->epoch;
	index = rf_tag_key_at(claim.epoch);
	key = bpf_map_lookup_elem(&rf_tag_keys, &index);
	if (!claim.epoch || !key || key->epoch != claim.epoch) {
		rf_tag_counted(RF_TAG_COUNT_NO_KEY);
		return;
	}
	claim.identity = ep->identity;
	claim.slot = now >> 32;
	sealed = bpf_cpu_to_be64(rf_tag_mac(key, &claim) << 8 | rf_tag_control(&claim));
	option.identity_be = bpf_htonl(claim.identity);
	__builtin_memcpy(option.mac, &sealed, sizeof(sealed));
	if (bpf_store_hdr_opt(ctx, &option, sizeof(option), 0))
		rf_failed(RF_ERROR_TAG_WRITE);
	else
		rf_tag_counted(RF_TAG_COUNT_WRITTEN);
}

#endif
