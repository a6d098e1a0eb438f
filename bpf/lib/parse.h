/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From bytes to struct rf_packet. Headers are copied to the stack by bpf_skb_load_bytes: that works for paged data, for
 * the Ethernet view of TC and for the network view of cgroup hooks alike, and costs about what checked direct access
 * does.
 */
#ifndef RF_PARSE_H
#define RF_PARSE_H

#include "maps.h"

#define RF_ETH_P_IP 0x0800
#define RF_ETH_P_IPV6 0x86dd
#define RF_ETH_P_8021Q 0x8100
#define RF_ETH_P_8021AD 0x88a8
#define RF_ETH_HLEN 14

#define RF_PROTO_ICMP 1
#define RF_PROTO_TCP 6
#define RF_PROTO_UDP 17
#define RF_PROTO_ICMPV6 58
#define RF_PROTO_SCTP 132
#define RF_PROTO_UDPLITE 136

#define RF_TCP_FIN 0x01
#define RF_TCP_SYN 0x02
#define RF_TCP_RST 0x04
#define RF_TCP_PSH 0x08
#define RF_TCP_ACK 0x10

enum rf_parsed {
	RF_PARSED_IP,
	RF_PARSED_NON_IP,
	RF_PARSED_BAD,
};

enum rf_fragment {
	RF_FRAGMENT_NONE,
	RF_FRAGMENT_FIRST,
	RF_FRAGMENT_LATER,
};

/* What an ICMP message is to a flow. */
enum rf_icmp {
	RF_ICMP_NONE,  /* not ICMP */
	RF_ICMP_QUERY, /* opens a flow of its own */
	RF_ICMP_REPLY, /* answers the query type in request */
	RF_ICMP_ERROR, /* speaks of the packet it embeds */
};

struct rf_packet {
	struct rf_addr src;
	struct rf_addr dst;
	__u16 sport_be; /* ICMP: id */
	__u16 dport_be; /* ICMP: type * 256 + code */
	__u32 l3;	/* offset of the IP header */
	__u32 l4;	/* offset of the transport header */
	__u32 payload;	/* bytes after the TCP header */
	__u32 fragment_id;
	__u8 proto;
	__u8 v6;
	__u8 fragment; /* enum rf_fragment */
	__u8 tcp_flags;
	__u8 icmp;    /* enum rf_icmp */
	__u8 request; /* RF_ICMP_REPLY: type of the message it answers */
	__u8 hop_limit;
	__u8 pad;
};

struct rf_ipv4 {
	__u8 version_ihl;
	__u8 tos;
	__u16 total_be;
	__u16 id_be;
	__u16 fragment_be;
	__u8 ttl;
	__u8 proto;
	__u16 check;
	__u32 src;
	__u32 dst;
};

struct rf_ipv6 {
	__u32 version_be;
	__u16 payload_be;
	__u8 next;
	__u8 hop_limit;
	__u32 src[4];
	__u32 dst[4];
};

struct rf_tcp {
	__u16 sport_be;
	__u16 dport_be;
	__u32 seq_be;
	__u32 ack_be;
	__u8 doff;
	__u8 flags;
	__u16 window_be;
	__u16 check;
	__u16 urgent_be;
};

static __always_inline void rf_map_v4(struct rf_addr *to, __u32 from)
{
	__u32 *words = (__u32 *)to->bytes;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = from;
}

static __always_inline void rf_copy_v6(struct rf_addr *to, const __u32 *from)
{
	__u32 *words = (__u32 *)to->bytes;

	words[0] = from[0];
	words[1] = from[1];
	words[2] = from[2];
	words[3] = from[3];
}

static __always_inline int rf_is_loopback_address(const struct rf_addr *addr)
{
	const __u32 *words = (const __u32 *)addr->bytes;

	if (words[0] || words[1])
		return 0;
	if (words[2] == bpf_htonl(0xffff))
		return addr->bytes[12] == 127;
	return !words[2] && words[3] == bpf_htonl(1);
}

