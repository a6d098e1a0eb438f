// SPDX-License-Identifier: Apache-2.0
#include "netns.h"

#include <sched.h>

#include <exception>
#include <system_error>
#include <thread>

#include "fd.h"

namespace rf
{

namespace
{

void OnThread(const std::function<void()> &fn)
{
	std::exception_ptr failure;
	try {
		std::thread thread([&] {
			try {
				fn();
			} catch (...) {
				failure = std::current_exception();
			}
		});
		thread.join();
	} catch (const std::system_error &error) {
		throw Fault::Sys("RF_NETNS", "start a thread for a network namespace", error.code().value(),
				 "pthread_create");
	}
	if (failure)
		std::rethrow_exception(failure);
}

} // namespace

void InNetns(const std::string &path, const std::function<void()> &fn)
{
	if (path.empty())
		return fn();
	OnThread([&] {
		Fd ns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
		if (!ns.valid())
			throw Fault::Sys("RF_NETNS", "open network namespace " + path, errno, "open")
				.With("netns", path);
		if (setns(ns.get(), CLONE_NEWNET) < 0)
			throw Fault::Sys("RF_NETNS", "enter network namespace " + path, errno, "setns")
				.With("netns", path);
		fn();
	});
}

void InFreshNetns(const std::function<void()> &fn)
{
	OnThread([&] {
		if (unshare(CLONE_NEWNET) < 0)
			throw Fault::Sys("RF_NETNS", "make a network namespace", errno, "unshare");
		fn();
	});
}

} // namespace rf
