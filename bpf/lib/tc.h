/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The body of both TC programs: context → endpoint → parse → judge → verdict. */
#ifndef RF_TC_H
#define RF_TC_H

#include "judge.h"
#include "reject.h"
#include "tag_guard.h"

static __always_inline int rf_tc(struct __sk_buff *skb, __u8 direction)
{
	struct rf_work w = {.at = {.id = skb->ifindex, .kind = RF_ENDPOINT_IFINDEX}, .direction = direction};
	__u16 protocol = rf_strip_ethernet(skb, &w.p);
	struct rf_endpoint *ep = bpf_map_lookup_elem(&rf_endpoints, &w.at);
	enum rf_outcome outcome;
	enum rf_parsed parsed;

	w.bytes = skb->len - w.p.l3;
	if (!ep) {
		rf_count(RF_VERDICT_ALLOWED, RF_REASON_NO_ENDPOINT, direction, w.bytes);
		return RF_TC_NEXT;
	}
	parsed = rf_parse_ip(skb, &w.p, protocol);
	if (parsed == RF_PARSED_NON_IP) {
		rf_count(RF_VERDICT_ALLOWED, RF_REASON_NON_IP, direction, w.bytes);
		return RF_TC_NEXT;
	}
	if (parsed == RF_PARSED_IP && unlikely(rf_is_refusal(skb, &w.p))) {
		skb->mark = 0;
		rf_count(RF_VERDICT_ALLOWED, RF_REASON_RELATED, direction, w.bytes);
		return RF_TC_NEXT;
	}
	if (direction == RF_DIRECTION_OUTBOUND && parsed == RF_PARSED_IP && unlikely(rf_guard_tag(skb, &w, ep)))
		return RF_TC_DROP;
	w.now = rf_now();
	w.global_generation = rf_global_generation();
	outcome = rf_judge(skb, &w, ep, parsed, 0, 0, direction);
	if (likely(outcome == RF_PASS))
		return RF_TC_NEXT;
	if (outcome == RF_DROP || !(ep->flags & RF_EP_REJECT) || parsed != RF_PARSED_IP)
		return RF_TC_DROP;
	/* Before the handshake's answer (no ACK) there is only one end to tell. */
	if (w.p.proto == RF_PROTO_TCP && outcome == RF_RESET && w.p.tcp_flags & RF_TCP_ACK)
		return rf_reset_both(skb, &w);
	if (w.p.proto == RF_PROTO_TCP)
		return rf_refuse_tcp(skb, &w);
	return w.p.proto == RF_PROTO_UDP ? rf_refuse_udp(skb, &w) : RF_TC_DROP;
}

#endif
