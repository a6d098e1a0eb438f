// SPDX-License-Identifier: Apache-2.0
#include "interfaces.h"

#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <net/if.h>

#include <cstring>
#include <string>
#include <vector>

#include "args.h"
#include "netlink.h"

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

/* Interfaces come and go while they are listed; after so many interrupted lists the last one has to do. */
constexpr int kAttempts = 5;

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
	Netlink route(NETLINK_ROUTE, "rtnetlink");
	std::vector<Interface> all;
	Netlink::Answer answer;
	for (int attempt = 0; attempt == 0 || (answer.interrupted && attempt < kAttempts); attempt++) {
		all.clear();
		answer = route.Ask(&request, sizeof(request), [&](struct nlmsghdr *message) {
			if (message->nlmsg_type == RTM_NEWLINK)
				all.push_back(Parse(message));
		});
		if (answer.err != 0)
			throw Fault::Sys("RF_NETLINK", "list interfaces", answer.err, "RTM_GETLINK");
	}
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
	Netlink route(NETLINK_ROUTE, "rtnetlink");
	int id = -1;
	int err = route.Ask(&request, sizeof(request), [&](struct nlmsghdr *message) {
			       auto *body = static_cast<struct rtgenmsg *>(NLMSG_DATA(message));
			       auto left = static_cast<int>(NLMSG_PAYLOAD(message, sizeof(struct rtgenmsg)));
			       auto *at = reinterpret_cast<struct rtattr *>(reinterpret_cast<char *>(body) +
									    NLMSG_ALIGN(sizeof(*body)));
			       for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
				       if (at->rta_type == NETNSA_NSID && RTA_PAYLOAD(at) == sizeof(int))
					       memcpy(&id, RTA_DATA(at), sizeof(int));
			       }
		       }).err;
	if (err == ESRCH)
		return info.Env().Undefined();
	if (err != 0)
		throw Fault::Sys("RF_NETLINK", "name the network namespace of process " + std::to_string(pid), err,
				 "RTM_GETNSID");
	return id < 0 ? info.Env().Undefined() : Num(info.Env(), id);
}

} // namespace rf
