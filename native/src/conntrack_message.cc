// SPDX-License-Identifier: Apache-2.0
#include "conntrack_message.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <cstring>

namespace rf
{

namespace
{

struct Tuple {
	uint8_t source[16];
	uint8_t destination[16];
	uint16_t source_port;
	uint16_t destination_port;
	uint8_t protocol;
	uint8_t addresses; /* bit 0: source, bit 1: destination */
};

/* Calls each(type, payload, size) for the attributes in a run of bytes; what does not fit ends it. */
template <typename Fn> void EachAttribute(const void *bytes, size_t size, Fn each)
{
	const auto *at = static_cast<const uint8_t *>(bytes);
	while (size >= sizeof(struct nlattr)) {
		struct nlattr head;
		memcpy(&head, at, sizeof(head));
		if (head.nla_len < sizeof(head) || head.nla_len > size)
			return;
		each(head.nla_type & NLA_TYPE_MASK, at + NLA_HDRLEN, static_cast<size_t>(head.nla_len) - NLA_HDRLEN);
		size_t step = NLA_ALIGN(head.nla_len);
		if (step >= size)
			return;
		at += step;
		size -= step;
	}
}

uint16_t Be16(const uint8_t *bytes)
{
	return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]);
}

uint32_t Be32(const uint8_t *bytes)
{
	return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
	       static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
}

void PutAddress(uint8_t *to, const uint8_t *from, size_t size)
{
	if (size == 16) {
		memcpy(to, from, 16);
		return;
	}
	memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	memcpy(to + 12, from, 4);
}

Tuple ReadTuple(const uint8_t *bytes, size_t size)
{
	Tuple tuple = {};
	EachAttribute(bytes, size, [&](int type, const uint8_t *data, size_t length) {
		if (type == CTA_TUPLE_IP) {
			EachAttribute(data, length, [&](int which, const uint8_t *address, size_t bytes_of) {
				bool v6 = which == CTA_IP_V6_SRC || which == CTA_IP_V6_DST;
				bool source = which == CTA_IP_V4_SRC || which == CTA_IP_V6_SRC;
				if (bytes_of != (v6 ? 16u : 4u) || which > CTA_IP_V6_DST || which < CTA_IP_V4_SRC)
					return;
				PutAddress(source ? tuple.source : tuple.destination, address, bytes_of);
				tuple.addresses |= source ? 1 : 2;
			});
		} else if (type == CTA_TUPLE_PROTO) {
			uint8_t icmp_type = 0, icmp_code = 0;
			bool icmp = false;
			EachAttribute(data, length, [&](int which, const uint8_t *value, size_t bytes_of) {
				if (which == CTA_PROTO_NUM && bytes_of == 1)
					tuple.protocol = value[0];
				else if (which == CTA_PROTO_SRC_PORT && bytes_of == 2)
					tuple.source_port = Be16(value);
				else if (which == CTA_PROTO_DST_PORT && bytes_of == 2)
					tuple.destination_port = Be16(value);
				else if ((which == CTA_PROTO_ICMP_ID || which == CTA_PROTO_ICMPV6_ID) && bytes_of == 2)
					tuple.source_port = Be16(value);
				else if ((which == CTA_PROTO_ICMP_TYPE || which == CTA_PROTO_ICMPV6_TYPE) &&
					 bytes_of == 1)
					icmp = true, icmp_type = value[0];
				else if ((which == CTA_PROTO_ICMP_CODE || which == CTA_PROTO_ICMPV6_CODE) &&
					 bytes_of == 1)
					icmp_code = value[0];
			});
			if (icmp)
				tuple.destination_port = static_cast<uint16_t>(icmp_type << 8 | icmp_code);
		}
	});
	return tuple;
}

bool IsIcmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

} // namespace

bool ParseConntrack(const struct nlmsghdr *message, ConntrackRecord &record)
{
	size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	if (message->nlmsg_type >> 8 != NFNL_SUBSYS_CTNETLINK || message->nlmsg_len < NLMSG_ALIGN(head))
		return false;
	const auto *bytes = reinterpret_cast<const uint8_t *>(message);
	size_t from = NLMSG_ALIGN(head);
	Tuple original = {}, reply = {};
	uint32_t status = 0;
	record.id = 0;
	record.zone = 0;
	EachAttribute(bytes + from, message->nlmsg_len - from, [&](int type, const uint8_t *data, size_t size) {
		if (type == CTA_TUPLE_ORIG)
			original = ReadTuple(data, size);
		else if (type == CTA_TUPLE_REPLY)
			reply = ReadTuple(data, size);
		else if (type == CTA_STATUS && size == 4)
			status = Be32(data);
		else if (type == CTA_ID && size == 4)
			record.id = Be32(data);
		else if (type == CTA_ZONE && size == 2)
			record.zone = Be16(data);
	});
	if (!(status & (IPS_SRC_NAT | IPS_DST_NAT)) || original.addresses != 3 || reply.addresses != 3)
		return false;
	record.protocol = original.protocol;
	memcpy(record.source, original.source, 16);
	memcpy(record.destination, original.destination, 16);
	/* Answers come from where the packets went, to where they came from. */
	memcpy(record.translated_source, reply.destination, 16);
	memcpy(record.translated_destination, reply.source, 16);
	record.source_port = original.source_port;
	record.destination_port = original.destination_port;
	bool icmp = IsIcmp(original.protocol);
	record.translated_source_port = icmp ? reply.source_port : reply.destination_port;
	record.translated_destination_port = icmp ? original.destination_port : reply.source_port;
	return true;
}

} // namespace rf
