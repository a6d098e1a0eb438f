/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * No program: an object whose BTF names every struct and enum that user space shares, for the ABI test. A type that
 * nothing refers to is not in BTF, and enums stand in __u8 members elsewhere.
 */
#include "lib/maps.h"

struct rf_abi {
	struct rf_endpoint_key endpoint_key;
	struct rf_endpoint endpoint;
	struct rf_peer_key peer_key;
	struct rf_peer peer;
	struct rf_shared_key shared_key;
	struct rf_cidr_key cidr_key;
	struct rf_cidr cidr;
	struct rf_nat_key nat_key;
	struct rf_nat nat;
	struct rf_group_key group_key;
	struct rf_group group;
	struct rf_port_key port_key;
	struct rf_port port;
	struct rf_failsafe_key failsafe_key;
	struct rf_flow_key flow_key;
	struct rf_flow flow;
	struct rf_denied denied;
	struct rf_frag_key frag_key;
	struct rf_frag frag;
	struct rf_owner owner;
	struct rf_tag_option tag_option;
	struct rf_tags tags;
	struct rf_tag_key tag_key;
	struct rf_tag_seen_key tag_seen_key;
	struct rf_tag_seen tag_seen;
	struct rf_state state;
	struct rf_event event;
	struct rf_lane_stats lane_stats;
	struct rf_counter counter;
	enum rf_verdict verdict;
	enum rf_reason reason;
	enum rf_mode mode;
	enum rf_direction direction;
	enum rf_event_kind event_kind;
	enum rf_endpoint_kind endpoint_kind;
	enum rf_endpoint_flags endpoint_flags;
	enum rf_peer_flags peer_flags;
	enum rf_group_kind group_kind;
	enum rf_action action;
	enum rf_constraint constraint;
	enum rf_flow_flags flow_flags;
	enum rf_event_flags event_flags;
	enum rf_tag_bound tag_bound;
	enum rf_tags_flags tags_flags;
	enum rf_tag_count tag_count;
	enum rf_lane lane;
	enum rf_error error;
};

struct rf_abi *rf_abi_anchor;

/* The limits that user space must keep, readable from the object without loading it. */
const volatile __u32 rf_abi_version = RF_ABI_VERSION;
const volatile __u32 rf_shared_max = RF_SHARED_MAX;
const volatile __u32 rf_cgroup_levels = RF_CGROUP_LEVELS;
const volatile __u32 rf_verdicts = RF_VERDICTS;
const volatile __u32 rf_directions = RF_DIRECTIONS;
const volatile __u32 rf_tag_kind = RF_TAG_KIND;
const volatile __u32 rf_tag_exid = RF_TAG_EXID;
const volatile __u32 rf_tag_key_slots = RF_TAG_KEYS;

char LICENSE[] SEC("license") = "Dual BSD/GPL";
