/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The decision of one connection at one endpoint: the same for every hook, direction and mode.
 * controller/src/policy/evaluate.ts is its meaning; the tests run both. The mode changes the last line only.
 */
#ifndef RF_POLICY_H
#define RF_POLICY_H

#include "maps.h"
#include "parse.h"

struct rf_decision {
	__u32 rule;
	__u32 identity;
	__u32 tagged; /* in: the identity that a valid tag names; 0: none */
	__u16 service_port_be;
	__u16 flags;	/* RF_FLOW_SHARED, RF_FLOW_MAPPED, RF_FLOW_TAGGED */
	__u8 allowed;	/* before the mode */
	__u8 reason;	/* enum rf_reason */
	__u8 verdict;	/* enum rf_verdict, after the mode */
	__u8 mode;	/* enum rf_mode */
	__u8 direction; /* enum rf_direction it was decided in */
	__u8 renewed;	/* in: an open connection is decided again */
	__u8 pad[2];
};

/*
 * What rules say about one candidate, packed so that the functions below take and return scalars only: strength << 32 |
 * rule. They are global functions, which the verifier checks once and not per caller: the loop over shared identities
 * alone would otherwise pass its limit of a million instructions (6.18: "BPF program is too large"), and scalars are
 * all that 5.10 lets in.
 */
enum rf_strength {
	RF_SAYS_NOTHING = 0,
	RF_SAYS_UNMET = 1, /* an allow under a constraint, which nothing can meet yet */
	RF_SAYS_ALLOW = 2,
	RF_SAYS_DENY = 3,
};

#define RF_STRENGTH(say) ((__u32)((say) >> 32))

/* Of two sayings about one candidate: deny over allow, then the lower rule. */
static __always_inline __u64 rf_stronger(__u64 a, __u64 b)
{
	if (RF_STRENGTH(a) != RF_STRENGTH(b))
		return a > b ? a : b;
	return a < b ? a : b;
}

/* Protocol and port (network order) in one scalar. */
static __always_inline __u32 rf_service(__u8 proto, __u16 port_be)
{
	return (__u32)proto << 16 | port_be;
}

static __always_inline __u64 rf_ask_group(__u32 group, __u32 service)
{
	struct rf_port_key key = {
		.prefixlen = 64,
		.group = group,
		.proto = service >> 16,
		.port_be = service,
	};
	struct rf_port *port = bpf_map_lookup_elem(&rf_ports, &key);
	__u64 strength = RF_SAYS_ALLOW;

	if (!port)
		return 0;
	if (port->action == RF_ACTION_DENY)
		strength = RF_SAYS_DENY;
	else if (port->constraints)
		strength = RF_SAYS_UNMET;
	return strength << 32 | port->rule;
}

/* What a set says about a peer of a kind; identities in no group of their own fall to the set's default group (peer 0).
 */
__noinline __u64 rf_ask_peer(__u32 set, __u32 peer, __u32 kind, __u32 service)
{
	struct rf_group_key key = {.set = set, .peer = peer, .kind = kind};
	struct rf_group *group = bpf_map_lookup_elem(&rf_groups, &key);

	if (!group && peer && kind == RF_GROUP_IDENTITY) {
		key.peer = 0;
		group = bpf_map_lookup_elem(&rf_groups, &key);
	}
	return group ? rf_ask_group(group->group, service) : 0;
}

/* What a set says about the IP lists that hold at an address. */
static __always_inline __u64 rf_ask_lists(__u32 set, const struct rf_addr *addr, __u32 service)
{
	struct rf_cidr_key key = {.prefixlen = 128, .addr = *addr};
	struct rf_cidr *cidr = bpf_map_lookup_elem(&rf_cidrs, &key);

	return cidr && cidr->class_id ? rf_ask_peer(set, cidr->class_id, RF_GROUP_CLASS, service) : 0;
}

/*
 * Several identities behind one address: the first that is allowed wins; else the lowest explicit deny; else an unmet
 * constraint; else no rule speaks. lists: what the address' IP lists say, part of every candidate. The index of the
 * candidate that decided is in bits 40 and up.
 */
