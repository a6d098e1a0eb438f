// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "record_fold.h"
#include "ring_reader.h"
#include "worker_thread.h"

namespace rf
{

/* Memory of one batch. Shared with the ArrayBuffer over it: whoever lets go last frees it. */
using Block = std::shared_ptr<uint8_t[]>;

struct RingConfig {
	std::vector<std::vector<int>> lanes; /* descriptors of ring buffers */
	uint32_t record_bytes;
	uint32_t batch_records;
	uint32_t batches_per_lane;
	uint32_t drain_interval_us;
	uint32_t max_delay_ms;
	uint32_t max_idle_ms;
	std::optional<FoldConfig> fold; /* of one lane */
	uint32_t fold_lane;
};

struct RingBatch {
	uint32_t lane;
	uint32_t slot;
	uint32_t records;
};

/*
 * The consumer thread, free of JavaScript. A slot of a lane is in exactly one of three hands: the free list, the thread
 * (at most one per lane, being filled), or the receiver (from emit until Release). Only the thread writes into a slot,
 * and only while it holds it. No slot free: the record is consumed and counted as dropped, so that one slow receiver
 * never stops the kernel's rings, and one lane never takes another's slots.
 *
 * States of the thread's sleep:
 *   busy  the last drain found records: sleeps drain_interval_us; a producer's wake-up (byte threshold) ends the sleep
 * early, but at most every second time, so that a producer that wakes on every record cannot make it spin idle  nothing
 * found: the sleep doubles up to max_idle_ms; any wake-up ends it held  paused: sleeps until told otherwise
 */
class RingWorker
{
      public:
	using Emit = std::function<void(RingBatch)>;
	using Flushed = std::function<void(uint64_t token)>;

	/* Throws RF_RING, RF_ARGUMENT; nothing runs yet. */
	explicit RingWorker(const RingConfig &config);
	~RingWorker();
	RingWorker(const RingWorker &) = delete;
	RingWorker &operator=(const RingWorker &) = delete;

	/* Starts the thread; emit and flushed are called on it. ended is its last act. Throws RF_RING. */
	void Start(Emit emit, Flushed flushed, std::function<void()> ended);

	/* From any thread. */
	void Release(uint32_t lane, uint32_t slot);
	void SetPaused(bool paused);
	void RequestFlush(uint64_t token);
	/* Drain once more, emit the rest, end. What a fold holds beyond the slots that are free then counts as dropped.
	 */
	void RequestStop();
	void Join();

	uint32_t lanes() const
	{
		return static_cast<uint32_t>(lanes_.size());
	}
	uint32_t batches_per_lane() const
	{
		return config_.batches_per_lane;
	}
	size_t block_bytes() const
	{
		return static_cast<size_t>(config_.record_bytes) * config_.batch_records;
	}

	struct Counters {
		uint64_t consumed;
		uint64_t dropped;
		uint64_t malformed;
		uint64_t folded;
	};
	Counters Count(uint32_t lane) const;
	/* A batch that could not be handed over after all: its records count as dropped. */
	void CountLost(RingBatch batch);

	/* Memory of a slot that the caller holds. */
	Block BlockOf(uint32_t lane, uint32_t slot) const;

      private:
	using Clock = std::chrono::steady_clock;

	struct Lane {
		std::vector<RingReader> rings;
		std::vector<Block> blocks;
		std::mutex mutex; /* guards free */
		std::vector<uint32_t> free;
		/* The thread's: */
		int64_t filling = -1; /* slot, -1 none */
		uint32_t filled = 0;
		Clock::time_point first_at;
		Clock::time_point emitted_at;
		std::unique_ptr<RecordFold> fold;
		Clock::time_point handed_over_at; /* when the fold's last round began */
		/* Written by the thread alone, consumed before dropped; read in the other order, so that no count is
		 * ahead. */
		std::atomic<uint64_t> consumed{0};
		std::atomic<uint64_t> dropped{0};
		std::atomic<uint64_t> malformed{0};
		std::atomic<uint64_t> folded{0};
		/* Emitted, but the receiver was gone. */
		std::atomic<uint64_t> lost{0};
	};

	void Run();
	bool DrainAll();
	bool HaveBlock(Lane &lane, uint32_t slot);
	void Take(Lane &lane, uint32_t index, const uint8_t *data, uint32_t size, bool &no_slot);
	void Append(Lane &lane, uint32_t index, const uint8_t *data, bool &no_slot);
	bool HasRoom(Lane &lane);
	bool HandOverHeld(Clock::time_point now, bool all, bool stop);
	void EmitFilled(uint32_t index);
	bool MayGo(Lane &lane, Clock::time_point now, bool quiet);
	void EmitDue(Clock::time_point now, bool quiet, bool all);
	Clock::duration UntilDue(Clock::time_point now) const;
	bool Sleep(Clock::duration time, bool hear_rings);

	RingConfig config_;
	std::vector<std::unique_ptr<Lane>> lanes_;
	Fd epoll_;
	WakeUp wake_{"RF_RING"};
	WorkerThread thread_;
	Emit emit_;
	Flushed flushed_;
	std::function<void()> ended_;
	std::atomic<bool> stop_{false};
	std::atomic<bool> paused_{false};
	std::mutex flush_mutex_;
	std::vector<uint64_t> flush_tokens_;
};

} // namespace rf
