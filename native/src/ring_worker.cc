// SPDX-License-Identifier: Apache-2.0
#include "ring_worker.h"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstring>

namespace rf
{

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

RingWorker::RingWorker(const RingConfig &config) : config_(config), epoll_(epoll_create1(EPOLL_CLOEXEC))
{
	if (!epoll_.valid())
		throw Fault::Sys("RF_RING", "prepare to consume rings", errno, "epoll_create1");
	for (const auto &descriptors : config.lanes) {
		auto lane = std::make_unique<Lane>();
		for (int fd : descriptors) {
			lane->rings.emplace_back(fd);
			/* Edge-triggered: a level would end every sleep while records wait, which is what the timer is
			 * for. */
			struct epoll_event event = {};
			event.events = EPOLLIN | EPOLLET;
			if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, lane->rings.back().fd(), &event) < 0)
				throw Fault::Sys("RF_RING", "watch a ring", errno, "epoll_ctl");
		}
		lane->blocks.resize(config.batches_per_lane);
		/* Last in, first out: few warm blocks do the work of a quiet host, the rest are never touched. */
		for (uint32_t slot = config.batches_per_lane; slot-- > 0;)
			lane->free.push_back(slot);
		if (config.fold && config.fold_lane == lanes_.size())
			lane->fold = std::make_unique<RecordFold>(*config.fold);
		lanes_.push_back(std::move(lane));
	}
}

RingWorker::~RingWorker()
{
	if (thread_.running()) {
		RequestStop();
		Join();
	}
}

void RingWorker::Start(Emit emit, Flushed flushed, std::function<void()> ended)
{
	emit_ = std::move(emit);
	flushed_ = std::move(flushed);
	ended_ = std::move(ended);
	thread_.Start("rf-rings", "RF_RING", [this] { Run(); });
}

void RingWorker::Release(uint32_t lane, uint32_t slot)
{
	std::lock_guard<std::mutex> lock(lanes_[lane]->mutex);
	lanes_[lane]->free.push_back(slot);
}

void RingWorker::SetPaused(bool paused)
{
	paused_.store(paused);
	wake_.Poke();
}

void RingWorker::RequestFlush(uint64_t token)
{
	{
		std::lock_guard<std::mutex> lock(flush_mutex_);
		flush_tokens_.push_back(token);
	}
	wake_.Poke();
}

void RingWorker::RequestStop()
{
	stop_.store(true);
	wake_.Poke();
}

void RingWorker::Join()
{
	thread_.Join();
}

RingWorker::Counters RingWorker::Count(uint32_t index) const
{
	const Lane &lane = *lanes_[index];
	uint64_t malformed = lane.malformed.load(std::memory_order_acquire);
	uint64_t dropped = lane.dropped.load(std::memory_order_acquire) + lane.lost.load(std::memory_order_acquire);
	uint64_t folded = lane.folded.load(std::memory_order_acquire);
	return {lane.consumed.load(std::memory_order_acquire), dropped, malformed, folded};
}

void RingWorker::CountLost(RingBatch batch)
{
	lanes_[batch.lane]->lost.fetch_add(batch.records, std::memory_order_release);
}

Block RingWorker::BlockOf(uint32_t lane, uint32_t slot) const
{
	return lanes_[lane]->blocks[slot];
}

/* Memory is taken when a slot is first used; none left is like no slot left. */
bool RingWorker::HaveBlock(Lane &lane, uint32_t slot)
{
	try {
		if (!lane.blocks[slot])
			lane.blocks[slot] = Block(new uint8_t[block_bytes()]);
		return true;
	} catch (const std::bad_alloc &) {
		return false;
	}
}

void RingWorker::Take(Lane &lane, uint32_t index, const uint8_t *data, uint32_t size, bool &no_slot)
{
	Add(lane.consumed);
	if (size != config_.record_bytes) {
		Add(lane.dropped);
		Add(lane.malformed);
		return;
	}
	if (!lane.fold) {
		Append(lane, index, data, no_slot);
		return;
	}
	uint32_t folded = lane.fold->Take(data, [&](const uint8_t *record) { Append(lane, index, record, no_slot); });
	if (folded > 0)
		Add(lane.folded, folded);
}

void RingWorker::Append(Lane &lane, uint32_t index, const uint8_t *data, bool &no_slot)
{
	if (lane.filling < 0 && !no_slot) {
		std::lock_guard<std::mutex> lock(lane.mutex);
		if (!lane.free.empty() && HaveBlock(lane, lane.free.back())) {
			lane.filling = lane.free.back();
			lane.free.pop_back();
		}
	}
	if (lane.filling < 0) {
		/* Asked once per drain: the lock is not for every record of a flood. */
		no_slot = true;
		Add(lane.dropped);
		return;
	}
	if (lane.filled == 0)
		lane.first_at = Clock::now();
	memcpy(lane.blocks[static_cast<size_t>(lane.filling)].get() +
		       static_cast<size_t>(lane.filled) * config_.record_bytes,
	       data, config_.record_bytes);
	if (++lane.filled == config_.batch_records)
		EmitFilled(index);
}

void RingWorker::EmitFilled(uint32_t index)
{
	Lane &lane = *lanes_[index];
	RingBatch batch = {index, static_cast<uint32_t>(lane.filling), lane.filled};
	lane.filling = -1;
	lane.filled = 0;
	lane.emitted_at = Clock::now();
	emit_(batch);
}

