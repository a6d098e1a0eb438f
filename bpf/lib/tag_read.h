/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The receiver's half: whose SYN is this, when its source address is shared. Nothing here runs for other addresses, nor
 * for packets of known flows. Every way out but one leaves the peer what it was, shared.
 */
#ifndef RF_TAG_READ_H
#define RF_TAG_READ_H

#include "flow.h"
#include "tag.h"

/* Finds the tag among the TCP options in [at, end). 0: there is none. */
RF_GLOBAL int rf_find_tag(struct __sk_buff *skb, __u32 at, __u32 end, struct rf_tag_option *option)
{
	int i;

	if (!option)
		return 0;
	for (i = 0; i < RF_TCP_OPTIONS; i++) {
		__u8 head[2];

		if (at + sizeof(head) > end || bpf_skb_load_bytes(skb, at, head, sizeof(head)) || !head[0])
			return 0;
		if (head[0] == 1) {
			at++;
			continue;
		}
		if (head[1] < 2 || at + head[1] > end)
			return 0;
		if (head[0] == RF_TAG_KIND && head[1] == sizeof(*option)) {
			if (bpf_skb_load_bytes(skb, at, option, sizeof(*option)))
				return 0;
			if (option->exid_be == bpf_htons(RF_TAG_EXID))
				return 1;
		}
		at += head[1];
	}
	return 0;
}

/* What the MAC must cover at this end. now: fleet time. 0: the tag's slot is neither now's nor beside it. */
static __always_inline int rf_tag_expect(const struct rf_tag_option *option, const struct rf_flow_key *key,
					 const struct rf_endpoint *ep, __u64 now, struct rf_tag_claim *claim)
{
	__u32 slot = now >> 32;
	/* -8 to 7: how far the tag's slot is from ours, modulo 16. */
	int away = (int)((option->control - slot + 8) & 15) - 8;

	if (away < -1 || away > 1)
		return 0;
	claim->slot = slot + away;
	claim->identity = bpf_ntohl(option->identity_be);
	claim->port = bpf_ntohs(key->local_port_be);
	claim->bound = option->control >> 4 & 1;
	if (claim->bound == RF_TAG_BOUND_ADDRESS)
		claim->address = key->local;
	else
		claim->bound_identity = ep->identity;
	return 1;
}

/*
 * A tag is good for one connection. The same SYN may come again: retransmitted, with the same tag while its slot lasts,
 * from the same port. ended: a connection of these very ports was there and is over, so this is none.
 */
static __always_inline int rf_tag_is_replayed(const struct rf_flow_key *key, const struct rf_tag_seen_key *at,
					      int ended)
{
	struct rf_tag_seen first = {.remote = key->remote, .remote_port_be = key->remote_port_be};
	const __u32 *there, *here = (const __u32 *)key->remote.bytes;
	struct rf_tag_seen *seen;

	if (!bpf_map_update_elem(&rf_tag_seen, at, &first, BPF_NOEXIST))
		return 0;
	seen = bpf_map_lookup_elem(&rf_tag_seen, at);
	if (!seen) {
		rf_failed(RF_ERROR_TAG_SEEN);
		return 1;
	}
	if (ended || seen->remote_port_be != key->remote_port_be)
		return 1;
	there = (const __u32 *)seen->remote.bytes;
	return ((there[0] ^ here[0]) | (there[1] ^ here[1]) | (there[2] ^ here[2]) | (there[3] ^ here[3])) != 0;
}

/*
 * The identity that a SYN's tag proves, or 0. Whether it is behind the address is the caller's question. w: of a SYN
 * that comes in. ended: see rf_tag_is_replayed.
 */
RF_SUBPROGRAM __u32 rf_read_tag(struct __sk_buff *skb, const struct rf_work *w, const struct rf_endpoint *ep, int ended)
{
	struct rf_tags *tags = rf_tags_now();
	struct rf_tag_option option = {};
	struct rf_tag_seen_key seen = {};
	struct rf_tag_claim claim = {};
	struct rf_tag_key *key;
	struct rf_tcp tcp;
	__u32 index;
	__u64 now;

	if (!tags || !(tags->flags & RF_TAGS_VERIFY))
		return 0;
	if (w->p.fragment != RF_FRAGMENT_NONE || bpf_skb_load_bytes(skb, w->p.l4, &tcp, sizeof(tcp)) ||
	    !rf_find_tag(skb, w->p.l4 + sizeof(tcp), w->p.l4 + (tcp.doff >> 4) * 4, &option)) {
		rf_tag_counted(RF_TAG_COUNT_ABSENT);
		return 0;
	}
	now = rf_fleet_time(tags);
	index = rf_tag_key_at(option.control >> 5);
	key = bpf_map_lookup_elem(&rf_tag_keys, &index);
	if (!key || !key->epoch || (key->epoch & 7) != option.control >> 5 || (key->until_ns && now >= key->until_ns)) {
		rf_tag_counted(RF_TAG_COUNT_EPOCH);
		return 0;
	}
	claim.isn = bpf_ntohl(tcp.seq_be);
	claim.epoch = key->epoch;
	if (!rf_tag_expect(&option, &w->key, ep, now, &claim)) {
		rf_tag_counted(RF_TAG_COUNT_EXPIRED);
		return 0;
	}
	seen.sealed = rf_tag_sealed(&option);
	/* One comparison of whole numbers: its time does not tell how many bits were right. */
	if ((seen.sealed >> 8) ^ rf_tag_mac(key, &claim) || !claim.identity) {
		rf_tag_counted(RF_TAG_COUNT_INVALID);
		return 0;
	}
	seen.endpoint = ep->number;
	seen.identity = claim.identity;
	if (rf_tag_is_replayed(&w->key, &seen, ended)) {
		rf_tag_counted(RF_TAG_COUNT_REPLAYED);
		return 0;
	}
	return claim.identity;
}

#endif
