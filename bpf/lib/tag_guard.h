/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * At a container's veth: nobody but the identity itself sends its tag. A container that got hold of another's SYN, or
 * that writes options of its own, finds them replaced by padding.
 */
#ifndef RF_TAG_GUARD_H
#define RF_TAG_GUARD_H

#include "tag_read.h"

#define RF_TCP_CHECK_AT 16 /* of the checksum in the TCP header */

/* Offset of the first tag of another identity among the options in [at, end), in packets of any shape; 0: there is
 * none.
 */
RF_GLOBAL __u32 rf_find_foreign_tag(struct __sk_buff *skb, __u32 at, __u32 end, __u32 identity)
{
	int i;

	for (i = 0; i < RF_TCP_OPTIONS_MAX; i++) {
		struct rf_tag_option option = {};

		if (at + 2 > end || bpf_skb_load_bytes(skb, at, &option, 2) || !option.kind)
			return 0;
		if (option.kind == 1) {
			at++;
			continue;
		}
		if (option.length < 2 || at + option.length > end)
			return 0;
		if (option.kind == RF_TAG_KIND && option.length == sizeof(option)) {
			if (bpf_skb_load_bytes(skb, at, &option, sizeof(option)))
				return 0;
			if (option.exid_be == bpf_htons(RF_TAG_EXID) && option.identity_be != bpf_htonl(identity))
				return at;
		}
		at += option.length;
	}
	return 0;
}

/* 0: the SYN carries no foreign tag (any more). */
RF_SUBPROGRAM int rf_take_foreign_tag(struct __sk_buff *skb, const struct rf_work *w, __u32 identity)
{
	__u32 padding[4] = {0x01010101, 0x01010101, 0x01010101, 0x01010101}, found[4], at;
	struct rf_tcp tcp;
	__s64 change;
	int i;

	if (bpf_skb_load_bytes(skb, w->p.l4, &tcp, sizeof(tcp)))
		return 0;
	/* 40 bytes hold two of them. */
	for (i = 0; i < 2; i++) {
		at = rf_find_foreign_tag(skb, w->p.l4 + sizeof(tcp), w->p.l4 + (tcp.doff >> 4) * 4, identity);
		if (!at)
			return 0;
		if (bpf_skb_load_bytes(skb, at, found, sizeof(found)))
			return -1;
		/* The sum is over pairs of bytes: at an odd place the change counts with its bytes exchanged. */
		change = bpf_csum_diff(found, sizeof(found), padding, sizeof(padding), 0);
		if ((at - w->p.l4) & 1)
			change = (change & 0x00ff00ff) << 8 | (change >> 8 & 0x00ff00ff);
		if (bpf_l4_csum_replace(skb, w->p.l4 + RF_TCP_CHECK_AT, 0, change, 0) ||
		    bpf_skb_store_bytes(skb, at, padding, sizeof(padding), 0))
			return -1;
		rf_tag_counted(RF_TAG_COUNT_FOREIGN);
	}
	return 0;
}

/* 0: goes on. Otherwise the packet must not leave. */
static __always_inline int rf_guard_tag(struct __sk_buff *skb, const struct rf_work *w, const struct rf_endpoint *ep)
{
	struct rf_tags *tags;

	if (w->p.proto != RF_PROTO_TCP || w->p.fragment == RF_FRAGMENT_LATER || !(w->p.tcp_flags & RF_TCP_SYN))
		return 0;
	tags = rf_tags_now();
	if (!tags || !rf_take_foreign_tag(skb, w, ep->identity))
		return 0;
	rf_failed(RF_ERROR_TAG_TAKE);
	return -1;
}

#endif
