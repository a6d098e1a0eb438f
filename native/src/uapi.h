// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/types.h>

/*
 * Parts of the kernel's user API that are newer than Debian 12's linux/bpf.h (6.1), laid out as in 6.6 and later.
 * bpf(2) takes a longer struct than it knows as long as the rest is zero, and writes no more than it knows.
 */
namespace rf::uapi
{

constexpr int kTcxIngress = 46;
constexpr int kTcxEgress = 47;
constexpr __u32 kFlagBefore = 1 << 3; /* BPF_F_BEFORE: with no relative program, at the head */

constexpr __u32 kLinkCgroup = 3;
constexpr __u32 kLinkTcx = 11;

constexpr int kProgQuery = 16; /* BPF_PROG_QUERY */

/* union bpf_attr, the member for BPF_PROG_QUERY. */
struct ProgQuery {
	__u32 target; /* cgroup descriptor or interface index */
	__u32 attach_type;
	__u32 query_flags;
	__u32 attach_flags;
	__u64 prog_ids;
	__u32 count;
	__u32 pad;
	__u64 prog_attach_flags;
	__u64 link_ids; /* 6.6 */
	__u64 link_attach_flags;
	__u64 revision;
};

/* struct bpf_link_info for the types we make. */
struct LinkInfo {
	__u32 type;
	__u32 id;
	__u32 prog_id;
	__u32 pad;
	union {
		struct {
			__u64 cgroup_id;
			__u32 attach_type;
		} cgroup;
		struct {
			__u32 ifindex;
			__u32 attach_type;
		} tcx;
		__u8 other[64];
	};
};

} // namespace rf::uapi
