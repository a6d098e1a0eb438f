/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every open file of every task, once at start: names the sockets that were open before sock_create was attached. */
#include "lib/maps.h"

/* The kernel's, as far as they are read; relocated at load. */
struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	possible_net_t skc_net;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
} __attribute__((preserve_access_index));

struct socket {
	struct sock *sk;
} __attribute__((preserve_access_index));

struct kernfs_node {
	__u64 id;
} __attribute__((preserve_access_index));

struct cgroup {
	struct kernfs_node *kn;
} __attribute__((preserve_access_index));

struct css_set {
	struct cgroup *dfl_cgrp;
} __attribute__((preserve_access_index));

struct task_struct {
	int tgid;
	struct task_struct *group_leader;
	struct css_set *cgroups;
	char comm[16];
} __attribute__((preserve_access_index));

struct file;

struct bpf_iter__task_file {
	void *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} __attribute__((preserve_access_index));

SEC("iter/task_file")
int rf_iter_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct rf_owner *owner;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket || !socket->sk)
		return 0;
	sk = socket->sk;
	owner = bpf_sk_storage_get(&rf_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	/* Unix and netlink sockets have no use for it; those that cannot hold storage are not ours. */
	if (!owner || owner->pid)
		return 0;
	owner->netns_cookie = sk->__sk_common.skc_net.net->net_cookie;
	owner->cgroup = task->cgroups->dfl_cgrp->kn->id;
	bpf_probe_read_kernel(owner->comm, sizeof(owner->comm), task->group_leader->comm);
	owner->pid = task->tgid;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
