/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Later fragments carry no ports: those of their first fragment are kept for them. For ICMP they are id and type * 256
 * + code. */
#ifndef RF_FRAG_H
#define RF_FRAG_H

#include "flow.h"

static __always_inline void rf_frag_key_of(struct rf_frag_key *key, const struct rf_packet *p, __u32 endpoint)
{
	key->src = p->src;
	key->dst = p->dst;
	key->id = p->fragment_id;
	key->endpoint = endpoint;
	key->proto = p->proto;
	key->pad[0] = 0;
	key->pad[1] = 0;
	key->pad[2] = 0;
}

/* Remembers a first fragment's ports, or fills in a later one's. Returns 0 for an orphan. */
RF_SUBPROGRAM int rf_follow_fragment(struct rf_packet *p, __u32 endpoint)
{
	struct rf_frag frag = {.sport_be = p->sport_be, .dport_be = p->dport_be};
	struct rf_frag *first;
	struct rf_frag_key key;

	rf_frag_key_of(&key, p, endpoint);
	if (p->fragment == RF_FRAGMENT_FIRST) {
		if (bpf_map_update_elem(&rf_frags, &key, &frag, BPF_ANY))
			rf_failed(RF_ERROR_FRAG_INSERT);
		return 1;
	}
	first = bpf_map_lookup_elem(&rf_frags, &key);
	if (!first)
		return 0;
	p->sport_be = first->sport_be;
	p->dport_be = first->dport_be;
	if (p->proto == (p->v6 ? RF_PROTO_ICMPV6 : RF_PROTO_ICMP))
		rf_classify_icmp(p, bpf_ntohs(p->dport_be) >> 8);
	return 1;
}

#endif
