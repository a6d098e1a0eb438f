/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Conntrack. A flow is decided when its first packet comes and again when a generation changed; all packets in between
 * cost one lookup. States of an entry:
 *
 *   open    ── FIN both ways and the last ACK, or RST ──►  ended (END reported; late packets pass, and are told later)
 *   open    ── decided again: forbidden ──►  cut (VERDICT with RF_EVENT_CUT; packets dropped, bare RST passes)
 *   cut     ── decided again: allowed ──►  open (VERDICT)
 *   ended, cut ── TCP: SYN ──►  decided as a new connection
 *   any     ── silent for longer than rf_flow_timeout ──►  as if it were not there (the sweep reports END and deletes
 * it)
 */
#ifndef RF_FLOW_H
#define RF_FLOW_H

#include "events.h"

/* One packet at one endpoint, and what was found out about it. */
struct rf_work {
	struct rf_packet p;
	struct rf_flow_key key;
	struct rf_endpoint_key at; /* where the endpoint was found */
	struct rf_decision d;
	__u64 now;
	__u32 global_generation;
	__u32 bytes;	/* from the IP header on */
	__u8 direction; /* of the packet */
	__u8 loopback;
	__u8 pad[6];
};

static __always_inline __u64 rf_flow_timeout(const struct rf_flow_key *key, const struct rf_flow *flow)
{
	int both = flow->packets_in && flow->packets_out;

	if (key->proto == RF_PROTO_TCP) {
		if (flow->flags & RF_FLOW_ENDED || (flow->tcp_flags_in & flow->tcp_flags_out & RF_TCP_FIN))
			return rf_tcp_closed_ns;
		return both ? rf_tcp_open_ns : rf_tcp_new_ns;
	}
	if (key->proto == RF_PROTO_UDP)
		return both ? rf_udp_open_ns : rf_udp_new_ns;
	return key->opened ? rf_icmp_ns : rf_other_ns;
}

/*
 * A cut flow lasts from its cut, which is its last report: however long it was idle before, the reset of its closing
 * must find it.
 */
static __always_inline int rf_flow_expired(const struct rf_flow_key *key, const struct rf_flow *flow, __u64 now)
{
	__u64 since = unlikely(flow->flags & RF_FLOW_CUT) ? flow->last_report_ns : flow->last_seen_ns;

	/* Another CPU may have written a later time than ours. */
	return now > since && now - since > rf_flow_timeout(key, flow);
}

/* A SYN without ACK, or any packet of a protocol without handshake. */
static __always_inline int rf_opens(const struct rf_packet *p)
{
	if (p->proto != RF_PROTO_TCP)
		return 1;
	return p->fragment != RF_FRAGMENT_LATER &&
	       (p->tcp_flags & (RF_TCP_SYN | RF_TCP_ACK | RF_TCP_RST)) == RF_TCP_SYN;
}

static __always_inline int rf_is_bare_reset(const struct rf_packet *p)
{
	return p->proto == RF_PROTO_TCP && p->tcp_flags & RF_TCP_RST && !p->payload && p->fragment == RF_FRAGMENT_NONE;
}

/*
 * The key of a packet that travels in direction. A reply to an ICMP query has its query's key: opened by the other
 * side. own: an ICMP reply that answers nothing known is a message of its own.
 */
static __always_inline void rf_flow_key_of(struct rf_flow_key *key, const struct rf_packet *p, __u8 direction,
					   __u32 endpoint, int own)
{
	int inbound = direction == RF_DIRECTION_INBOUND;

	key->local = inbound ? p->dst : p->src;
	key->remote = inbound ? p->src : p->dst;
	key->endpoint = endpoint;
	key->proto = p->proto;
	key->opened = 0;
	key->pad[0] = 0;
	key->pad[1] = 0;
	if (p->icmp == RF_ICMP_NONE) {
		key->local_port_be = inbound ? p->dport_be : p->sport_be;
		key->remote_port_be = inbound ? p->sport_be : p->dport_be;
		return;
	}
	key->local_port_be = p->sport_be;
	key->remote_port_be = p->dport_be;
	key->opened = direction;
	if (p->icmp == RF_ICMP_REPLY && !own) {
		key->remote_port_be = bpf_htons(p->request << 8);
		key->opened = RF_DIRECTION_INBOUND + RF_DIRECTION_OUTBOUND - direction;
	}
}

static __always_inline void rf_flow_decided(struct rf_flow *flow, const struct rf_decision *d,
					    const struct rf_endpoint *ep, __u32 global_generation)
{
	flow->rule = d->rule;
	flow->peer_identity = d->identity;
	flow->policy_version = ep->policy_version;
	flow->verdict = d->verdict;
	flow->reason = d->reason;
	flow->mode = d->mode;
	flow->service_port_be = d->service_port_be;
	flow->flags = (flow->flags & (RF_FLOW_CUT | RF_FLOW_ENDED | RF_FLOW_LATE | RF_FLOW_TOLD)) | d->flags;
	flow->global_generation = global_generation;
	flow->generation = ep->generation;
}

