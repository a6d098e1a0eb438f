// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A source of events beyond what packets could make of them: each run reports one event of one of many connections, by
 * the same function as the hooks, into rings and counts that the loader gives it (an agent's own, by their pins). No
 * connection stands in conntrack, so no sweep tells of it again. For bench/agent.
 */
#include "lib/events.h"

/* 10.0.0.0/8 onwards as the remote ends: one address for each connection, so that ports need not differ. */
#define REMOTE_FIRST 0x0a000000
#define BYTES_EACH 1000

const volatile __u32 rf_source_endpoint = 1;
/* Connections open at any time. */
const volatile __u32 rf_source_connections = 1;
/* Events of one connection, NEW and END among them; then another one takes its place, with another port. At least 2. */
const volatile __u32 rf_source_life = 2;
const volatile __u32 rf_source_local = 0x0a000001;
/* CLOCK_MONOTONIC when it was loaded: connections are younger. */
const volatile __u64 rf_source_loaded_ns = 0;

/* Events so far, of all processors. */
__u64 rf_source_count = 0;

static __always_inline void put_mapped(struct rf_addr *to, __u32 address)
{
	__u32 be = bpf_htonl(address);

	to->bytes[10] = 0xff;
	to->bytes[11] = 0xff;
	__builtin_memcpy(&to->bytes[12], &be, sizeof(be));
}

SEC("tc")
int rf_test_source(struct __sk_buff *skb)
{
	__u64 number = __sync_fetch_and_add(&rf_source_count, 1);
	__u64 round = number / rf_source_connections;
	__u32 connection = number % rf_source_connections;
	/* Staggered: as many connections begin and end at any time as at any other. The first ones begin in the middle.
	 */
	__u64 step = round + connection % rf_source_life;
	__u32 age = step % rf_source_life, generation = step / rf_source_life;
	__u64 told = (age < round ? age : round) + 1;
	__u64 now = bpf_ktime_get_ns();
	struct rf_flow_key key = {.endpoint = rf_source_endpoint, .proto = 6};
	struct rf_flow flow = {.verdict = RF_VERDICT_ALLOWED, .reason = RF_REASON_RULE_ALLOW, .rule = 1};
	struct rf_report report = {.now = now, .lane = RF_LANE_FLOWS, .attempts = 1};

	put_mapped(&key.local, rf_source_local);
	put_mapped(&key.remote, REMOTE_FIRST + connection + 256);
	key.local_port_be = bpf_htons(1024 + generation % 60000);
	key.remote_port_be = bpf_htons(443);
	flow.direction = RF_DIRECTION_OUTBOUND;
	flow.service_port_be = key.remote_port_be;
	flow.pid = 1;
	flow.first_seen_ns = rf_source_loaded_ns + step - age;
	/* One packet for each event: what records say in sum is how many events went into them. */
	flow.packets_out = told;
	flow.bytes_out = told * BYTES_EACH;
	report.kind = RF_EVENT_KIND_UPDATE;
	if (age == 0)
		report.kind = RF_EVENT_KIND_NEW;
	else if (age == rf_source_life - 1)
		report.kind = RF_EVENT_KIND_END;
	rf_report_flow(&key, &flow, &report);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
