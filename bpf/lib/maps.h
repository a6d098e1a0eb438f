/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps, the same in every object; bpf/ts/maps.ts mirrors them. Sizes here are the smallest that load; the loader
 * sets them. Tables that user space writes are not preallocated: their size is a bound, not a cost.
 */
#ifndef RF_MAPS_H
#define RF_MAPS_H

#include "config.h"

#define RF_TABLE(map, kind, key_type, value_type, entries, how) \
	struct {                                                \
		__uint(type, kind);                             \
		__uint(max_entries, entries);                   \
		__uint(map_flags, how);                         \
		__type(key, key_type);                          \
		__type(value, value_type);                      \
	} map SEC(".maps")

/* What user space writes. */
RF_TABLE(rf_endpoints, BPF_MAP_TYPE_HASH, struct rf_endpoint_key, struct rf_endpoint, 16384, BPF_F_NO_PREALLOC);
RF_TABLE(rf_peers, BPF_MAP_TYPE_HASH, struct rf_peer_key, struct rf_peer, 262144, BPF_F_NO_PREALLOC);
RF_TABLE(rf_shared, BPF_MAP_TYPE_HASH, struct rf_shared_key, __u32, 65536, BPF_F_NO_PREALLOC);
RF_TABLE(rf_cidrs, BPF_MAP_TYPE_LPM_TRIE, struct rf_cidr_key, struct rf_cidr, 65536, BPF_F_NO_PREALLOC);
RF_TABLE(rf_nat, BPF_MAP_TYPE_HASH, struct rf_nat_key, struct rf_nat, 65536, BPF_F_NO_PREALLOC);
RF_TABLE(rf_groups, BPF_MAP_TYPE_HASH, struct rf_group_key, struct rf_group, 262144, BPF_F_NO_PREALLOC);
RF_TABLE(rf_ports, BPF_MAP_TYPE_LPM_TRIE, struct rf_port_key, struct rf_port, 262144, BPF_F_NO_PREALLOC);
RF_TABLE(rf_failsafe, BPF_MAP_TYPE_LPM_TRIE, struct rf_failsafe_key, __u32, 1024, BPF_F_NO_PREALLOC);
RF_TABLE(rf_state, BPF_MAP_TYPE_ARRAY, __u32, struct rf_state, 1, 0);
/* Hashes though their keys are few: an update replaces an entry as a whole, so no reader sees half of one. */
RF_TABLE(rf_tags, BPF_MAP_TYPE_HASH, __u32, struct rf_tags, 1, 0);
RF_TABLE(rf_tag_keys, BPF_MAP_TYPE_HASH, __u32, struct rf_tag_key, RF_TAG_KEYS, 0);

/* What the programs write. */
RF_TABLE(rf_flows, BPF_MAP_TYPE_LRU_HASH, struct rf_flow_key, struct rf_flow, 262144, 0);
RF_TABLE(rf_denied, BPF_MAP_TYPE_LRU_HASH, struct rf_flow_key, struct rf_denied, 16384, 0);
RF_TABLE(rf_frags, BPF_MAP_TYPE_LRU_HASH, struct rf_frag_key, struct rf_frag, 8192, 0);
RF_TABLE(rf_lanes, BPF_MAP_TYPE_ARRAY, __u32, struct rf_lane_stats, RF_LANE_COUNT, 0);
RF_TABLE(rf_counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct rf_counter, RF_VERDICTS *RF_REASON_COUNT *RF_DIRECTIONS,
	 0);
RF_TABLE(rf_errors, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, RF_ERROR_COUNT, 0);
RF_TABLE(rf_tag_seen, BPF_MAP_TYPE_LRU_HASH, struct rf_tag_seen_key, struct rf_tag_seen, 32768, 0);
RF_TABLE(rf_tag_counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, RF_TAG_COUNT_COUNT, 0);

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct rf_owner);
} rf_sockets SEC(".maps");

/* One ring per possible CPU, put in by user space before anything is attached. */
struct rf_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct rf_ring);
} rf_events SEC(".maps"), rf_denies SEC(".maps");

/* A helper failed that should not have. */
static __always_inline void rf_failed(__u32 site)
{
	__u64 *count = bpf_map_lookup_elem(&rf_errors, &site);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* Counts one packet. direction is the packet's. Atomic: cgroup programs are preempted by packets on the same CPU. */
static __always_inline void rf_count(__u32 verdict, __u32 reason, __u32 direction, __u32 bytes)
{
	__u32 index = (verdict * RF_REASON_COUNT + reason) * RF_DIRECTIONS + direction;
	struct rf_counter *counter = bpf_map_lookup_elem(&rf_counters, &index);

	if (!counter) {
		rf_failed(RF_ERROR_COUNTER);
		return;
	}
	__sync_fetch_and_add(&counter->packets, 1);
	/* Adding a constant 0 becomes an atomic OR, refused by 5.10: "BPF_STX uses reserved fields". */
	if (!__builtin_constant_p(bytes) || bytes)
		__sync_fetch_and_add(&counter->bytes, bytes);
}

/* Global generation; 0 (which no flow or socket carries) when it cannot be read. */
static __always_inline __u32 rf_global_generation(void)
{
	__u32 zero = 0;
	struct rf_state *state = bpf_map_lookup_elem(&rf_state, &zero);

	if (!state) {
		rf_failed(RF_ERROR_STATE);
		return 0;
	}
	return state->generation;
}

#endif
