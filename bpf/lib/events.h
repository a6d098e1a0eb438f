/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writing event records. For every CPU and lane produced = delivered + dropped, and sequence numbers count what was
 * wanted, so a reader sees each gap. The consumer is woken for the first record of an empty ring (an idle host reports
 * at once), but at most about once a millisecond, and again when rf_wakeup_bytes wait; in between a busy consumer finds
 * the records by itself. Waking it for every record of a ring that it keeps emptying cost 5 % of new connections.
 */
#ifndef RF_EVENTS_H
#define RF_EVENTS_H

#include "policy.h"

#define RF_RING_HEADER 8

/* What an event says beyond its flow. */
struct rf_report {
	__u64 now;
	__u32 lane; /* enum rf_lane */
	__u16 attempts;
	__u8 kind;  /* enum rf_event_kind */
	__u8 flags; /* enum rf_event_flags */
};

static __always_inline void *rf_ring_of(__u32 lane)
{
	__u32 cpu = bpf_get_smp_processor_id();

	if (lane == RF_LANE_DENIES)
		return bpf_map_lookup_elem(&rf_denies, &cpu);
	return bpf_map_lookup_elem(&rf_events, &cpu);
}

static __always_inline struct rf_lane_stats *rf_lane_of(__u32 lane)
{
	__u32 index = bpf_get_smp_processor_id() * RF_LANE_COUNT + lane;
	struct rf_lane_stats *stats = bpf_map_lookup_elem(&rf_lanes, &index);

	if (!stats)
		rf_failed(RF_ERROR_LANE);
	return stats;
}

/* Counts one wanted record; its number. */
static __always_inline __u32 rf_next_sequence(struct rf_lane_stats *stats)
{
	__u32 sequence;

	bpf_spin_lock(&stats->lock);
	stats->produced++;
	sequence = stats->produced;
	bpf_spin_unlock(&stats->lock);
	return sequence;
}

/* Room for one record, or NULL: then the record is counted as dropped. */
static __always_inline struct rf_event *rf_reserve(void *ring, struct rf_lane_stats *stats, __u32 sequence)
{
	struct rf_event *event = bpf_ringbuf_reserve(ring, sizeof(*event), 0);

	if (!event) {
		__sync_fetch_and_add(&stats->dropped, 1);
		return 0;
	}
	event->sequence = sequence;
	return event;
}

