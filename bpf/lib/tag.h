/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tag in a SYN: what both ends agree on. Its MAC covers
 *
 *   identity, sequence number (ISN)     nobody on the way changes them; a proxy that does makes the tag invalid
 *   epoch, slot                         the key's number, and fleet time in steps of 2^32 ns (4.3 s)
 *   destination                         address and port; or, where the sender knows that these will be translated (a
 *                                       published port), the identity and port of the workload behind them
 *
 * and nothing of the source, which is what masquerade rewrites. A receiver takes a tag in its own slot and the ones
 * beside it, so one is good for less than 8.6 s after it was written (12.9 s where clocks differ by a whole slot), and
 * for one connection: the first one that shows it to an endpoint (rf_tag_seen).
 */
#ifndef RF_TAG_H
#define RF_TAG_H

#include "maps.h"
#include "siphash.h"

#define RF_TAG_MAC_BITS 56
#define RF_TAG_MAC_MASK ((1ULL << RF_TAG_MAC_BITS) - 1)

/* What is sealed, beside the key. Ports in host order. */
struct rf_tag_claim {
	struct rf_addr address; /* RF_TAG_BOUND_ADDRESS */
	__u32 bound_identity;	/* RF_TAG_BOUND_IDENTITY */
	__u32 identity;
	__u32 isn;
	__u32 epoch;
	__u32 slot;
	__u16 port;
	__u8 bound; /* enum rf_tag_bound */
	__u8 pad;
};

static __always_inline struct rf_tags *rf_tags_now(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&rf_tags, &zero);
}

/* Fleet time, ns since 1970. The clock that goes on while the machine sleeps. */
static __always_inline __u64 rf_fleet_time(const struct rf_tags *tags)
{
	return bpf_ktime_get_boot_ns() + tags->clock_ns;
}

/* Index in rf_tag_keys. */
static __always_inline __u32 rf_tag_key_at(__u32 epoch)
{
	return epoch % RF_TAG_KEYS;
}

static __always_inline __u8 rf_tag_control(const struct rf_tag_claim *claim)
{
	return (claim->epoch & 7) << 5 | (claim->bound & 1) << 4 | (claim->slot & 15);
}

/* The MAC's 56 bits. */
static __always_inline __u64 rf_tag_mac(const struct rf_tag_key *key, const struct rf_tag_claim *claim)
{
	__u64 words[RF_SIP_WORDS] = {
		(__u64)claim->isn << 32 | claim->identity,
		(__u64)claim->slot << 32 | claim->epoch,
		claim->bound_identity,
		0,
		(__u64)claim->bound << 32 | claim->port,
	};

	if (claim->bound == RF_TAG_BOUND_ADDRESS)
		__builtin_memcpy(words + 2, claim->address.bytes, sizeof(claim->address));
	return rf_siphash(key->key0, key->key1, words) & RF_TAG_MAC_MASK;
}

/* MAC and control as they stand in the option, as one number. */
static __always_inline __u64 rf_tag_sealed(const struct rf_tag_option *option)
{
	__u64 sealed;

	__builtin_memcpy(&sealed, option->mac, sizeof(sealed));
	return bpf_be64_to_cpu(sealed);
}

static __always_inline void rf_tag_counted(__u32 what)
{
	__u64 *count = bpf_map_lookup_elem(&rf_tag_counts, &what);

	if (count)
		__sync_fetch_and_add(count, 1);
}

#endif
