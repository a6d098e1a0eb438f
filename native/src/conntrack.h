// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "conntrack_worker.h"
#include "wrap.h"

namespace rf
{

/*
 * The JavaScript side of a ConntrackWorker. Lives as Ring does: messages cross in a ThreadSafeFunction, in order; the
 * thread's end releases it and its finaliser resolves close(); an environment that ends first stops and joins the
 * thread in a cleanup hook. A batch belongs to the handler until it returns.
 */
class Conntrack : public Wrap<Conntrack>
{
      public:
	static constexpr const char *kName = "conntrack reader";
	static Napi::Function Define(Napi::Env env);
	static Napi::Value Create(const Napi::CallbackInfo &info);
	explicit Conntrack(const Napi::CallbackInfo &info);
	~Conntrack();

      private:
	Napi::Value Dump(const Napi::CallbackInfo &info);
	Napi::Value Counters(const Napi::CallbackInfo &info);
	Napi::Value Close(const Napi::CallbackInfo &info);

	void Start(Napi::Env env, Napi::Function on_message);
	void Deliver(Napi::Env env, Napi::Function on_message, const ConntrackMessage &message);
	void Ended(Napi::Env env);

	static void CallJs(napi_env env, napi_value on_message, void *context, void *data);
	static void Finalize(napi_env env, void *data, void *context);
	static void EnvEnds(void *data);

	std::unique_ptr<ConntrackWorker> worker_;
	napi_threadsafe_function function_ = nullptr;
	std::vector<Napi::Reference<Napi::ArrayBuffer>> buffers_;
	std::unordered_map<uint64_t, Napi::Promise::Deferred> dumps_;
	uint64_t next_token_ = 1;
	std::unique_ptr<Napi::Promise::Deferred> closing_;
	bool gone_ = false; /* the thread's: the function refused a message and must not be touched again */
	bool stopping_ = false;
	bool ended_ = false;
	bool env_ends_ = false;
};

} // namespace rf
