// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Producer for the ring consumer: one ring per CPU and lane, in one array of maps; index is lane * cpus + cpu. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define LANES 2
#define PER_RUN 1000

struct event {
	__u64 sequence; /* per CPU and lane: 1, 2, 3 … */
	__u32 cpu;
	__u32 lane;
	__u64 filler[14];
};
_Static_assert(sizeof(struct event) == 128, "event");

struct stats {
	__u64 produced;
	__u64 delivered;
	__u64 dropped;
};

const volatile __u32 cpus = 1;
const volatile __u64 wakeup_bytes = 0; /* wake the consumer when that much waits; 0: never */
const volatile __u32 event_bytes = 128;
const volatile __u32 per_run = PER_RUN;

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct ring);
} t_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LANES);
	__type(key, __u32);
	__type(value, struct stats);
} t_stats SEC(".maps");

/* Emits per_run events into the lane in skb->mark. */
SEC("tc")
int produce(struct __sk_buff *skb)
{
	__u32 lane = skb->mark % LANES, cpu = bpf_get_smp_processor_id();
	__u32 index = lane * cpus + cpu;
	struct stats *stats = bpf_map_lookup_elem(&t_stats, &lane);
	void *ring = bpf_map_lookup_elem(&t_rings, &index);
	struct event event = {};

	if (!stats || !ring)
		return 1;
	event.cpu = cpu;
	event.lane = lane;
	for (__u32 i = 0; i < PER_RUN && i < per_run; i++) {
		__u64 flags = BPF_RB_NO_WAKEUP;

		if (wakeup_bytes && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) >= wakeup_bytes)
			flags = BPF_RB_FORCE_WAKEUP;
		event.sequence = ++stats->produced;
		if (bpf_ringbuf_output(ring, &event, event_bytes == 128 ? 128 : 64, flags) == 0)
			stats->delivered++;
		else
			stats->dropped++;
	}
	return 0;
}

/* Emits the packet's first 128 bytes as one event, always into the first ring: in order, whatever CPU this is. */
SEC("tc")
int put(struct __sk_buff *skb)
{
	__u32 index = 0;
	void *ring = bpf_map_lookup_elem(&t_rings, &index);
	struct event event;

	if (!ring || bpf_skb_load_bytes(skb, 0, &event, sizeof(event)))
		return 1;
	return bpf_ringbuf_output(ring, &event, sizeof(event), BPF_RB_NO_WAKEUP) ? 1 : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