__noinline __u64 rf_ask_shared(__u32 set, __u32 shared, __u32 service, __u64 lists)
{
	struct rf_shared_key key = {.shared = shared};
	__u64 refused = 0, decided_by = 0;
	__u32 i;

	for (i = 0; i < RF_SHARED_MAX; i++) {
		__u32 *identity;
		__u64 say;

		key.index = i;
		identity = bpf_map_lookup_elem(&rf_shared, &key);
		/* An empty set is an unknown peer. */
		if (!identity && i)
			break;
		say = rf_stronger(lists, rf_ask_peer(set, identity ? *identity : 0, RF_GROUP_IDENTITY, service));
		if (RF_STRENGTH(say) == RF_SAYS_ALLOW)
			return say | (__u64)i << 40;
		if (i && rf_stronger(refused, say) == refused)
			continue;
		refused = say;
		decided_by = i;
	}
	return refused | decided_by << 40;
}

/* Whether identity is one of a shared address. */
RF_GLOBAL int rf_is_behind(__u32 shared, __u32 identity)
{
	struct rf_shared_key key = {.shared = shared};
	__u32 i;

	for (i = 0; i < RF_SHARED_MAX; i++) {
		__u32 *candidate;

		key.index = i;
		candidate = bpf_map_lookup_elem(&rf_shared, &key);
		if (!candidate)
			return 0;
		if (*candidate == identity)
			return 1;
	}
	return 0;
}

/* The decision of policy alone, before failsafe, isolation and mode. */
static __always_inline void rf_conclude(__u64 say, struct rf_decision *d)
{
	__u32 strength = RF_STRENGTH(say) & 0xff;

	d->rule = say;
	d->allowed = strength == RF_SAYS_ALLOW;
	if (strength == RF_SAYS_DENY)
		d->reason = RF_REASON_RULE_DENY;
	else if (strength == RF_SAYS_ALLOW)
		d->reason = RF_REASON_RULE_ALLOW;
	else if (strength == RF_SAYS_UNMET)
		d->reason = RF_REASON_CONSTRAINT_UNMET;
	else
		d->reason = RF_REASON_IMPLICIT_DENY;
}

/* Failsafe: the server's port first, then any port. */
static __always_inline int rf_is_failsafe(const struct rf_flow_key *key, __u8 direction, __u16 port_be)
{
	struct rf_failsafe_key failsafe = {
		.prefixlen = 160,
		.direction = direction,
		.proto = key->proto,
		.port_be = port_be,
		.remote = key->remote,
	};

	if (bpf_map_lookup_elem(&rf_failsafe, &failsafe))
		return 1;
	failsafe.port_be = 0;
	return bpf_map_lookup_elem(&rf_failsafe, &failsafe) != 0;
}

/*
 * Who is at the remote end. Returns rf_peer_flags; with RF_PEER_SHARED identity is a number in rf_shared. A mapping
 * says who answers under an address and port: it is asked outbound only. Inbound the remote port is a client's own,
 * which may happen to be a published one. A former address is nobody's to a new connection.
 */
static __always_inline __u32 rf_find_peer(const struct rf_endpoint *ep, const struct rf_flow_key *key,
					  struct rf_decision *d)
{
	struct rf_nat_key nat_key = {
		.space = ep->space,
		.port_be = key->remote_port_be,
		.proto = key->proto,
		.addr = key->remote,
	};
	struct rf_peer_key peer_key = {.space = ep->space, .addr = key->remote};
	struct rf_peer *peer;
	struct rf_nat *nat;

	nat = d->direction == RF_DIRECTION_OUTBOUND ? bpf_map_lookup_elem(&rf_nat, &nat_key) : 0;
	if (nat) {
		d->identity = nat->identity;
		d->service_port_be = nat->port_be;
		return RF_PEER_MAPPED;
	}
	peer = bpf_map_lookup_elem(&rf_peers, &peer_key);
	if (!peer || (peer->flags & RF_PEER_FORMER && !d->renewed))
		return 0;
	d->identity = peer->identity;
	return peer->flags;
}

static __always_inline __u16 rf_service_port(const struct rf_flow_key *key, __u8 direction)
{
	/* ICMP: opened is set, remote_port is type * 256 + code in both directions. */
	if (key->opened || direction == RF_DIRECTION_OUTBOUND)
		return key->remote_port_be;
	return key->local_port_be;
}

