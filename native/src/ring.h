// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_map>

#include "ring_worker.h"
#include "wrap.h"

namespace rf
{

/*
 * The JavaScript side of a RingWorker. Batches cross in a ThreadSafeFunction, one call each, in order; the end of the
 * thread releases it, and its finaliser (after the last call) resolves close(). All N-API references live and die on
 * the JavaScript thread. When the environment ends first (a worker is terminated), a cleanup hook stops and joins the
 * thread before Node tears the function down.
 */
class Ring : public Wrap<Ring>
{
      public:
	static constexpr const char *kName = "ring consumer";
	static Napi::Function Define(Napi::Env env);
	static Napi::Value Create(const Napi::CallbackInfo &info);
	explicit Ring(const Napi::CallbackInfo &info);
	~Ring();

      private:
	struct Message;
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
	Napi::Value Close(const Napi::CallbackInfo &info);

	void Start(Napi::Env env, Napi::Function on_batch);
	void UseRunning() const;
	void Deliver(Napi::Env env, Napi::Function on_batch, RingBatch batch);
	void Ended(Napi::Env env);
	Napi::ArrayBuffer BufferOf(Napi::Env env, Slot &slot, RingBatch batch);

	static void CallJs(napi_env env, napi_value on_batch, void *context, void *data);
	static void Finalize(napi_env env, void *data, void *context);
	static void EnvEnds(void *data);

	std::unique_ptr<RingWorker> worker_;
	napi_threadsafe_function function_ = nullptr;
	std::vector<std::vector<Slot>> slots_;
	std::vector<uint64_t> delivered_;
	std::unordered_map<uint64_t, Napi::Promise::Deferred> flushes_;
	uint64_t next_token_ = 1;
	std::unique_ptr<Napi::Promise::Deferred> closing_;
	bool gone_ = false; /* the thread's: the function refused a message and must not be touched again */
	bool stopping_ = false;
	bool ended_ = false;
	bool env_ends_ = false;
};

} // namespace rf
