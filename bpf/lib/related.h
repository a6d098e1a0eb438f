/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors follow the flow of the packet they embed, which travelled the other way. */
#ifndef RF_RELATED_H
#define RF_RELATED_H

#include "flow.h"

/* Bytes of an ICMP error before the packet it embeds. */
#define RF_ICMP_HEADER 8

/* 1 when the embedded packet belongs to a flow of this endpoint that is not cut. w is read only. */
RF_SUBPROGRAM int rf_is_related(struct __sk_buff *skb, struct rf_work *w)
{
	__u8 direction = RF_DIRECTION_INBOUND + RF_DIRECTION_OUTBOUND - w->direction;
	struct rf_packet embedded = {.l3 = w->p.l4 + RF_ICMP_HEADER};
	struct rf_flow_key key;
	struct rf_flow *flow;
	enum rf_parsed parsed;

	parsed = rf_parse_embedded(skb, &embedded, w->p.v6);
	if (parsed != RF_PARSED_IP || embedded.fragment == RF_FRAGMENT_LATER || embedded.icmp == RF_ICMP_ERROR)
		return 0;
	rf_flow_key_of(&key, &embedded, direction, w->key.endpoint, 0);
	flow = bpf_map_lookup_elem(&rf_flows, &key);
	return flow && !(flow->flags & RF_FLOW_CUT);
}

#endif
