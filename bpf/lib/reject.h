/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Refusals at TC: a denied SYN becomes RST|ACK to its sender, a denied UDP packet an ICMP "administratively
 * prohibited", a packet of a cut TCP connection a RST to both ends. All rewrite the packet in place, so its transport
 * offset stays where the kernel believes it to be (skb->csum_start). That matters for packets whose checksum the device
 * is to fill in (CHECKSUM_PARTIAL): their checksum field holds the bare pseudo-header sum, and must hold the new one
 * afterwards; a full checksum would be summed into itself. BPF cannot read ip_summed, but the field gives it away; a
 * full checksum that happens to equal the pseudo-header sum (1 in 65536) costs one refusal, and the sender's
 * retransmission gets the next.
 */
#ifndef RF_REJECT_H
#define RF_REJECT_H

#include "flow.h"

/* skb->mark of our own refusals on their way back through this device's other hook. Packets from a namespace lose their
 * mark. */
#define RF_MARK_REFUSAL 0x52460001

#define RF_TC_NEXT (-1) /* TCX_NEXT, TC_ACT_UNSPEC: let others look at it too */
#define RF_TC_DROP 2	/* TCX_DROP, TC_ACT_SHOT */

#define RF_TTL 64
#define RF_ICMP_QUOTE 8 /* bytes quoted after the IP header: the ports */

static __always_inline __u16 rf_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/*
 * Folded pseudo-header sum, not complemented. Mapped IPv4 addresses give the IPv4 sum: ::ffff adds 0xffff, which is
 * zero in ones' complement. The same for both directions.
 */
static __always_inline __u16 rf_pseudo_sum(const struct rf_packet *p, __u32 proto, __u32 length)
{
	const __u32 *src = (const __u32 *)p->src.bytes, *dst = (const __u32 *)p->dst.bytes;
	__u64 sum = (__u64)src[0] + src[1] + src[2] + src[3] + dst[0] + dst[1] + dst[2] + dst[3];

	return rf_fold(sum + bpf_htonl(proto) + bpf_htonl(length));
}

/* The checksum field to write: complete, or for the device to complete. */
static __always_inline __u16 rf_transport_check(__u16 pseudo, void *header, __u32 length, int partial)
{
	if (partial)
		return pseudo;
	return ~rf_fold((__u64)pseudo + (__u32)bpf_csum_diff(0, 0, header, length, 0));
}

/* Exchanges the Ethernet addresses. 0: done. */
static __always_inline int rf_swap_ethernet(struct __sk_buff *skb)
{
	__u8 from[12], to[12];

	if (bpf_skb_load_bytes(skb, 0, from, sizeof(from)))
		return -1;
	__builtin_memcpy(to, from + 6, 6);
	__builtin_memcpy(to + 6, from, 6);
	return bpf_skb_store_bytes(skb, 0, to, sizeof(to), 0);
}

/* IPv4: addresses (network order in mapped form), length and a fresh TTL; the header checksum follows. 0: done. */
static __always_inline int rf_write_v4(struct __sk_buff *skb, const struct rf_packet *p, int reverse, __u16 transport)
{
	struct rf_ipv4 ip;
	__u16 total_be, ttl_old, ttl_new;
	__u32 check = p->l3 + __builtin_offsetof(struct rf_ipv4, check);

	if (bpf_skb_load_bytes(skb, p->l3, &ip, sizeof(ip)))
		return -1;
	total_be = bpf_htons(p->l4 - p->l3 + transport);
	ttl_old = bpf_htons(ip.ttl << 8 | ip.proto);
	ttl_new = bpf_htons(RF_TTL << 8 | ip.proto);
	/* Exchanging source and destination leaves the sum as it is. */
	if (bpf_l3_csum_replace(skb, check, ip.total_be, total_be, 2) ||
	    bpf_l3_csum_replace(skb, check, ttl_old, ttl_new, 2) || bpf_skb_load_bytes(skb, p->l3, &ip, sizeof(ip)))
		return -1;
	ip.total_be = total_be;
	ip.ttl = RF_TTL;
	__builtin_memcpy(&ip.src, (reverse ? p->dst.bytes : p->src.bytes) + 12, 4);
	__builtin_memcpy(&ip.dst, (reverse ? p->src.bytes : p->dst.bytes) + 12, 4);
	return bpf_skb_store_bytes(skb, p->l3, &ip, sizeof(ip), 0);
}

static __always_inline int rf_write_v6(struct __sk_buff *skb, const struct rf_packet *p, int reverse, __u16 transport)
{
	struct rf_ipv6 ip;

	if (bpf_skb_load_bytes(skb, p->l3, &ip, sizeof(ip)))
		return -1;
	ip.payload_be = bpf_htons(p->l4 - p->l3 - sizeof(ip) + transport);
	ip.hop_limit = RF_TTL;
	__builtin_memcpy(ip.src, reverse ? p->dst.bytes : p->src.bytes, 16);
	__builtin_memcpy(ip.dst, reverse ? p->src.bytes : p->dst.bytes, 16);
	return bpf_skb_store_bytes(skb, p->l3, &ip, sizeof(ip), 0);
}

