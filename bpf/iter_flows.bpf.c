/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sweep: what no packet triggers. Decides flows again whose generation is old (an idle connection is cut like a
 * busy one), reports the counters of long-lived ones, ends idle ones. Its output is packed rf_event records, so that a
 * sweep over a full table cannot overflow a ring; user space reads until the end. Entries are read where they are,
 * never looked up: a lookup would mark each as used and blind the LRU.
 */
#include "lib/flow.h"

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_map;

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
} __attribute__((preserve_access_index));

/*
 * Packets are timed by a clock that stands still for a tick (10 ms at the slowest), and the tick of a report may have
 * packets after it: a flow that was seen so shortly before its last report is told once more.
 */
#define RF_TICK_NS 10000000ULL

/* The reader's buffer is full: the kernel empties it and shows the same element again. */
#define RF_EOVERFLOW 75

/* 1: written. 0: not; flow is as it was before, given in before, and the element will come again. */
static __always_inline int rf_sweep_report(struct seq_file *seq, const struct rf_flow_key *key, struct rf_flow *flow,
					   const struct rf_report *report, const struct rf_flow *before)
{
	struct rf_event event = {};
	long err;

	rf_fill_key(&event, key, report);
	rf_fill_flow(&event, flow, report->flags | RF_EVENT_SWEPT);
	err = bpf_seq_write(seq, &event, sizeof(event));
	if (!err) {
		flow->last_report_ns = report->now;
		if (report->flags & RF_EVENT_LATE)
			rf_flow_told(flow, event.packets_in, event.bytes_in, event.packets_out, event.bytes_out);
		return 1;
	}
	if (err != -RF_EOVERFLOW)
		rf_failed(RF_ERROR_SEQ_WRITE);
	flow->rule = before->rule;
	flow->verdict = before->verdict;
	flow->flags = before->flags;
	flow->generation = before->generation;
	return 0;
}

/* What came after the END: see rf_sweep_report. */
static __always_inline int rf_sweep_late(struct seq_file *seq, const struct rf_flow_key *key, struct rf_flow *flow,
					 struct rf_report *report, const struct rf_flow *before)
{
	report->kind = RF_EVENT_KIND_END;
	report->flags = RF_EVENT_LATE;
	return rf_sweep_report(seq, key, flow, report, before);
}

SEC("iter/bpf_map_elem")
int rf_iter_flows(struct bpf_iter__bpf_map_elem *ctx)
{
	struct rf_report report = {.now = bpf_ktime_get_ns(), .attempts = 1};
	struct rf_flow *flow = ctx->value;
	const struct rf_flow_key *walked = ctx->key;
	struct seq_file *seq = ctx->meta->seq;
	struct rf_decision d = {};
	struct rf_endpoint_key at = {};
	struct rf_endpoint *ep;
	struct rf_flow before = {};
	struct rf_flow_key key;
	__u32 generation;

	if (!flow || !walked)
		return 0;
	__builtin_memcpy(&key, walked, sizeof(key));
	before.rule = flow->rule;
	before.verdict = flow->verdict;
	before.flags = flow->flags;
	before.generation = flow->generation;
	at.id = flow->endpoint_id;
	at.kind = flow->endpoint_kind;
	ep = bpf_map_lookup_elem(&rf_endpoints, &at);
	/* The workload is gone, or its place has another one. */
	if (!ep || ep->number != key.endpoint || rf_flow_expired(&key, flow, report.now)) {
		if (!(flow->flags & RF_FLOW_ENDED)) {
			flow->flags |= RF_FLOW_ENDED;
			report.kind = RF_EVENT_KIND_END;
			if (!rf_sweep_report(seq, &key, flow, &report, &before))
				return 0;
		} else if (rf_flow_untold(flow) && !rf_sweep_late(seq, &key, flow, &report, &before)) {
			return 0;
		}
		bpf_map_delete_elem(&rf_flows, &key);
		return 0;
	}
	generation = rf_global_generation();
	/* What its ends have closed is asked again only if it goes on. */
	if ((flow->generation != ep->generation || flow->global_generation != generation) &&
	    (flow->flags & (RF_FLOW_CUT | RF_FLOW_ENDED)) != RF_FLOW_ENDED) {
		if (rf_flow_renew(flow, &key, ep, generation, &d, &report)) {
			rf_sweep_report(seq, &key, flow, &report, &before);
			return 0;
		}
	}
	if (report.now - flow->last_report_ns <= rf_update_period_ns)
		return 0;
	if (rf_flow_untold(flow)) {
		rf_sweep_late(seq, &key, flow, &report, &before);
	} else if (!(flow->flags & RF_FLOW_ENDED) && flow->last_seen_ns + RF_TICK_NS >= flow->last_report_ns) {
		report.kind = RF_EVENT_KIND_UPDATE;
		report.flags = 0;
		rf_sweep_report(seq, &key, flow, &report, &before);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