/*
 * Decides an open flow again, in its original direction. Returns 1 when there is something to report, described by
 * report. Loopback is no policy's business and stays.
 */
static __always_inline int rf_flow_renew(struct rf_flow *flow, const struct rf_flow_key *key,
					 const struct rf_endpoint *ep, __u32 global_generation, struct rf_decision *d,
					 struct rf_report *report)
{
	__u32 rule = flow->rule;
	__u8 verdict = flow->verdict;
	__u16 over;

	if (flow->reason == RF_REASON_LOOPBACK) {
		flow->policy_version = ep->policy_version;
		flow->global_generation = global_generation;
		flow->generation = ep->generation;
		return 0;
	}
	d->direction = flow->direction;
	d->tagged = flow->flags & RF_FLOW_TAGGED ? flow->peer_identity : 0;
	d->renewed = 1;
	rf_decide(ep, key, d);
	d->renewed = 0;
	report->attempts = 1;
	report->kind = RF_EVENT_KIND_VERDICT;
	report->lane = RF_LANE_FLOWS;
	report->flags = 0;
	if (d->verdict == RF_VERDICT_BLOCKED) {
		d->reason = RF_REASON_REVOKED;
		rf_flow_decided(flow, d, ep, global_generation);
		over = flow->flags & (RF_FLOW_CUT | RF_FLOW_ENDED);
		flow->flags |= RF_FLOW_CUT | RF_FLOW_ENDED;
		/* Nothing was taken from a connection that its ends had closed: late packets stop, and its END stands.
		 */
		if (over)
			return 0;
		report->lane = RF_LANE_DENIES;
		report->flags = RF_EVENT_CUT;
		return 1;
	}
	if (flow->flags & RF_FLOW_CUT)
		flow->flags &= flow->flags & RF_FLOW_TOLD ? ~RF_FLOW_CUT : ~(RF_FLOW_CUT | RF_FLOW_ENDED);
	rf_flow_decided(flow, d, ep, global_generation);
	/* What follows an END is told by the next one. */
	return !(flow->flags & RF_FLOW_TOLD) && (d->verdict != verdict || d->rule != rule);
}

/* The same for the packet path: rarely taken, so kept out of line. */
RF_SUBPROGRAM void rf_flow_revisit(struct rf_work *w, struct rf_flow *flow, const struct rf_endpoint *ep)
{
	struct rf_report report = {.now = w->now};

	if (!rf_flow_renew(flow, &w->key, ep, w->global_generation, &w->d, &report))
		return;
	flow->last_report_ns = w->now;
	rf_report_flow(&w->key, flow, &report);
}

static __always_inline void rf_flow_report(struct rf_work *w, struct rf_flow *flow, __u8 kind)
{
	struct rf_report report = {.now = w->now, .kind = kind, .attempts = 1, .lane = RF_LANE_FLOWS};

	flow->last_report_ns = w->now;
	rf_report_flow(&w->key, flow, &report);
}

/* Packets came after the END that was told. */
static __always_inline int rf_flow_untold(const struct rf_flow *flow)
{
	return flow->flags & RF_FLOW_TOLD && (flow->packets_in | flow->packets_out);
}

/* An END said this: what is left in the counters is what other CPUs added meanwhile, and what comes after. */
static __always_inline void rf_flow_told(struct rf_flow *flow, __u64 packets_in, __u64 bytes_in, __u64 packets_out,
					 __u64 bytes_out)
{
	__sync_fetch_and_add(&flow->packets_in, -packets_in);
	__sync_fetch_and_add(&flow->bytes_in, -bytes_in);
	__sync_fetch_and_add(&flow->packets_out, -packets_out);
	__sync_fetch_and_add(&flow->bytes_out, -bytes_out);
	flow->flags |= RF_FLOW_TOLD;
}

/* Reports the end, or (RF_EVENT_LATE) what came after it. */
RF_SUBPROGRAM void rf_flow_end(struct rf_work *w, struct rf_flow *flow, __u8 flags)
{
	struct rf_report report = {
		.now = w->now, .kind = RF_EVENT_KIND_END, .attempts = 1, .lane = RF_LANE_FLOWS, .flags = flags};
	struct rf_flow told = *flow;

	flow->flags |= RF_FLOW_ENDED;
	flow->last_report_ns = w->now;
	if (rf_report_flow(&w->key, &told, &report))
		rf_flow_told(flow, told.packets_in, told.bytes_in, told.packets_out, told.bytes_out);
}

