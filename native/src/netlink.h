// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fd.h"

namespace rf
{

/* One netlink socket, for one request at a time, in the network namespace of the thread that makes it. Throws
 * RF_NETLINK. */
class Netlink
{
      public:
	/* name is for errors: "sock_diag", "rtnetlink". */
	Netlink(int protocol, std::string name);

	/* What the kernel said to one request. */
	struct Answer {
		int err = 0; /* positive errno of an error message */
		bool interrupted =
			false; /* the table changed while it was dumped: the list may lack or repeat entries */
	};

	/* Sends a whole message (header first) and hands over each message of the answer; for a dump until its end. */
	Answer Ask(const void *request, size_t size, const std::function<void(struct nlmsghdr *)> &each);

      private:
	std::string name_;
	Fd socket_;
	/* Dumps come in pieces of at most what the reader has room for, 32 KiB. */
	std::vector<uint8_t> buffer_ = std::vector<uint8_t>(64 << 10);
};

} // namespace rf
