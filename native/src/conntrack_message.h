// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>

namespace rf
{

enum class ConntrackKind : uint8_t {
	kNew = 1,
	kGone = 2,
	kListed = 3, /* in a dump */
};

/*
 * One translated connection, as JavaScript reads it (ts/conntrack.ts names the same offsets). Host byte order; IPv4
 * addresses are mapped into IPv6. ICMP: the source port is the echo id, the destination port type * 256 + code of the
 * message that opened it.
 */
struct ConntrackRecord {
	uint64_t at_ns; /* CLOCK_MONOTONIC when it was read */
	uint32_t id;	/* the kernel's, unique among the connections that live */
	uint16_t zone;
	uint8_t kind;
	uint8_t protocol;
	/* As the one who opened it sent its packets. */
	uint8_t source[16];
	uint8_t destination[16];
	/* The same after translation. */
	uint8_t translated_source[16];
	uint8_t translated_destination[16];
	uint16_t source_port;
	uint16_t destination_port;
	uint16_t translated_source_port;
	uint16_t translated_destination_port;
};

static_assert(sizeof(ConntrackRecord) == 88);
static_assert(offsetof(ConntrackRecord, source) == 16);
static_assert(offsetof(ConntrackRecord, source_port) == 80);

/*
 * Reads a ctnetlink message of a connection into record (but for at_ns and kind). False when it is none, or is of a
 * connection that nobody translates, or lacks what a record needs.
 */
bool ParseConntrack(const struct nlmsghdr *message, ConntrackRecord &record);

} // namespace rf
