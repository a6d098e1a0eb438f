// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The verifier refuses the second program, after a long walk: its log is longer than any message should be. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} t_hash SEC(".maps");

SEC("tc")
int fine(struct __sk_buff *skb)
{
	return 0;
}

SEC("tc")
int unchecked(struct __sk_buff *skb)
{
	__u64 sum = 0;

	for (__u32 key = 0; key < 200; key++) {
		__u64 *value = bpf_map_lookup_elem(&t_hash, &key);

		if (value)
			sum += *value;
	}
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&t_hash, &key);

	return sum + *value; /* may be null */
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
