/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One packet at one endpoint, the same for every packet hook:
 *
 *   parse → fragment → related ICMP error → conntrack → neighbour, DHCP → loopback → failsafe → isolation → policy →
 * mode
 */
#ifndef RF_JUDGE_H
#define RF_JUDGE_H

#include "frag.h"
#include "owner.h"
#include "related.h"
#include "tag_read.h"

enum rf_outcome {
	RF_PASS,
	RF_DROP,
	RF_REFUSE, /* no connection: tell the sender */
	RF_RESET,  /* a cut connection: tell both ends */
};

static __always_inline __u8 rf_reverse(__u8 direction)
{
	return RF_DIRECTION_INBOUND + RF_DIRECTION_OUTBOUND - direction;
}

/* What a host cannot live without, and what no policy speaks of: neighbour discovery, multicast listeners, DHCP
 * clients. */
static __always_inline int rf_is_neighbour(const struct rf_packet *p, __u8 direction)
{
	__u16 client, server;

	if (p->icmp == RF_ICMP_QUERY && p->v6) {
		__u8 type = bpf_ntohs(p->dport_be) >> 8;

		/* Routers do not forward these: a hop limit below 255 is a forgery from afar, MLD never leaves the
		 * link. */
		if (type >= 133 && type <= 137)
			return p->hop_limit == 255;
		return ((type >= 130 && type <= 132) || type == 143) && p->hop_limit == 1;
	}
	if (p->proto != RF_PROTO_UDP || p->fragment == RF_FRAGMENT_LATER)
		return 0;
	client = direction == RF_DIRECTION_OUTBOUND ? p->sport_be : p->dport_be;
	server = direction == RF_DIRECTION_OUTBOUND ? p->dport_be : p->sport_be;
	if (!p->v6)
		return client == bpf_htons(68) && server == bpf_htons(67);
	return client == bpf_htons(546) && server == bpf_htons(547) && p->src.bytes[0] == 0xfe &&
	       (p->src.bytes[1] & 0xc0) == 0x80;
}

/* Counts and reports a blocked packet (or a problem that the mode lets pass) that makes no flow. */
RF_SUBPROGRAM void rf_refusal(struct rf_work *w, const struct rf_endpoint *ep, const struct rf_owner *owner)
{
	struct rf_report report = {.now = w->now, .kind = RF_EVENT_KIND_DENY};
	struct rf_refusal refusal = {
		.d = w->d,
		.policy_version = ep->policy_version,
		.bytes = w->bytes,
		.tcp_flags = w->p.tcp_flags,
		.packet_direction = w->direction,
	};

	rf_count(w->d.verdict, w->d.reason, w->direction, w->bytes);
	if (w->d.verdict == RF_VERDICT_ALLOWED)
		return;
	/* A reset that belongs to nothing is noise: counted, not reported. */
	if (rf_is_bare_reset(&w->p))
		return;
	report.attempts = rf_fold_deny(&w->key, w->now);
	if (!report.attempts)
		return;
	if (owner) {
		refusal.pid = owner->pid;
		__builtin_memcpy(refusal.comm, owner->comm, sizeof(refusal.comm));
	}
	rf_report_refusal(&w->key, &refusal, &report);
}

/* A packet that cannot be decided by policy: blocked when the mode of its direction blocks. */
static __always_inline enum rf_outcome rf_problem(struct rf_work *w, const struct rf_endpoint *ep, __u8 reason)
{
	w->d.reason = reason;
	w->d.direction = w->direction;
	rf_apply_mode(ep, &w->d);
	rf_refusal(w, ep, 0);
	return w->d.verdict == RF_VERDICT_BLOCKED ? RF_DROP : RF_PASS;
}

/* The peer's address is shared, and its SYN may say who it is: then that identity decides alone. */
RF_SUBPROGRAM void rf_decide_tagged(struct __sk_buff *skb, struct rf_work *w, const struct rf_endpoint *ep, int ended)
{
	struct rf_decision tagged = {.direction = RF_DIRECTION_INBOUND};

	tagged.tagged = rf_read_tag(skb, w, ep, ended);
	if (!tagged.tagged)
		return;
	rf_decide(ep, &w->key, &tagged);
	if (!(tagged.flags & RF_FLOW_TAGGED)) {
		rf_tag_counted(RF_TAG_COUNT_NOT_BEHIND);
		return;
	}
	rf_tag_counted(RF_TAG_COUNT_VALID);
	w->d = tagged;
}

