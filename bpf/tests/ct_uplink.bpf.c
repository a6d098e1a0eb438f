/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For conntrack-uplink.root.test.ts only: what a program at the egress of an uplink, after source NAT, would know of a
 * SYN's connection, and when. Keyed by the source port on the wire.
 */
#include "lib/parse.h"

#define RF_TEST_CONNECTIONS 4096

/* The kernel's, as far as it is used. */
struct bpf_ct_opts {
	__s32 netns_id; /* -1: the packet's own */
	__s32 error;
	__u8 l4proto;
	__u8 dir; /* out */
	__u16 zone;
	__u32 reserved;
};

union nf_inet_addr {
	__u32 all[4];
} __attribute__((preserve_access_index));

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union {
		__u16 all;
	} u;
} __attribute__((preserve_access_index));

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
} __attribute__((preserve_access_index));

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
} __attribute__((preserve_access_index));

struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
} __attribute__((preserve_access_index));

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts *opts, __u32 opts_size) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;

struct rf_test_seen {
	__u64 at_ns;	   /* monotonic, when the SYN left */
	__u32 source_v4;   /* before translation, network order */
	__u16 source_port; /* before translation, host order */
	__u16 found;	   /* 1: it had an entry */
	__u64 lookup_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, RF_TEST_CONNECTIONS);
	__type(key, __u32);
	__type(value, struct rf_test_seen);
} rf_test_seen SEC(".maps");

SEC("tc")
int rf_test_uplink(struct __sk_buff *skb)
{
	struct bpf_ct_opts opts = {.netns_id = -1, .l4proto = RF_PROTO_TCP};
	struct bpf_sock_tuple reply = {};
	struct rf_test_seen seen = {};
	__u8 head[14 + 40];
	struct nf_conn *ct;
	__u32 key;

	if (skb->protocol != bpf_htons(0x0800) || bpf_skb_load_bytes(skb, 0, head, sizeof(head)))
		return -1;
	/* An IPv4 header without options, TCP, a SYN without ACK. */
	if (head[14] != 0x45 || head[23] != RF_PROTO_TCP || (head[47] & 0x12) != 0x02)
		return -1;
	__builtin_memcpy(&reply.ipv4.daddr, head + 26, 4);
	__builtin_memcpy(&reply.ipv4.saddr, head + 30, 4);
	__builtin_memcpy(&reply.ipv4.dport, head + 34, 2);
	__builtin_memcpy(&reply.ipv4.sport, head + 36, 2);
	seen.at_ns = bpf_ktime_get_ns();
	ct = bpf_skb_ct_lookup(skb, &reply, sizeof(reply.ipv4), &opts, sizeof(opts));
	seen.lookup_ns = bpf_ktime_get_ns() - seen.at_ns;
	if (ct) {
		seen.found = 1;
		seen.source_v4 = ct->tuplehash[0].tuple.src.u3.all[0];
		seen.source_port = bpf_ntohs(ct->tuplehash[0].tuple.src.u.all);
		bpf_ct_release(ct);
	}
	key = bpf_ntohs(reply.ipv4.dport);
	bpf_map_update_elem(&rf_test_seen, &key, &seen, BPF_NOEXIST);
	return -1;
}

char LICENSE[] SEC("license") = "GPL";
