// SPDX-License-Identifier: Apache-2.0
#include "sock_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "args.h"
#include "netlink.h"
#include "netns.h"

namespace rf
{

namespace
{

using Address = std::array<uint8_t, 16>;

struct Tuple {
	uint8_t protocol;
	Address local;
	Address remote;
	uint16_t local_port;
	uint16_t remote_port;
};

constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr int kTcpListen = 10;
constexpr uint32_t kAllStates = 0xffffffff;

bool IsMapped(const Address &address)
{
	return memcmp(address.data(), kMapped, sizeof(kMapped)) == 0;
}

struct Request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 body;
};

Request MakeRequest(const Tuple &tuple, uint8_t family, uint16_t type, uint16_t flags)
{
	Request request = {};
	request.header.nlmsg_len = sizeof(request);
	request.header.nlmsg_type = type;
	request.header.nlmsg_flags = NLM_F_REQUEST | flags;
	request.header.nlmsg_seq = 1;
	request.body.sdiag_family = family;
	request.body.sdiag_protocol = tuple.protocol;
	request.body.idiag_states = kAllStates;
	struct inet_diag_sockid &id = request.body.id;
	id.idiag_sport = htons(tuple.local_port);
	id.idiag_dport = htons(tuple.remote_port);
	/* IPv4 addresses stand in the first word. */
	size_t from = family == AF_INET ? 12 : 0;
	memcpy(id.idiag_src, tuple.local.data() + from, 16 - from);
	memcpy(id.idiag_dst, tuple.remote.data() + from, 16 - from);
	id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return request;
}

Address Widen(uint8_t family, const __be32 *words)
{
	Address out;
	if (family == AF_INET6) {
		memcpy(out.data(), words, 16);
		return out;
	}
	memcpy(out.data(), kMapped, sizeof(kMapped));
	memcpy(out.data() + 12, words, 4);
	return out;
}

/* The kernel falls back to listeners and unconnected sockets: only the very connection will do. */
bool IsConnection(const struct inet_diag_msg &found, const Tuple &tuple)
{
	if (tuple.protocol == IPPROTO_TCP && found.idiag_state == kTcpListen)
		return false;
	return ntohs(found.id.idiag_sport) == tuple.local_port && ntohs(found.id.idiag_dport) == tuple.remote_port &&
	       Widen(found.idiag_family, found.id.idiag_src) == tuple.local &&
	       Widen(found.idiag_family, found.id.idiag_dst) == tuple.remote;
}

/*
 * Finds, then destroys by the socket's cookie, so that a listener is never hit in its connection's place. TCP is looked
 * up by its hash; UDP by a filtered walk, since the kernel's single lookup takes unconnected sockets and swaps the
 * ends.
 */
bool DestroyIn(Netlink &diag, const Tuple &tuple, uint8_t family)
{
	bool tcp = tuple.protocol == IPPROTO_TCP;
	struct inet_diag_sockid id = {};
	bool there = false;
	Request find = MakeRequest(tuple, family, SOCK_DIAG_BY_FAMILY, tcp ? 0 : NLM_F_DUMP);
	int err = diag.Ask(&find, sizeof(find), [&](struct nlmsghdr *message) {
			      if (there || message->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
				      return;
			      const auto &found = *static_cast<struct inet_diag_msg *>(NLMSG_DATA(message));
			      if (!IsConnection(found, tuple))
				      return;
			      id = found.id;
			      there = true;
		      }).err;
	if (err != 0 && err != ENOENT)
		throw Fault::Sys("RF_NETLINK", "find the socket to close", err, "SOCK_DIAG_BY_FAMILY");
	if (!there)
		return false;
	Request destroy = MakeRequest(tuple, family, SOCK_DESTROY, NLM_F_ACK);
	destroy.body.id.idiag_if = id.idiag_if;
	destroy.body.id.idiag_cookie[0] = id.idiag_cookie[0];
	destroy.body.id.idiag_cookie[1] = id.idiag_cookie[1];
	err = diag.Ask(&destroy, sizeof(destroy), [](struct nlmsghdr *) {}).err;
	/* Gone, or its place taken, between the two requests. */
	if (err == ENOENT || err == ESTALE)
		return false;
	if (err != 0)
		throw Fault::Sys("RF_NETLINK", "close the socket", err, "SOCK_DESTROY");
	return true;
}

bool Destroy(Netlink &diag, const Tuple &tuple)
{
	if (IsMapped(tuple.local) && IsMapped(tuple.remote) && DestroyIn(diag, tuple, AF_INET))
		return true;
	return DestroyIn(diag, tuple, AF_INET6);
}

/* One of many, packed: both addresses, both ports (little-endian), the protocol, three bytes of nothing. */
constexpr size_t kPackedBytes = 40;

Tuple Unpack(const uint8_t *packed)
{
	Tuple tuple = {};
	memcpy(tuple.local.data(), packed, 16);
	memcpy(tuple.remote.data(), packed + 16, 16);
	memcpy(&tuple.local_port, packed + 32, 2);
	memcpy(&tuple.remote_port, packed + 34, 2);
	tuple.protocol = packed[36];
	return tuple;
}

bool IsWhole(const Tuple &tuple)
{
	return (tuple.protocol == IPPROTO_TCP || tuple.protocol == IPPROTO_UDP) && tuple.local_port != 0 &&
	       tuple.remote_port != 0;
}

} // namespace

Napi::Value DestroySockets(const Napi::CallbackInfo &info)
{
	Bytes packed = ArgBytes(info, 0, "sockets");
	std::string netns = ArgString(info, 1, "netns");
	if (packed.size % kPackedBytes != 0)
		throw Fault("RF_ARGUMENT", "Cannot close sockets: found " + std::to_string(packed.size) +
						   " bytes, wanted a multiple of " + std::to_string(kPackedBytes));
	uint32_t destroyed = 0;
	std::string problem;
	InNetns(netns, [&] {
		Netlink diag(NETLINK_SOCK_DIAG, "sock_diag");
		for (size_t at = 0; at < packed.size; at += kPackedBytes) {
			Tuple tuple = Unpack(packed.data + at);
			try {
				if (IsWhole(tuple) && Destroy(diag, tuple))
					destroyed++;
			} catch (const Fault &fault) {
				problem = fault.message();
			}
		}
	});
	auto result = Napi::Object::New(info.Env());
	result.Set("destroyed", Num(info.Env(), destroyed));
	result.Set("problem", problem);
	return result;
}

Napi::Value DestroySocket(const Napi::CallbackInfo &info)
{
	Tuple tuple = {};
	uint32_t protocol = ArgU32(info, 0, "protocol");
	Bytes local = ArgBytes(info, 1, "localAddress", 16);
	uint32_t local_port = ArgU32(info, 2, "localPort");
	Bytes remote = ArgBytes(info, 3, "remoteAddress", 16);
	uint32_t remote_port = ArgU32(info, 4, "remotePort");
	std::string netns = ArgString(info, 5, "netns");
	if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) || local_port > 65535 || remote_port > 65535 ||
	    local_port < 1 || remote_port < 1)
		throw Fault("RF_ARGUMENT",
			    "Cannot close a socket: found a protocol other than TCP (6) and UDP (17), or a port "
			    "outside 1 to 65535, wanted a whole tuple");
	tuple.protocol = static_cast<uint8_t>(protocol);
	memcpy(tuple.local.data(), local.data, 16);
	memcpy(tuple.remote.data(), remote.data, 16);
	tuple.local_port = static_cast<uint16_t>(local_port);
	tuple.remote_port = static_cast<uint16_t>(remote_port);
	bool done = false;
	InNetns(netns, [&] {
		Netlink diag(NETLINK_SOCK_DIAG, "sock_diag");
		done = Destroy(diag, tuple);
	});
	return Napi::Boolean::New(info.Env(), done);
}

} // namespace rf
