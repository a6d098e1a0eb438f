// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_map>
#include <vector>

#include "conntrack_worker.h"
#include "thread_wrap.h"

namespace rf
{

/* The JavaScript side of a ConntrackWorker. A batch belongs to the handler until it returns. */
class Conntrack : public ThreadWrap<Conntrack, ConntrackWorker, ConntrackMessage>
{
      public:
	static constexpr const char *kName = "conntrack reader";
	static Napi::Function Define(Napi::Env env);
	static Napi::Value Create(const Napi::CallbackInfo &info);
	explicit Conntrack(const Napi::CallbackInfo &info);

      private:
	friend ThreadWrap;

	Napi::Value Dump(const Napi::CallbackInfo &info);
	Napi::Value Counters(const Napi::CallbackInfo &info);

	void Start(Napi::Env env, Napi::Function on_message);
	void Deliver(Napi::Env env, Napi::Function on_message, const ConntrackMessage &message);
	void Undelivered(const ConntrackMessage &message);
	void Ended(Napi::Env env);

	std::vector<Napi::Reference<Napi::ArrayBuffer>> buffers_;
	std::unordered_map<uint64_t, Napi::Promise::Deferred> dumps_;
	uint64_t next_token_ = 1;
};

} // namespace rf