/*
 * Decides a packet without a flow: in its own direction, then, where it may be the reply of a connection whose entry is
 * gone, in the reverse. TCP: anything but a SYN. UDP: only into a socket that is connected to this very remote end.
 */
static __always_inline void rf_decide_packet(struct __sk_buff *skb, struct rf_work *w, const struct rf_endpoint *ep,
					     struct bpf_sock *sk, int ended, __u8 direction)
{
	struct rf_decision reverse = {};
	int may_be_reply = 0;

	w->d.direction = w->direction;
	if (w->loopback) {
		w->d.allowed = 1;
		w->d.reason = RF_REASON_LOOPBACK;
		w->d.service_port_be = rf_service_port(&w->key, w->direction);
		rf_apply_mode(ep, &w->d);
		return;
	}
	/* The reply to a query that no socket received: the kernel itself answers pings. */
	if (w->key.opened)
		w->d.direction = w->key.opened;
	rf_decide(ep, &w->key, &w->d);
	if (direction == RF_DIRECTION_INBOUND && unlikely(w->d.flags & RF_FLOW_SHARED) && w->p.proto == RF_PROTO_TCP &&
	    rf_opens(&w->p))
		rf_decide_tagged(skb, w, ep, ended);
	if (w->d.allowed)
		return;
	if (w->p.proto == RF_PROTO_TCP)
		may_be_reply = !rf_opens(&w->p);
	else if (w->p.proto == RF_PROTO_UDP && sk && w->direction == RF_DIRECTION_INBOUND)
		may_be_reply = rf_is_connected_to(sk, &w->key.remote, w->key.remote_port_be);
	if (!may_be_reply)
		return;
	reverse.direction = rf_reverse(w->direction);
	rf_decide(ep, &w->key, &reverse);
	if (!reverse.allowed)
		return;
	w->d = reverse;
	if (w->d.reason == RF_REASON_RULE_ALLOW)
		w->d.reason = RF_REASON_READMITTED;
}

/* A packet without a flow. replace: an entry that is over still stands under its key. */
static __always_inline enum rf_outcome rf_miss(struct __sk_buff *skb, struct rf_work *w, const struct rf_endpoint *ep,
					       struct bpf_sock *sk, const struct rf_owner *owner, int replace,
					       __u8 direction)
{
	if (rf_is_neighbour(&w->p, w->direction)) {
		rf_count(RF_VERDICT_ALLOWED, RF_REASON_NEIGHBOUR, w->direction, w->bytes);
		return RF_PASS;
	}
	rf_decide_packet(skb, w, ep, sk, replace, direction);
	if (w->d.verdict == RF_VERDICT_BLOCKED) {
		rf_refusal(w, ep, owner);
		return RF_REFUSE;
	}
	rf_count(w->d.verdict, w->d.reason, w->direction, w->bytes);
	/* A reset opens nothing; loopback is only worth an entry when it is reported. */
	if (rf_is_bare_reset(&w->p) || (w->loopback && !rf_report_loopback))
		return RF_PASS;
	rf_flow_open(w, ep, owner, replace);
	return RF_PASS;
}

/*
 * Resets and bare ACKs that the kernel sends for no socket (closed port, TIME_WAIT), and ICMP errors that it makes as
 * host or router: they leave by raw control sockets of the root cgroup, so they cannot be matched with the workload
 * they speak for.
 */
static __always_inline int rf_is_kernel_answer(const struct rf_packet *p, struct bpf_sock *sk)
{
	if (!sk || sk->type != RF_SOCK_RAW)
		return 0;
	if (p->icmp == RF_ICMP_ERROR)
		return 1;
	return p->proto == RF_PROTO_TCP && p->fragment == RF_FRAGMENT_NONE && !p->payload &&
	       !(p->tcp_flags & RF_TCP_SYN);
}

