/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who a socket belongs to: the process that made it, and the cgroup endpoint it is decided by. Both live in socket
 * storage. */
#ifndef RF_OWNER_H
#define RF_OWNER_H

#include "maps.h"

#define RF_SOCK_STREAM 1
#define RF_SOCK_DGRAM 2
#define RF_SOCK_RAW 3
#define RF_AF_INET 2
#define RF_SOCK_ESTABLISHED 1

/* The kernel's, as far as it is read; relocated at load. */
struct task_struct {
	struct task_struct *group_leader;
	char comm[16];
} __attribute__((preserve_access_index));

/* Name of the process: its first thread's, not the calling thread's ("node", not "libuv-worker"). */
static __always_inline void rf_read_comm(char *comm)
{
	if (rf_has_task_read) {
		struct task_struct *task = (struct task_struct *)bpf_get_current_task(), *leader = 0;

		if (!bpf_probe_read_kernel(&leader, sizeof(leader),
					   __builtin_preserve_access_index(&task->group_leader)) &&
		    !bpf_probe_read_kernel(comm, 16, __builtin_preserve_access_index(&leader->comm)))
			return;
		rf_failed(RF_ERROR_COMM);
	}
	bpf_get_current_comm(comm, 16);
}

/* Writes down the current process. endpoint_generation 0: the endpoint is looked up at the first packet. */
static __always_inline void rf_own(struct rf_owner *owner, __u64 netns_cookie)
{
	owner->cgroup = bpf_get_current_cgroup_id();
	if (netns_cookie)
		owner->netns_cookie = netns_cookie;
	owner->pid = bpf_get_current_pid_tgid() >> 32;
	rf_read_comm(owner->comm);
}

/* The full socket of a packet, or NULL: forwarded packets, handshakes (request sockets) and TIME_WAIT have none. */
static __always_inline struct bpf_sock *rf_socket(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk ? bpf_sk_fullsock(sk) : 0;
}

/*
 * The cgroup endpoint of a packet: the innermost of the socket's cgroup and its ancestors that rf_endpoints knows, in
 * the agent's own network namespace. NULL: not ours (a container's, another namespace's, or nobody's). Below a cgroup
 * that containers start in (RF_EP_CONTAINERS) other namespaces count too: a container that the agent has not found yet
 * is held there. at: its key. The answer is remembered in socket storage for one global generation. Raw sockets are
 * asked anew: the kernel's own per-CPU control sockets, which send resets and ICMP, are raw and serve one namespace
 * after the other.
 */
static __always_inline struct rf_endpoint *rf_find_cgroup_endpoint(struct __sk_buff *skb, struct bpf_sock *sk,
								   struct rf_owner *owner, __u32 generation,
								   struct rf_endpoint_key *at)
{
	struct rf_endpoint *best = 0, *found;
	__u64 cookie = 0, best_id = 0;
	int level, foreign;

	at->kind = RF_ENDPOINT_CGROUP;
	if (owner && owner->endpoint_generation == generation && generation && sk->type != RF_SOCK_RAW) {
		at->id = owner->endpoint_id;
		return at->id ? bpf_map_lookup_elem(&rf_endpoints, at) : 0;
	}
	if (rf_netns_cookie) {
		if (rf_has_skb_cookie)
			cookie = bpf_get_netns_cookie(skb);
		else if (owner)
			cookie = owner->netns_cookie;
	}
	foreign = cookie && cookie != rf_netns_cookie;
	if (!foreign || rf_guards_containers) {
		for (level = 0; level < RF_CGROUP_LEVELS; level++) {
			at->id = bpf_skb_ancestor_cgroup_id(skb, level);
			if (!at->id)
				break;
			found = bpf_map_lookup_elem(&rf_endpoints, at);
			if (found) {
				best = found;
				best_id = at->id;
			}
		}
	}
	if (best && (best->flags & RF_EP_SKIP || (foreign && !(best->flags & RF_EP_CONTAINERS)))) {
		best = 0;
		best_id = 0;
	}
	at->id = best_id;
	/* What holds a container until it is found is not remembered: its sockets are its own from then on. */
	if (owner && sk->type != RF_SOCK_RAW && !(best && best->flags & RF_EP_CONTAINERS)) {
		owner->endpoint_id = best_id;
		owner->endpoint_generation = generation;
	}
	return best;
}

/* The innermost endpoint of the calling process, a passed one (RF_EP_SKIP) too; at: its key. */
static __always_inline struct rf_endpoint *rf_find_calling_endpoint(struct rf_endpoint_key *at)
{
	struct rf_endpoint *best = 0, *found;
	__u64 best_id = 0;
	int level;

	at->kind = RF_ENDPOINT_CGROUP;
	for (level = 0; level < RF_CGROUP_LEVELS; level++) {
		at->id = bpf_get_current_ancestor_cgroup_id(level);
		if (!at->id)
			break;
		found = bpf_map_lookup_elem(&rf_endpoints, at);
		if (found) {
			best = found;
			best_id = at->id;
		}
	}
	at->id = best_id;
	return best;
}

/* A UDP socket connected to exactly this remote end: proof that the local side chose it. */
static __always_inline int rf_is_connected_to(struct bpf_sock *sk, const struct rf_addr *remote, __u16 remote_port_be)
{
	const __u32 *words = (const __u32 *)remote->bytes;

	if (sk->type != RF_SOCK_DGRAM || sk->state != RF_SOCK_ESTABLISHED || sk->dst_port != remote_port_be)
		return 0;
	if (sk->family == RF_AF_INET)
		return words[2] == bpf_htonl(0xffff) && sk->dst_ip4 == words[3];
	return sk->dst_ip6[0] == words[0] && sk->dst_ip6[1] == words[1] && sk->dst_ip6[2] == words[2] &&
	       sk->dst_ip6[3] == words[3];
}

#endif
