// SPDX-License-Identifier: Apache-2.0
#include "netlink.h"

#include <sys/socket.h>

namespace rf
{

Netlink::Netlink(int protocol, std::string name)
    : name_(std::move(name)), socket_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol))
{
	if (!socket_.valid())
		throw Fault::Sys("RF_NETLINK", "open " + name_, errno, "socket");
}

Netlink::Answer Netlink::Ask(const void *request, size_t size, const std::function<void(struct nlmsghdr *)> &each)
{
	if (send(socket_.get(), request, size, 0) < 0)
		throw Fault::Sys("RF_NETLINK", "ask " + name_, errno, "send");
	bool dump = static_cast<const struct nlmsghdr *>(request)->nlmsg_flags & NLM_F_DUMP;
	Answer answer;
	for (;;) {
		ssize_t got = recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			throw Fault::Sys("RF_NETLINK", "read " + name_, errno, "recv");
		auto left = static_cast<unsigned int>(got);
		for (auto *message = reinterpret_cast<struct nlmsghdr *>(buffer_.data()); NLMSG_OK(message, left);
		     message = NLMSG_NEXT(message, left)) {
			if (message->nlmsg_flags & NLM_F_DUMP_INTR)
				answer.interrupted = true;
			if (message->nlmsg_type == NLMSG_DONE)
				return answer;
			if (message->nlmsg_type == NLMSG_ERROR) {
				answer.err = -static_cast<struct nlmsgerr *>(NLMSG_DATA(message))->error;
				return answer;
			}
			each(message);
			if (!dump)
				return answer;
		}
	}
}

} // namespace rf