/*
 * Who owns the local end. TC has no socket of its own, but a container's is still on what it sends, at its veth: it is
 * asked for the first packets of a flow only (those of an accepted connection start without).
 */
static __always_inline const struct rf_owner *rf_owner_of(struct __sk_buff *skb, const struct rf_work *w,
							  const struct rf_owner *owner, __u64 packets_out)
{
	struct bpf_sock *sk;

	if (owner || w->at.kind != RF_ENDPOINT_IFINDEX || w->direction != RF_DIRECTION_OUTBOUND ||
	    packets_out >= RF_OWNER_TRIES)
		return owner;
	sk = rf_socket(skb);
	return sk ? bpf_sk_storage_get(&rf_sockets, sk, 0, 0) : 0;
}

/*
 * Judges a parsed packet. w: p, at, direction, loopback, now, bytes are filled in. sk and owner may be NULL; sk is the
 * local socket where the hook has one (cgroup). direction: w's once more, as a constant: programs for packets that go
 * out hold nothing that reads tags.
 */
static __always_inline enum rf_outcome rf_judge(struct __sk_buff *skb, struct rf_work *w, const struct rf_endpoint *ep,
						enum rf_parsed parsed, struct bpf_sock *sk,
						const struct rf_owner *owner, __u8 direction)
{
	struct rf_flow *flow;
	int over;

	if (unlikely(parsed == RF_PARSED_BAD)) {
		rf_flow_key_of(&w->key, &w->p, w->direction, ep->number, 1);
		return rf_problem(w, ep, RF_REASON_UNPARSABLE);
	}
	if (unlikely(w->p.fragment != RF_FRAGMENT_NONE) && !rf_follow_fragment(&w->p, ep->number)) {
		rf_flow_key_of(&w->key, &w->p, w->direction, ep->number, 1);
		return rf_problem(w, ep, RF_REASON_FRAGMENT_ORPHAN);
	}
	rf_flow_key_of(&w->key, &w->p, w->direction, ep->number, 0);
	if (unlikely(w->p.icmp == RF_ICMP_ERROR) && w->p.fragment != RF_FRAGMENT_LATER && rf_is_related(skb, w)) {
		rf_count(RF_VERDICT_ALLOWED, RF_REASON_RELATED, w->direction, w->bytes);
		return RF_PASS;
	}
	flow = bpf_map_lookup_elem(&rf_flows, &w->key);
	/* A reply to nothing: where the kernel answers queries itself it is the first we see of one, else its own
	 * message. */
	if (!flow && w->p.icmp == RF_ICMP_REPLY && !(sk && w->direction == RF_DIRECTION_OUTBOUND)) {
		rf_flow_key_of(&w->key, &w->p, w->direction, ep->number, 1);
		flow = bpf_map_lookup_elem(&rf_flows, &w->key);
	}
	over = flow && ((flow->flags & RF_FLOW_ENDED && rf_opens(&w->p) &&
			 (w->p.proto == RF_PROTO_TCP || !(flow->flags & RF_FLOW_CUT))) ||
			rf_flow_expired(&w->key, flow, w->now));
	if (flow && !over) {
		if (unlikely(!flow->pid))
			rf_flow_own(flow, rf_owner_of(skb, w, owner, flow->packets_out));
		return rf_flow_hit(w, flow, ep) ? RF_PASS : RF_RESET;
	}
	if (over && !(flow->flags & RF_FLOW_ENDED))
		rf_flow_end(w, flow, 0);
	else if (over && rf_flow_untold(flow))
		rf_flow_end(w, flow, RF_EVENT_LATE);
	if (w->direction == RF_DIRECTION_OUTBOUND && !(ep->flags & RF_EP_ISOLATED) && rf_is_kernel_answer(&w->p, sk)) {
		rf_count(RF_VERDICT_ALLOWED, RF_REASON_RELATED, w->direction, w->bytes);
		return RF_PASS;
	}
	return rf_miss(skb, w, ep, sk, rf_owner_of(skb, w, owner, 0), over, direction);
}

#endif
