// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "conntrack_message.h"
#include "fd.h"
#include "worker_thread.h"

namespace rf
{

struct ConntrackConfig {
	std::string netns;
	uint32_t receive_bytes; /* of the kernel's queue of events */
	uint32_t batch_records;
	uint32_t batches;
	uint32_t delay_ms; /* between the first event and the read that takes it with all that came meanwhile */
};

/* What goes to the receiver, in the order in which it happened. */
struct ConntrackMessage {
	enum Type : uint32_t {
		kBatch, /* records in a slot, which the receiver gives back */
		kLost,	/* the kernel's queue was full: events before this are missing */
		kDumped /* all of a dump was handed over; err is a positive errno, or 0 */
	};
	Type type;
	uint32_t slot;
	uint32_t records;
	uint64_t token;
	int err;
};

/*
 * The reader of conntrack's events, free of JavaScript: one thread, one socket that listens (NEW and DESTROY of
 * translated connections; others are filtered out in the kernel) and one for dumps. With no slot free it waits and
 * leaves events in the socket: the only place where any are lost is the kernel's queue, which says so.
 */
class ConntrackWorker
{
      public:
	using Emit = std::function<void(const ConntrackMessage &)>;

	/* Opens and subscribes; events are kept from now on. Throws RF_NETLINK, RF_NETNS. */
	explicit ConntrackWorker(const ConntrackConfig &config);
	~ConntrackWorker();
	ConntrackWorker(const ConntrackWorker &) = delete;
	ConntrackWorker &operator=(const ConntrackWorker &) = delete;

	/* emit is called on the thread; ended is its last act. Throws RF_NETLINK. */
	void Start(Emit emit, std::function<void()> ended);

	/* From any thread. */
	void Release(uint32_t slot);
	void RequestDump(uint64_t token);
	void RequestStop();
	void Join();

	ConntrackRecord *SlotRecords(uint32_t slot) const
	{
		return blocks_[slot].get();
	}
	std::shared_ptr<ConntrackRecord[]> BlockOf(uint32_t slot) const
	{
		return blocks_[slot];
	}
	size_t block_bytes() const
	{
		return config_.batch_records * sizeof(ConntrackRecord);
	}
	uint32_t batches() const
	{
		return config_.batches;
	}

	struct Counters {
		uint64_t records;
		uint64_t overruns;
		uint64_t passed_over; /* messages that are no translated connection */
	};
	Counters Count() const;

      private:
	void Run();
	void Subscribe();
	void DrainEvents();
	int Dump();
	void TakeMessages(const uint8_t *bytes, size_t size, bool dump, bool &done, int &err);
	void Put(const ConntrackRecord &record);
	void EmitFilled();
	bool TakeSlot();
	bool Sleep(int timeout_ms, bool hear_events);

	ConntrackConfig config_;
	Fd events_;
	Fd dumps_;
	WakeUp wake_{"RF_NETLINK"};
	std::vector<std::shared_ptr<ConntrackRecord[]>> blocks_;
	std::vector<uint8_t> buffer_ = std::vector<uint8_t>(64 << 10);
	WorkerThread thread_;
	Emit emit_;
	std::function<void()> ended_;
	std::atomic<bool> stop_{false};
	std::mutex mutex_; /* guards free_ and tokens_ */
	std::condition_variable freed_;
	std::vector<uint32_t> free_;
	std::vector<uint64_t> tokens_;
	int64_t filling_ = -1;
	uint32_t filled_ = 0;
	std::atomic<uint64_t> records_{0};
	std::atomic<uint64_t> overruns_{0};
	std::atomic<uint64_t> passed_over_{0};
};

} // namespace rf
