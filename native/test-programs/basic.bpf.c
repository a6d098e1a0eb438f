// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One of each thing the addon handles; the tests beside native/ts use it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum color {
	COLOR_RED = 1,
	COLOR_GREEN = 2,
	COLOR_TEAL = 0x80000000,
};

enum temperature {
	TEMPERATURE_COLD = -40,
	TEMPERATURE_WARM = 20,
};

struct inner {
	__u8 bytes[16];
};

struct record {
	__u64 time_ns;
	struct inner who;
	__u16 ports[2][3];
	__u32 narrow : 5;
	__u32 wide : 27;
	enum color color;
	char name[12];
	const void *next;
};

const volatile __u8 tiny = 1;
const volatile __u16 small_be = 2;
const volatile __u32 verdict = 3;
const volatile __u64 wide = 4;
const volatile __s32 below = -1;
const volatile _Bool flag = 0;
const volatile struct inner address = {};

struct record unused_record;
enum temperature unused_temperature;
__u64 runs;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} t_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} t_seen SEC(".maps");

enum seen_slot {
	SEEN_VERDICT,
	SEEN_WIDE,
	SEEN_SMALL,
	SEEN_TINY,
	SEEN_BELOW,
	SEEN_FLAG,
	SEEN_ADDRESS,
	SEEN_RUNS,
};

static __always_inline void see(__u32 slot, __u64 value)
{
	bpf_map_update_elem(&t_seen, &slot, &value, BPF_ANY);
}

/* Shows user space what the programs see of their read-only data. */
SEC("tc")
int show(struct __sk_buff *skb)
{
	see(SEEN_VERDICT, verdict);
	see(SEEN_WIDE, wide);
	see(SEEN_SMALL, small_be);
	see(SEEN_TINY, tiny);
	see(SEEN_BELOW, (__u64)(__s64)below);
	see(SEEN_FLAG, flag);
	see(SEEN_ADDRESS, address.bytes[15]);
	see(SEEN_RUNS, __sync_fetch_and_add(&runs, 1) + 1);
	return verdict;
}

/* Overwrites the last byte of the packet, echoes what the context holds. */
SEC("tc")
int echo(struct __sk_buff *skb)
{
	__u8 mark = 0xee;

	bpf_skb_store_bytes(skb, skb->len - 1, &mark, 1, 0);
	skb->mark = skb->ifindex * 1000 + skb->ingress_ifindex;
	skb->cb[0] = skb->cb[1] + 1;
	return 7;
}

/* TCX and clsact: count, and let others decide. */
static __always_inline int count(__u32 key)
{
	__u64 one = 1, *value = bpf_map_lookup_elem(&t_hash, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	else
		bpf_map_update_elem(&t_hash, &key, &one, BPF_ANY);
	return -1;
}

SEC("tc")
int count_a(struct __sk_buff *skb)
{
	return count(1);
}

SEC("tc")
int count_b(struct __sk_buff *skb)
{
	return count(2);
}

SEC("cgroup_skb/egress")
int pass_a(struct __sk_buff *skb)
{
	count(3);
	return 1;
}

SEC("cgroup_skb/egress")
int pass_b(struct __sk_buff *skb)
{
	count(4);
	return 1;
}

SEC("cgroup/connect4")
int refuse(struct bpf_sock_addr *ctx)
{
	return 0;
}

/* Map elements as packed (key, value) pairs. */
struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
} __attribute__((preserve_access_index));

SEC("iter/bpf_map_elem")
int list_hash(struct bpf_iter__bpf_map_elem *ctx)
{
	__u32 *key = ctx->key;
	__u64 *value = ctx->value;
	struct {
		__u32 key;
		__u32 pad;
		__u64 value;
	} out = {};

	if (!key || !value)
		return 0;
	out.key = *key;
	out.value = *value;
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
