/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For siphash.root.test.ts only: 16 bytes of key, 40 of message in; the hash in the first eight bytes out. */
#include "lib/siphash.h"

SEC("tc")
int rf_test_siphash(struct __sk_buff *skb)
{
	__u64 words[2 + RF_SIP_WORDS], hash;

	if (bpf_skb_load_bytes(skb, 0, words, sizeof(words)))
		return -1;
	hash = rf_siphash(words[0], words[1], words + 2);
	return bpf_skb_store_bytes(skb, 0, &hash, sizeof(hash), 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
