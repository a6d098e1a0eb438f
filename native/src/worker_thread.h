// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <utility>

#include "fault.h"
#include "fd.h"

namespace rf
{

/* For a counter with one writer: no locked instruction per record. */
inline void Add(std::atomic<uint64_t> &counter, uint64_t count = 1)
{
	counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_release);
}

/* One thread with a name. Its owner tells it to end and joins it before it dies. */
class WorkerThread
{
      public:
	/* Signals are for Node's main thread: this one gets none. Throws a fault of this code. */
	template <typename Run> void Start(const char *name, const char *code, Run run)
	{
		sigset_t all, before;
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		try {
			thread_ = std::thread(std::move(run));
		} catch (const std::system_error &error) {
			pthread_sigmask(SIG_SETMASK, &before, nullptr);
			throw Fault::Sys(code, std::string("start the thread ") + name, error.code().value(),
					 "pthread_create");
		}
		pthread_sigmask(SIG_SETMASK, &before, nullptr);
		pthread_setname_np(thread_.native_handle(), name);
	}

	bool running() const
	{
		return thread_.joinable();
	}

	void Join()
	{
		if (thread_.joinable())
			thread_.join();
	}

      private:
	std::thread thread_;
};

/* Ends a thread's poll() from any other. */
class WakeUp
{
      public:
	explicit WakeUp(const char *code) : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
	{
		if (!fd_.valid())
			throw Fault::Sys(code, "prepare a thread", errno, "eventfd");
	}

	/* For poll(). */
	int fd() const
	{
		return fd_.get();
	}

	void Poke()
	{
		uint64_t one = 1;
		/* Fails only when the counter is full, that is when a wake-up is due anyway. */
		[[maybe_unused]] ssize_t written = write(fd_.get(), &one, sizeof(one));
	}

	/* After poll() said so: the next one waits again. */
	void Take()
	{
		uint64_t count;
		[[maybe_unused]] ssize_t got = read(fd_.get(), &count, sizeof(count));
	}

      private:
	Fd fd_;
};

} // namespace rf