/* Writes a 20-byte TCP header, ports and addresses exchanged when reverse. The packet is cut to it already. 0: done. */
static __always_inline int rf_write_reset(struct __sk_buff *skb, const struct rf_packet *p, int reverse, int partial,
					  __u32 seq_be, __u32 ack_be, __u8 flags)
{
	struct rf_tcp tcp = {
		.sport_be = reverse ? p->dport_be : p->sport_be,
		.dport_be = reverse ? p->sport_be : p->dport_be,
		.seq_be = seq_be,
		.ack_be = ack_be,
		.doff = 5 << 4,
		.flags = flags,
	};

	tcp.check = rf_transport_check(rf_pseudo_sum(p, RF_PROTO_TCP, sizeof(tcp)), &tcp, sizeof(tcp), partial);
	if (p->v6 ? rf_write_v6(skb, p, reverse, sizeof(tcp)) : rf_write_v4(skb, p, reverse, sizeof(tcp)))
		return -1;
	return bpf_skb_store_bytes(skb, p->l4, &tcp, sizeof(tcp), 0);
}

/* Cuts or grows the packet. 0: done. */
static __always_inline int rf_resize(struct __sk_buff *skb, __u32 length)
{
	if (bpf_skb_change_tail(skb, length, 0)) {
		rf_failed(RF_ERROR_REJECT_RESIZE);
		return -1;
	}
	return 0;
}

/* Answers a TCP packet without a connection: what a host without listener sends. Returns the verdict for TC. */
RF_SUBPROGRAM int rf_refuse_tcp(struct __sk_buff *skb, struct rf_work *w)
{
	const struct rf_packet *p = &w->p;
	__u64 back = w->direction == RF_DIRECTION_OUTBOUND ? 0 : BPF_F_INGRESS;
	__u32 seq_be = 0, ack_be = 0;
	struct rf_tcp tcp;
	__u8 flags = RF_TCP_RST;
	int partial;

	if (p->tcp_flags & RF_TCP_RST || p->fragment != RF_FRAGMENT_NONE)
		return RF_TC_DROP;
	if (bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)))
		return RF_TC_DROP;
	partial = tcp.check == rf_pseudo_sum(p, RF_PROTO_TCP, skb->len - p->l4);
	if (tcp.flags & RF_TCP_ACK) {
		seq_be = tcp.ack_be;
	} else {
		flags |= RF_TCP_ACK;
		ack_be = bpf_htonl(bpf_ntohl(tcp.seq_be) + p->payload + !!(tcp.flags & RF_TCP_SYN) +
				   !!(tcp.flags & RF_TCP_FIN));
	}
	if (rf_resize(skb, p->l4 + sizeof(tcp)))
		return RF_TC_DROP;
	if (rf_write_reset(skb, p, 1, partial, seq_be, ack_be, flags) || rf_swap_ethernet(skb)) {
		rf_failed(RF_ERROR_REJECT_WRITE);
		return RF_TC_DROP;
	}
	skb->mark = RF_MARK_REFUSAL;
	return bpf_redirect(skb->ifindex, back);
}

/*
 * A packet with ACK of a cut connection: a RST back to its sender, and the packet itself goes on as a RST. Both numbers
 * are exact for a receiver that is in step; one that is not answers with an ACK, which comes here again. Returns the
 * verdict for TC.
 */
RF_SUBPROGRAM int rf_reset_both(struct __sk_buff *skb, struct rf_work *w)
{
	const struct rf_packet *p = &w->p;
	__u64 back = w->direction == RF_DIRECTION_OUTBOUND ? 0 : BPF_F_INGRESS;
	struct rf_tcp tcp;
	int partial;

	if (p->fragment != RF_FRAGMENT_NONE || bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)))
		return RF_TC_DROP;
	partial = tcp.check == rf_pseudo_sum(p, RF_PROTO_TCP, skb->len - p->l4);
	if (rf_resize(skb, p->l4 + sizeof(tcp)))
		return RF_TC_DROP;
	if (rf_write_reset(skb, p, 1, partial, tcp.ack_be, 0, RF_TCP_RST) || rf_swap_ethernet(skb)) {
		rf_failed(RF_ERROR_REJECT_WRITE);
		return RF_TC_DROP;
	}
	skb->mark = RF_MARK_REFUSAL;
	if (bpf_clone_redirect(skb, skb->ifindex, back))
		rf_failed(RF_ERROR_REJECT_SEND);
	skb->mark = 0;
	if (rf_write_reset(skb, p, 0, partial, tcp.seq_be, tcp.ack_be, RF_TCP_RST | RF_TCP_ACK) ||
	    rf_swap_ethernet(skb)) {
		rf_failed(RF_ERROR_REJECT_WRITE);
		return RF_TC_DROP;
	}
	return RF_TC_NEXT;
}

struct rf_icmp_head {
	__u8 type;
	__u8 code;
	__u16 check;
	__u16 unused;
	__u16 mtu_be; /* last two bytes of the unused word, where UDP has its checksum when both start at one offset */
};