/* IPv4: unreachable, source quench, redirect, time exceeded, parameter problem. IPv6: by the type's first bit. */
static __always_inline int rf_is_icmp_error(int v6, __u8 type)
{
	if (v6)
		return type < 128;
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static __always_inline void rf_classify_icmp(struct rf_packet *p, __u8 type)
{
	p->icmp = RF_ICMP_QUERY;
	if (rf_is_icmp_error(p->v6, type)) {
		p->icmp = RF_ICMP_ERROR;
	} else if (p->v6 ? type == 129 : type == 0) {
		p->icmp = RF_ICMP_REPLY;
		p->request = p->v6 ? 128 : 8;
	} else if (!p->v6 && (type == 14 || type == 16 || type == 18)) {
		p->icmp = RF_ICMP_REPLY;
		p->request = type - 1;
	}
}

/* Only the query and reply messages carry an id at offset 4. */
static __always_inline int rf_icmp_has_id(const struct rf_packet *p, __u8 type)
{
	if (p->v6)
		return type == 128 || type == 129;
	return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

/*
 * The transport header at p->l4, of which end - p->l4 bytes belong to the packet. embedded: inside an ICMP error, where
 * only eight bytes are promised.
 */
static __always_inline enum rf_parsed rf_parse_transport(struct __sk_buff *skb, struct rf_packet *p, __u32 end,
							 int embedded)
{
	if (p->fragment == RF_FRAGMENT_LATER)
		return RF_PARSED_IP;
	if (p->proto == RF_PROTO_TCP && !embedded) {
		struct rf_tcp tcp;

		if (p->l4 + sizeof(tcp) > end || bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)))
			return RF_PARSED_BAD;
		if ((tcp.doff >> 4) < 5 || p->l4 + (tcp.doff >> 4) * 4 > end)
			return RF_PARSED_BAD;
		p->sport_be = tcp.sport_be;
		p->dport_be = tcp.dport_be;
		p->tcp_flags = tcp.flags;
		p->payload = end - p->l4 - (tcp.doff >> 4) * 4;
		return RF_PARSED_IP;
	}
	if (p->proto == RF_PROTO_TCP || p->proto == RF_PROTO_UDP || p->proto == RF_PROTO_UDPLITE ||
	    p->proto == RF_PROTO_SCTP) {
		__u16 ports[4];

		if (p->l4 + sizeof(ports) > end || bpf_skb_load_bytes(skb, p->l4, ports, sizeof(ports)))
			return RF_PARSED_BAD;
		p->sport_be = ports[0];
		p->dport_be = ports[1];
		return RF_PARSED_IP;
	}
	if (p->proto == (p->v6 ? RF_PROTO_ICMPV6 : RF_PROTO_ICMP)) {
		struct {
			__u8 type;
			__u8 code;
			__u16 check;
			__u16 id_be;
			__u16 sequence_be;
		} icmp = {};

		/* Every message has at least its first four bytes; those with an id have eight. */
		if (p->l4 + 8 <= end) {
			if (bpf_skb_load_bytes(skb, p->l4, &icmp, 8))
				return RF_PARSED_BAD;
		} else if (p->l4 + 4 > end || bpf_skb_load_bytes(skb, p->l4, &icmp, 4)) {
			return RF_PARSED_BAD;
		}
		p->dport_be = bpf_htons(icmp.type << 8 | icmp.code);
		rf_classify_icmp(p, icmp.type);
		if (rf_icmp_has_id(p, icmp.type))
			p->sport_be = icmp.id_be;
	}
	return RF_PARSED_IP;
}

static __always_inline enum rf_parsed rf_parse_v4(struct __sk_buff *skb, struct rf_packet *p, int embedded)
{
	__u32 room = skb->len - p->l3, header, total, offset;
	struct rf_ipv4 ip;

	if (bpf_skb_load_bytes(skb, p->l3, &ip, sizeof(ip)))
		return RF_PARSED_BAD;
	header = (ip.version_ihl & 0xf) * 4;
	total = bpf_ntohs(ip.total_be);
	/* A segmentation-offload packet above 64 KiB says 0. An embedded packet is cut short. */
	if ((total == 0 && room > 0xffff) || embedded)
		total = room;
	if (ip.version_ihl >> 4 != 4 || header < sizeof(ip) || total < header || total > room)
		return RF_PARSED_BAD;
	rf_map_v4(&p->src, ip.src);
	rf_map_v4(&p->dst, ip.dst);
	p->proto = ip.proto;
	p->hop_limit = ip.ttl;
	p->l4 = p->l3 + header;
	offset = bpf_ntohs(ip.fragment_be);
	if (offset & 0x1fff)
		p->fragment = RF_FRAGMENT_LATER;
	else if (offset & 0x2000)
		p->fragment = RF_FRAGMENT_FIRST;
	p->fragment_id = ip.id_be;
	/* RFC 1858: a fragment at offset 8 would write the TCP header anew. */
	if ((offset & 0x1fff) == 1 && p->proto == RF_PROTO_TCP)
		return RF_PARSED_BAD;
	return rf_parse_transport(skb, p, p->l3 + total, embedded);
}