/* The mode: the one place where it matters. An isolated endpoint enforces whatever its modes say. */
static __always_inline void rf_apply_mode(const struct rf_endpoint *ep, struct rf_decision *d)
{
	d->mode = d->direction == RF_DIRECTION_INBOUND ? ep->mode_in : ep->mode_out;
	if (d->allowed)
		d->verdict = RF_VERDICT_ALLOWED;
	else if (ep->flags & RF_EP_ISOLATED || d->mode == RF_MODE_ENFORCE)
		d->verdict = RF_VERDICT_BLOCKED;
	else
		d->verdict = d->mode == RF_MODE_TEST ? RF_VERDICT_WOULD_BLOCK : RF_VERDICT_ALLOWED;
}

/* Policy's answer in d->direction; with shared, d->identity comes in as the number of the set and leaves as an
 * identity. */
static __always_inline void rf_ask_policy(__u32 set, const struct rf_flow_key *key, __u32 shared, struct rf_decision *d)
{
	__u32 service = rf_service(key->proto, d->service_port_be);
	struct rf_shared_key shared_key = {.shared = d->identity};
	__u64 say = rf_ask_lists(set, &key->remote, service);
	__u32 *identity;

	if (shared) {
		say = rf_ask_shared(set, d->identity, service, say);
		shared_key.index = say >> 40;
		identity = bpf_map_lookup_elem(&rf_shared, &shared_key);
		d->identity = identity ? *identity : 0;
	} else {
		say = rf_stronger(say, rf_ask_peer(set, d->identity, RF_GROUP_IDENTITY, service));
	}
	rf_conclude(say, d);
}

/*
 * Decides key in d->direction for ep: failsafe, isolation, policy, mode. direction and tagged are set by the caller. A
 * subprogram: hooks ask up
 * to twice (packet direction, then the reverse for connections that lost their entry), and inlining both doubled
 * verification.
 */
RF_GLOBAL int rf_decide(const struct rf_endpoint *ep, const struct rf_flow_key *key, struct rf_decision *d)
{
	__u32 peer_flags;
	__u32 set;

	if (!ep || !key || !d)
		return 0;
	set = d->direction == RF_DIRECTION_INBOUND ? ep->set_in : ep->set_out;
	d->rule = 0;
	d->identity = 0;
	d->flags = 0;
	d->allowed = 0;
	d->service_port_be = rf_service_port(key, d->direction);
	peer_flags = rf_find_peer(ep, key, d);
	/* A tag chooses among those behind the address; it never adds one. */
	if (peer_flags & RF_PEER_SHARED && d->tagged && rf_is_behind(d->identity, d->tagged)) {
		d->identity = d->tagged;
		d->flags |= RF_FLOW_TAGGED;
		peer_flags &= ~RF_PEER_SHARED;
	}
	if (peer_flags & RF_PEER_SHARED)
		d->flags |= RF_FLOW_SHARED;
	if (peer_flags & RF_PEER_MAPPED)
		d->flags |= RF_FLOW_MAPPED;
	if (rf_is_failsafe(key, d->direction, rf_service_port(key, d->direction))) {
		d->allowed = 1;
		d->reason = RF_REASON_FAILSAFE;
	} else if (ep->flags & RF_EP_ISOLATED) {
		d->reason = RF_REASON_ISOLATED;
	} else if (!set) {
		d->reason = RF_REASON_IMPLICIT_DENY;
	} else {
		rf_ask_policy(set, key, peer_flags & RF_PEER_SHARED, d);
		peer_flags = 0;
	}
	/* Asked of an ICMP error only when it speaks of no known flow. */
	if (d->reason == RF_REASON_IMPLICIT_DENY && key->opened &&
	    rf_is_icmp_error(key->proto == RF_PROTO_ICMPV6, bpf_ntohs(key->remote_port_be) >> 8))
		d->reason = RF_REASON_ICMP_UNRELATED;
	/* Policy was not asked: a number in rf_shared is no identity to report. */
	if (peer_flags & RF_PEER_SHARED)
		d->identity = 0;
	rf_apply_mode(ep, d);
	return 0;
}

#endif