static __always_inline void rf_submit(void *ring, struct rf_lane_stats *stats, struct rf_event *event)
{
	__u64 waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	__u32 tick = event->time_ns >> 20;
	int wake = waiting >= rf_wakeup_bytes;

	if (waiting <= sizeof(*event) + RF_RING_HEADER && tick != stats->woken) {
		stats->woken = tick;
		wake = 1;
	}

	bpf_ringbuf_submit(event, wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	__sync_fetch_and_add(&stats->delivered, 1);
}

static __always_inline void rf_fill_key(struct rf_event *event, const struct rf_flow_key *key,
					const struct rf_report *report)
{
	event->time_ns = report->now;
	event->local = key->local;
	event->remote = key->remote;
	event->local_port_be = key->local_port_be;
	event->remote_port_be = key->remote_port_be;
	event->endpoint = key->endpoint;
	event->proto = key->proto;
	event->kind = report->kind;
	event->attempts = report->attempts;
}

static __always_inline void rf_fill_flow(struct rf_event *event, const struct rf_flow *flow, __u8 flags)
{
	event->first_seen_ns = flow->first_seen_ns;
	event->bytes_in = flow->bytes_in;
	event->bytes_out = flow->bytes_out;
	event->packets_in = flow->packets_in;
	event->packets_out = flow->packets_out;
	event->peer_identity = flow->peer_identity;
	event->rule = flow->rule;
	event->policy_version = flow->policy_version;
	event->pid = flow->pid;
	event->verdict = flow->verdict;
	event->reason = flow->reason;
	event->mode = flow->mode;
	event->direction = flow->direction;
	event->tcp_flags = flow->tcp_flags_in | flow->tcp_flags_out;
	event->service_port_be = flow->service_port_be;
	if (flow->flags & RF_FLOW_SHARED)
		flags |= RF_EVENT_SHARED;
	if (flow->flags & RF_FLOW_MAPPED)
		flags |= RF_EVENT_MAPPED;
	if (flow->flags & RF_FLOW_TAGGED)
		flags |= RF_EVENT_TAGGED;
	event->flags = flags;
	__builtin_memcpy(event->comm, flow->comm, sizeof(event->comm));
}

/* Reports what is known of a flow. 1: a reader will have it; 0: it is counted as dropped. */
RF_GLOBAL int rf_report_flow(const struct rf_flow_key *key, const struct rf_flow *flow, const struct rf_report *report)
{
	struct rf_lane_stats *stats;
	struct rf_event *event;
	__u32 sequence;
	void *ring;

	if (!key || !flow || !report)
		return 0;
	stats = rf_lane_of(report->lane);
	if (!stats)
		return 0;
	sequence = rf_next_sequence(stats);
	ring = rf_ring_of(report->lane);
	if (!ring) {
		rf_failed(RF_ERROR_RING);
		__sync_fetch_and_add(&stats->dropped, 1);
		return 0;
	}
	event = rf_reserve(ring, stats, sequence);
	if (!event)
		return 0;
	rf_fill_key(event, key, report);
	rf_fill_flow(event, flow, report->flags);
	rf_submit(ring, stats, event);
	return 1;
}

/* A packet that made no flow: refused, or a problem. */
struct rf_refusal {
	struct rf_decision d;
	__u32 policy_version;
	__u32 bytes; /* 0: a refused connect, no packet existed */
	__u32 pid;
	__u8 tcp_flags;
	__u8 packet_direction;
	__u8 pad[2];
	char comm[16];
};

RF_GLOBAL int rf_report_refusal(const struct rf_flow_key *key, const struct rf_refusal *refusal,
				const struct rf_report *report)
{
	const struct rf_decision *d;
	struct rf_lane_stats *stats;
	struct rf_event *event;
	__u32 sequence;
	__u8 flags;
	void *ring;

	if (!key || !refusal || !report)
		return 0;
	d = &refusal->d;
	flags = report->flags;
	stats = rf_lane_of(RF_LANE_DENIES);
	if (!stats)
		return 0;
	sequence = rf_next_sequence(stats);
	ring = rf_ring_of(RF_LANE_DENIES);
	if (!ring) {
		rf_failed(RF_ERROR_RING);
		__sync_fetch_and_add(&stats->dropped, 1);
		return 0;
	}
	event = rf_reserve(ring, stats, sequence);
	if (!event)
		return 0;
	rf_fill_key(event, key, report);
	event->first_seen_ns = report->now;
	event->bytes_in = refusal->packet_direction == RF_DIRECTION_INBOUND ? refusal->bytes : 0;
	event->bytes_out = refusal->packet_direction == RF_DIRECTION_OUTBOUND ? refusal->bytes : 0;
	event->packets_in = event->bytes_in != 0;
	event->packets_out = event->bytes_out != 0;
	event->peer_identity = d->identity;
	event->rule = d->rule;
	event->policy_version = refusal->policy_version;
	event->pid = refusal->pid;
	event->verdict = d->verdict;
	event->reason = d->reason;
	event->mode = d->mode;
	event->direction = d->direction;
	event->tcp_flags = refusal->tcp_flags;
	event->service_port_be = d->service_port_be;
	if (d->flags & RF_FLOW_SHARED)
		flags |= RF_EVENT_SHARED;
	if (d->flags & RF_FLOW_MAPPED)
		flags |= RF_EVENT_MAPPED;
	if (d->flags & RF_FLOW_TAGGED)
		flags |= RF_EVENT_TAGGED;
	event->flags = flags;
	__builtin_memcpy(event->comm, refusal->comm, sizeof(event->comm));
	rf_submit(ring, stats, event);
	return 0;
}

/*
 * Attempts that a deny of this flow stands for now: 0 when it is to be folded into a later report, 1 + what was folded
 * otherwise. Two CPUs in the same instant may both report; neither loses an attempt by more than that race.
 */
static __always_inline __u32 rf_fold_deny(const struct rf_flow_key *key, __u64 now)
{
	struct rf_denied *denied = bpf_map_lookup_elem(&rf_denied, key);
	struct rf_denied first = {.last_report_ns = now};
	__u32 folded;

	if (!denied) {
		if (bpf_map_update_elem(&rf_denied, key, &first, BPF_ANY))
			rf_failed(RF_ERROR_DENIED_INSERT);
		return 1;
	}
	if (now - denied->last_report_ns < rf_deny_period_ns) {
		__sync_fetch_and_add(&denied->suppressed, 1);
		return 0;
	}
	folded = denied->suppressed;
	denied->last_report_ns = now;
	__sync_fetch_and_add(&denied->suppressed, -folded);
	return folded < 0xffff ? folded + 1 : 0xffff;
}

#endif
