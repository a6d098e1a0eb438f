// SPDX-License-Identifier: Apache-2.0
#include "interfaces.h"

#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "args.h"
#include "fd.h"

namespace rf
{

namespace
{

struct Interface {
	int index = 0;
	std::string name;
	int peer_index = 0;	/* 0: no other end */
	int peer_netns_id = -1; /* -1: the other end is in this namespace, or there is none */
};

class Route
{
      public:
	Route() : socket_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE))
	{
		if (!socket_.valid())
			throw Fault::Sys("RF_NETLINK", "open rtnetlink", errno, "socket");
	}

	void Ask(const void *request, size_t size)
	{
		if (send(socket_.get(), request, size, 0) < 0)
			throw Fault::Sys("RF_NETLINK", "ask rtnetlink", errno, "send");
	}

	/* Hands each message over until each says enough or the dump ends. Returns the errno of an error message, else
	 * 0. */
	int Answer(const std::function<bool(struct nlmsghdr *)> &each)
	{
		for (;;) {
			ssize_t got = recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
			if (got < 0 && errno == EINTR)
				continue;
			if (got < 0)
				throw Fault::Sys("RF_NETLINK", "read rtnetlink", errno, "recv");
			auto left = static_cast<unsigned int>(got);
			for (auto *message = reinterpret_cast<struct nlmsghdr *>(buffer_.data());
			     NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
				if (message->nlmsg_type == NLMSG_DONE)
					return 0;
				if (message->nlmsg_type == NLMSG_ERROR)
					return -static_cast<struct nlmsgerr *>(NLMSG_DATA(message))->error;
				if (!each(message))
					return 0;
			}
		}
	}

      private:
	Fd socket_;
	std::vector<uint8_t> buffer_ = std::vector<uint8_t>(64 << 10);
};

Interface Parse(struct nlmsghdr *message)
{
	auto *header = static_cast<struct ifinfomsg *>(NLMSG_DATA(message));
	Interface found;
	found.index = header->ifi_index;
	auto left = static_cast<int>(IFLA_PAYLOAD(message));
	for (struct rtattr *at = IFLA_RTA(header); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		size_t size = RTA_PAYLOAD(at);
		if (at->rta_type == IFLA_IFNAME && size > 0)
			found.name.assign(static_cast<const char *>(RTA_DATA(at)),
					  strnlen(static_cast<const char *>(RTA_DATA(at)), size));
		else if (at->rta_type == IFLA_LINK && size == sizeof(int))
			memcpy(&found.peer_index, RTA_DATA(at), sizeof(int));
		else if (at->rta_type == IFLA_LINK_NETNSID && size == sizeof(int))
			memcpy(&found.peer_netns_id, RTA_DATA(at), sizeof(int));
	}
	return found;
}

} // namespace

Napi::Value ListInterfaces(const Napi::CallbackInfo &info)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg body;
	} request = {};
	request.header.nlmsg_len = sizeof(request);
	request.header.nlmsg_type = RTM_GETLINK;
	request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request.body.ifi_family = AF_UNSPEC;
	Route route;
	route.Ask(&request, sizeof(request));
	std::vector<Interface> all;
	int err = route.Answer([&](struct nlmsghdr *message) {
		if (message->nlmsg_type == RTM_NEWLINK)
			all.push_back(Parse(message));
		return true;
	});
	if (err != 0)
		throw Fault::Sys("RF_NETLINK", "list interfaces", err, "RTM_GETLINK");
	Napi::Env env = info.Env();
	Napi::Array out = Napi::Array::New(env, all.size());
	for (size_t i = 0; i < all.size(); i++) {
		Napi::Object entry = Napi::Object::New(env);
		entry.Set("index", Num(env, all[i].index));
		entry.Set("name", Napi::String::New(env, all[i].name));
		entry.Set("peerIndex", Num(env, all[i].peer_index));
		entry.Set("peerNetnsId", Num(env, all[i].peer_netns_id));
		out.Set(static_cast<uint32_t>(i), entry);
	}
	return out;
}

Napi::Value NetnsIdOfProcess(const Napi::CallbackInfo &info)
{
	uint32_t pid = ArgU32(info, 0, "pid");
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body;
		char pad[3];
		struct rtattr attribute;
		uint32_t pid;
	} request = {};
	request.header.nlmsg_len = sizeof(request);
	request.header.nlmsg_type = RTM_GETNSID;
	request.header.nlmsg_flags = NLM_F_REQUEST;
	request.body.rtgen_family = AF_UNSPEC;
	request.attribute.rta_type = NETNSA_PID;
	request.attribute.rta_len = RTA_LENGTH(sizeof(uint32_t));
	request.pid = pid;
	Route route;
	route.Ask(&request, sizeof(request));
	int id = -1;
	int err = route.Answer([&](struct nlmsghdr *message) {
		auto *body = static_cast<struct rtgenmsg *>(NLMSG_DATA(message));
		auto left = static_cast<int>(NLMSG_PAYLOAD(message, sizeof(struct rtgenmsg)));
		auto *at =
			reinterpret_cast<struct rtattr *>(reinterpret_cast<char *>(body) + NLMSG_ALIGN(sizeof(*body)));
		for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
			if (at->rta_type == NETNSA_NSID && RTA_PAYLOAD(at) == sizeof(int))
				memcpy(&id, RTA_DATA(at), sizeof(int));
		}
		return false;
	});
	if (err == ESRCH)
		return info.Env().Undefined();
	if (err != 0)
		throw Fault::Sys("RF_NETLINK", "name the network namespace of process " + std::to_string(pid), err,
				 "RTM_GETNSID");
	return id < 0 ? info.Env().Undefined() : Num(info.Env(), id);
}

} // namespace rf