/* Whether any record was there. */
bool RingWorker::DrainAll()
{
	bool found = false;
	for (uint32_t index = 0; index < lanes_.size(); index++) {
		Lane &lane = *lanes_[index];
		for (RingReader &ring : lane.rings) {
			bool no_slot = false;
			/* Up to where producers are now: a fast producer cannot keep us from the other rings. */
			ring.Drain(ring.ProducerPosition(), [&](const uint8_t *data, uint32_t size) {
				found = true;
				Take(lane, index, data, size, no_slot);
			});
		}
	}
	return found;
}

/* For one more held record, which can wait: a quarter of the slots, one at least, is left for those that cannot. */
bool RingWorker::HasRoom(Lane &lane)
{
	if (lane.filling >= 0)
		return true;
	std::lock_guard<std::mutex> lock(lane.mutex);
	return lane.free.size() > std::max(1u, config_.batches_per_lane / 4);
}

/* Begins a round where one is due (or everywhere) and goes on with those under way; whether any has to wait for slots.
 */
bool RingWorker::HandOverHeld(Clock::time_point now, bool all, bool stop)
{
	bool waits = false;
	for (uint32_t index = 0; index < lanes_.size(); index++) {
		Lane &lane = *lanes_[index];
		if (!lane.fold)
			continue;
		RecordFold &fold = *lane.fold;
		if (all || now - lane.handed_over_at >= milliseconds(config_.fold->max_held_ms)) {
			fold.Begin();
			lane.handed_over_at = now;
		}
		bool no_slot = false;
		while (fold.due() > 0 && (stop || HasRoom(lane)))
			Append(lane, index, fold.Next(), no_slot);
		waits = waits || fold.due() > 0;
	}
	return waits;
}

/*
 * A half-full batch goes when it is old; and sooner when nothing more comes just now and none went for as long: what a
 * quiet host tells is told at once, with all that belongs to it. But not the last one: a receiver that stands still
 * would soon hold nothing but such batches, and lose records while there is room for many. It grows instead until a
 * slot is free again.
 */
bool RingWorker::MayGo(Lane &lane, Clock::time_point now, bool quiet)
{
	const Clock::duration delay = milliseconds(config_.max_delay_ms);
	if (now - lane.first_at < delay && !(quiet && now - lane.emitted_at >= delay))
		return false;
	std::lock_guard<std::mutex> lock(lane.mutex);
	return !lane.free.empty();
}

void RingWorker::EmitDue(Clock::time_point now, bool quiet, bool all)
{
	for (uint32_t index = 0; index < lanes_.size(); index++) {
		Lane &lane = *lanes_[index];
		if (lane.filled > 0 && (all || MayGo(lane, now, quiet)))
			EmitFilled(index);
	}
}

RingWorker::Clock::duration RingWorker::UntilDue(Clock::time_point now) const
{
	Clock::duration least = Clock::duration::max();
	for (const auto &lane : lanes_) {
		if (lane->filled > 0)
			least = std::min(least, lane->first_at + milliseconds(config_.max_delay_ms) - now);
		if (lane->fold && lane->fold->due() > 0)
			least = Clock::duration::zero();
		else if (lane->fold && lane->fold->held() > 0)
			least = std::min(least, lane->handed_over_at + milliseconds(config_.fold->max_held_ms) - now);
	}
	/* Overdue ones wait for a slot, which is looked for as often as the rings. */
	return std::max<Clock::duration>(least, microseconds(config_.drain_interval_us));
}

/* Whether a ring's wake-up ended it. */
bool RingWorker::Sleep(Clock::duration time, bool hear_rings)
{
	struct pollfd watched[2] = {{wake_.fd(), POLLIN, 0}, {epoll_.get(), POLLIN, 0}};
	auto ns = duration_cast<nanoseconds>(time).count();
	struct timespec timeout = {static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
	if (ppoll(watched, hear_rings ? 2 : 1, time == Clock::duration::max() ? nullptr : &timeout, nullptr) <= 0)
		return false;
	if (watched[0].revents)
		wake_.Take();
	if (!hear_rings || !watched[1].revents)
		return false;
	/* Takes the edges, so that the next sleep ends at the next wake-up. */
	struct epoll_event events[64];
	while (epoll_wait(epoll_.get(), events, 64, 0) == 64) {
	}
	return true;
}

void RingWorker::Run()
{
	const Clock::duration busy = microseconds(config_.drain_interval_us);
	const Clock::duration longest = std::max<Clock::duration>(busy, milliseconds(config_.max_idle_ms));
	Clock::duration interval = busy;
	bool woken = false;
	/* Asked to flush, and what they wait for waits for slots. */
	std::vector<uint64_t> waiting;
	for (;;) {
		/* Read before the drain: what was committed before stop or flush was asked is in it. */
		bool stop = stop_.load();
		bool asked = false;
		{
			std::lock_guard<std::mutex> lock(flush_mutex_);
			asked = !flush_tokens_.empty();
			waiting.insert(waiting.end(), flush_tokens_.begin(), flush_tokens_.end());
			flush_tokens_.clear();
		}
		bool paused = paused_.load();
		bool found = (!paused || stop) && DrainAll();
		bool held_back = HandOverHeld(Clock::now(), stop || asked, stop);
		EmitDue(Clock::now(), !found, stop || paused || !waiting.empty());
		if (!held_back) {
			for (uint64_t token : waiting)
				flushed_(token);
			waiting.clear();
		}
		if (stop)
			break;
		if (paused) {
			Sleep(waiting.empty() ? Clock::duration::max() : busy, false);
			continue;
		}
		interval = found ? busy : std::min(interval * 2, longest);
		bool may_hear = !(found && woken);
		woken = Sleep(std::min(interval, UntilDue(Clock::now())), may_hear);
	}
	ended_();
}

} // namespace rf