/* Walks the extension headers; sets l4, proto and the fragment members. */
static __always_inline enum rf_parsed rf_skip_extensions(struct __sk_buff *skb, struct rf_packet *p, __u8 next,
							 __u32 end)
{
	__u32 at = p->l3 + sizeof(struct rf_ipv6);
	int i;

	for (i = 0; i < RF_EXTENSION_HEADERS; i++) {
		__u8 head[8];

		/* Hop-by-hop, routing, fragment, authentication, destination, mobility, HIP, shim6. */
		if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60 && next != 135 && next != 139 &&
		    next != 140) {
			p->proto = next;
			p->l4 = at;
			return RF_PARSED_IP;
		}
		if (at + sizeof(head) > end || bpf_skb_load_bytes(skb, at, head, sizeof(head)))
			return RF_PARSED_BAD;
		if (next == 44) {
			__u32 offset = head[2] << 8 | head[3];

			__builtin_memcpy(&p->fragment_id, head + 4, 4);
			if (offset & 0xfff8)
				p->fragment = RF_FRAGMENT_LATER;
			else if (offset & 1)
				p->fragment = RF_FRAGMENT_FIRST;
			at += 8;
			if (p->fragment == RF_FRAGMENT_LATER) {
				/* What follows is payload, whatever headers came first. */
				p->proto = head[0];
				p->l4 = at;
				return RF_PARSED_IP;
			}
		} else if (next == 51) {
			at += (head[1] + 2) * 4;
		} else {
			at += (head[1] + 1) * 8;
		}
		next = head[0];
	}
	return RF_PARSED_BAD;
}

static __always_inline enum rf_parsed rf_parse_v6(struct __sk_buff *skb, struct rf_packet *p, int embedded)
{
	__u32 room = skb->len - p->l3, total;
	struct rf_ipv6 ip;

	if (bpf_skb_load_bytes(skb, p->l3, &ip, sizeof(ip)))
		return RF_PARSED_BAD;
	total = bpf_ntohs(ip.payload_be) + sizeof(ip);
	/* A jumbogram says 0. An embedded packet is cut short. */
	if (ip.payload_be == 0 || embedded)
		total = room;
	if ((bpf_ntohl(ip.version_be) >> 28) != 6 || total > room)
		return RF_PARSED_BAD;
	p->v6 = 1;
	rf_copy_v6(&p->src, ip.src);
	rf_copy_v6(&p->dst, ip.dst);
	p->hop_limit = ip.hop_limit;
	if (rf_skip_extensions(skb, p, ip.next, p->l3 + total) != RF_PARSED_IP)
		return RF_PARSED_BAD;
	return rf_parse_transport(skb, p, p->l3 + total, embedded);
}

/*
 * protocol: EtherType, network order. p is zeroed by the caller except l3, which is set. Returns enum rf_parsed.
 * Global, so that what follows is verified for one packet of unknown shape and not once for every way through the
 * headers.
 */
RF_GLOBAL int rf_parse_ip(struct __sk_buff *skb, struct rf_packet *p, __u16 protocol)
{
	if (!p)
		return RF_PARSED_BAD;
	if (protocol == bpf_htons(RF_ETH_P_IP))
		return rf_parse_v4(skb, p, 0);
	if (protocol == bpf_htons(RF_ETH_P_IPV6))
		return rf_parse_v6(skb, p, 0);
	return RF_PARSED_NON_IP;
}

/* The packet inside an ICMP error, p->l3 its start. Returns enum rf_parsed. */
RF_GLOBAL int rf_parse_embedded(struct __sk_buff *skb, struct rf_packet *p, __u32 v6)
{
	if (!p)
		return RF_PARSED_BAD;
	return v6 ? rf_parse_v6(skb, p, 1) : rf_parse_v4(skb, p, 1);
}

/*
 * TC: the Ethernet header is there. Tags in skb metadata are gone from the data and skb->protocol is the inner type
 * already; tags still in the data are walked here. Returns the inner EtherType and sets l3.
 */
static __always_inline __u16 rf_strip_ethernet(struct __sk_buff *skb, struct rf_packet *p)
{
	__u16 protocol = skb->protocol;
	int i;

	p->l3 = RF_ETH_HLEN;
	for (i = 0; i < RF_VLAN_TAGS; i++) {
		__u16 tag[2];

		if (protocol != bpf_htons(RF_ETH_P_8021Q) && protocol != bpf_htons(RF_ETH_P_8021AD))
			break;
		if (bpf_skb_load_bytes(skb, p->l3, tag, sizeof(tag)))
			return 0;
		protocol = tag[1];
		p->l3 += sizeof(tag);
	}
	return protocol;
}

#endif
