// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_map>

#include "ring_worker.h"
#include "thread_wrap.h"

namespace rf
{

/* What crosses from the thread: a batch, or (token not 0) the answer to a flush. */
struct RingMessage {
	RingBatch batch;
	uint64_t token;
};

/* The JavaScript side of a RingWorker. */
class Ring : public ThreadWrap<Ring, RingWorker, RingMessage>
{
      public:
	static constexpr const char *kName = "ring consumer";
	static Napi::Function Define(Napi::Env env);
	static Napi::Value Create(const Napi::CallbackInfo &info);
	explicit Ring(const Napi::CallbackInfo &info);

      private:
	friend ThreadWrap;
	/* ArrayBuffer over a slot's block, made at its first delivery and reused. */
	struct Slot {
		Napi::Reference<Napi::ArrayBuffer> buffer;
		bool out = false;
	};

	Napi::Value Release(const Napi::CallbackInfo &info);
	Napi::Value Counters(const Napi::CallbackInfo &info);
	Napi::Value Pause(const Napi::CallbackInfo &info);
	Napi::Value Resume(const Napi::CallbackInfo &info);
	Napi::Value Flush(const Napi::CallbackInfo &info);

	void Start(Napi::Env env, Napi::Function on_batch);
	void Deliver(Napi::Env env, Napi::Function on_batch, const RingMessage &message);
	void Undelivered(const RingMessage &message);
	void Ended(Napi::Env env);
	Napi::ArrayBuffer BufferOf(Napi::Env env, Slot &slot, RingBatch batch);

	std::vector<std::vector<Slot>> slots_;
	std::vector<uint64_t> delivered_;
	std::unordered_map<uint64_t, Napi::Promise::Deferred> flushes_;
	uint64_t next_token_ = 1;
};

} // namespace rf