/* True when this packet ends the connection: a reset, or what comes after both ends' FIN. */
static __always_inline int rf_tcp_ends(struct rf_flow *flow, const struct rf_packet *p, __u8 direction)
{
	__u8 *seen = direction == RF_DIRECTION_INBOUND ? &flow->tcp_flags_in : &flow->tcp_flags_out;
	__u8 before = flow->tcp_flags_in & flow->tcp_flags_out;

	if ((*seen | p->tcp_flags) != *seen)
		*seen |= p->tcp_flags;
	if (p->tcp_flags & RF_TCP_RST)
		return 1;
	return before & RF_TCP_FIN && !(p->tcp_flags & RF_TCP_FIN);
}

static __always_inline void rf_flow_account(struct rf_flow *flow, __u8 direction, __u32 bytes, __u64 now)
{
	if (direction == RF_DIRECTION_INBOUND) {
		__sync_fetch_and_add(&flow->packets_in, 1);
		__sync_fetch_and_add(&flow->bytes_in, bytes);
	} else {
		__sync_fetch_and_add(&flow->packets_out, 1);
		__sync_fetch_and_add(&flow->bytes_out, bytes);
	}
	flow->last_seen_ns = now;
}

/* A packet of a known flow. Returns 1 when it passes, 0 when the flow is cut. */
static __always_inline int rf_flow_hit(struct rf_work *w, struct rf_flow *flow, const struct rf_endpoint *ep)
{
	if (unlikely(flow->generation != ep->generation || flow->global_generation != w->global_generation))
		rf_flow_revisit(w, flow, ep);
	if (unlikely(flow->flags & RF_FLOW_CUT)) {
		int reset = rf_is_bare_reset(&w->p);

		/* The reset that user space's closing of the socket sends must get out, or the other end never learns.
		 */
		rf_count(reset ? RF_VERDICT_ALLOWED : RF_VERDICT_BLOCKED, RF_REASON_REVOKED, w->direction, w->bytes);
		return reset;
	}
	rf_flow_account(flow, w->direction, w->bytes, w->now);
	rf_count(flow->verdict, flow->reason, w->direction, w->bytes);
	if (w->p.proto == RF_PROTO_TCP && w->p.fragment != RF_FRAGMENT_LATER &&
	    rf_tcp_ends(flow, &w->p, w->direction)) {
		if (!(flow->flags & RF_FLOW_ENDED)) {
			rf_flow_end(w, flow, 0);
		} else if (rf_flow_untold(flow) && !(flow->flags & RF_FLOW_LATE) &&
			   flow->tcp_flags_in & flow->tcp_flags_out & RF_TCP_FIN) {
			/* Both ends closed at once: each acknowledges, and the first of the two was the end. */
			flow->flags |= RF_FLOW_LATE;
			rf_flow_end(w, flow, RF_EVENT_LATE);
		}
	} else if (unlikely(w->now > flow->last_report_ns + rf_update_period_ns) && !(flow->flags & RF_FLOW_ENDED)) {
		rf_flow_report(w, flow, RF_EVENT_KIND_UPDATE);
	}
	return 1;
}

/* Fills in who owns the local socket, once it is known. */
static __always_inline void rf_flow_own(struct rf_flow *flow, const struct rf_owner *owner)
{
	if (!owner || flow->pid)
		return;
	__builtin_memcpy(flow->comm, owner->comm, sizeof(flow->comm));
	flow->pid = owner->pid;
}

/*
 * Makes the entry of a decided flow and reports NEW. Another CPU may have been first: then this packet is counted
 * there. replace: the tuple's old flow is over.
 */
RF_SUBPROGRAM void rf_flow_open(struct rf_work *w, const struct rf_endpoint *ep, const struct rf_owner *owner,
				int replace)
{
	struct rf_report report = {.now = w->now, .kind = RF_EVENT_KIND_NEW, .attempts = 1, .lane = RF_LANE_FLOWS};
	struct rf_flow flow = {
		.direction = w->d.direction,
		.first_seen_ns = w->now,
		.last_seen_ns = w->now,
		.last_report_ns = w->now,
		.endpoint_id = w->at.id,
		.endpoint_kind = w->at.kind,
	};
	struct rf_flow *there;

	rf_flow_decided(&flow, &w->d, ep, w->global_generation);
	rf_flow_own(&flow, owner);
	if (w->direction == RF_DIRECTION_INBOUND) {
		flow.packets_in = 1;
		flow.bytes_in = w->bytes;
		flow.tcp_flags_in = w->p.tcp_flags;
	} else {
		flow.packets_out = 1;
		flow.bytes_out = w->bytes;
		flow.tcp_flags_out = w->p.tcp_flags;
	}
	if (bpf_map_update_elem(&rf_flows, &w->key, &flow, replace ? BPF_ANY : BPF_NOEXIST)) {
		there = bpf_map_lookup_elem(&rf_flows, &w->key);
		if (there) {
			rf_flow_account(there, w->direction, w->bytes, w->now);
			return;
		}
		rf_failed(RF_ERROR_FLOW_INSERT);
	}
	rf_report_flow(&w->key, &flow, &report);
}

#endif