/*
 * A checksum that the device fills in goes to where UDP's was: offset 6, unused here, which the sum does not care
 * about. IPv4: the message sums to zero already, so the device writes zero there. IPv6: the field holds the
 * pseudo-header sum and becomes the checksum, while the usual place stays zero.
 */
static __always_inline int rf_write_unreachable_v4(struct __sk_buff *skb, const struct rf_packet *p)
{
	struct {
		struct rf_icmp_head icmp;
		struct rf_ipv4 quoted;
		__u8 transport[RF_ICMP_QUOTE];
	} m = {.icmp = {.type = 3, .code = 13}};
	struct rf_ipv4 ip;

	if (bpf_skb_load_bytes(skb, p->l3, &m.quoted, sizeof(m.quoted)) ||
	    bpf_skb_load_bytes(skb, p->l4, m.transport, sizeof(m.transport)))
		return -1;
	m.icmp.check = ~rf_fold((__u32)bpf_csum_diff(0, 0, (__be32 *)&m, sizeof(m), 0));
	ip = m.quoted;
	ip.tos = 0xc0;
	ip.total_be = bpf_htons(sizeof(ip) + sizeof(m));
	ip.id_be = 0;
	ip.fragment_be = bpf_htons(0x4000);
	ip.ttl = RF_TTL;
	ip.proto = RF_PROTO_ICMP;
	ip.check = 0;
	ip.src = m.quoted.dst;
	ip.dst = m.quoted.src;
	ip.check = ~rf_fold((__u32)bpf_csum_diff(0, 0, (__be32 *)&ip, sizeof(ip), 0));
	if (rf_resize(skb, p->l4 + sizeof(m)))
		return -1;
	return bpf_skb_store_bytes(skb, p->l3, &ip, sizeof(ip), 0) || bpf_skb_store_bytes(skb, p->l4, &m, sizeof(m), 0);
}

static __always_inline int rf_write_unreachable_v6(struct __sk_buff *skb, const struct rf_packet *p)
{
	struct {
		struct rf_icmp_head icmp;
		struct rf_ipv6 quoted;
		__u16 transport[RF_ICMP_QUOTE / 2];
	} m = {.icmp = {.type = 1, .code = 1}};
	__u16 pseudo = rf_pseudo_sum(p, RF_PROTO_ICMPV6, sizeof(m));
	struct rf_ipv6 ip;

	if (bpf_skb_load_bytes(skb, p->l3, &m.quoted, sizeof(m.quoted)) ||
	    bpf_skb_load_bytes(skb, p->l4, m.transport, sizeof(m.transport)))
		return -1;
	if (m.transport[3] == rf_pseudo_sum(p, RF_PROTO_UDP, skb->len - p->l4))
		m.icmp.mtu_be = pseudo;
	else
		m.icmp.check = rf_transport_check(pseudo, &m, sizeof(m), 0);
	ip = m.quoted;
	ip.payload_be = bpf_htons(sizeof(m));
	ip.next = RF_PROTO_ICMPV6;
	ip.hop_limit = RF_TTL;
	__builtin_memcpy(ip.src, m.quoted.dst, 16);
	__builtin_memcpy(ip.dst, m.quoted.src, 16);
	if (rf_resize(skb, p->l4 + sizeof(m)))
		return -1;
	return bpf_skb_store_bytes(skb, p->l3, &ip, sizeof(ip), 0) || bpf_skb_store_bytes(skb, p->l4, &m, sizeof(m), 0);
}

/* Answers a UDP packet. Not for groups, fragments, nor packets with IP options or extension headers: those are just
 * dropped. */
RF_SUBPROGRAM int rf_refuse_udp(struct __sk_buff *skb, struct rf_work *w)
{
	const struct rf_packet *p = &w->p;
	__u64 back = w->direction == RF_DIRECTION_OUTBOUND ? 0 : BPF_F_INGRESS;
	__u8 first = p->v6 ? p->dst.bytes[0] : p->dst.bytes[12];

	if (p->fragment != RF_FRAGMENT_NONE || first >= (p->v6 ? 0xff : 224))
		return RF_TC_DROP;
	if (p->l4 - p->l3 != (p->v6 ? sizeof(struct rf_ipv6) : sizeof(struct rf_ipv4)))
		return RF_TC_DROP;
	if ((p->v6 ? rf_write_unreachable_v6(skb, p) : rf_write_unreachable_v4(skb, p)) || rf_swap_ethernet(skb)) {
		rf_failed(RF_ERROR_REJECT_WRITE);
		return RF_TC_DROP;
	}
	skb->mark = RF_MARK_REFUSAL;
	return bpf_redirect(skb->ifindex, back);
}

/* Our own refusal passing this device's other hook: only what we send, so that a mark set by others opens nothing. */
static __always_inline int rf_is_refusal(struct __sk_buff *skb, const struct rf_packet *p)
{
	if (skb->mark != RF_MARK_REFUSAL)
		return 0;
	if (p->icmp == RF_ICMP_ERROR)
		return p->dport_be == (p->v6 ? bpf_htons(1 << 8 | 1) : bpf_htons(3 << 8 | 13));
	return rf_is_bare_reset(p);
}

#endif
