// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "fault.h"

namespace rf
{

/* Owns a descriptor. */
class Fd
{
      public:
	Fd() = default;
	explicit Fd(int fd) : fd_(fd)
	{
	}
	Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1))
	{
	}
	Fd &operator=(Fd &&other) noexcept
	{
		if (this != &other) {
			Reset();
			fd_ = std::exchange(other.fd_, -1);
		}
		return *this;
	}
	~Fd()
	{
		Reset();
	}

	int get() const
	{
		return fd_;
	}
	bool valid() const
	{
		return fd_ >= 0;
	}
	void Reset()
	{
		if (fd_ >= 0)
			::close(fd_);
		fd_ = -1;
	}

	static Fd Duplicate(int fd, const std::string &what)
	{
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (copy < 0)
			throw Fault::Sys("RF_KERNEL", "duplicate the descriptor of " + what, errno, "fcntl");
		return Fd(copy);
	}

      private:
	int fd_ = -1;
};

} // namespace rf
