// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include "wrap.h"

namespace rf
{

/*
 * The JavaScript side of a Worker that runs one thread and sends Messages, each of them one call of JavaScript, in
 * order. All N-API references live and die on the JavaScript thread. Life:
 *
 *   runs     from Begin(); the object is held, whether or not JavaScript still has it
 *   stops    close() or the environment's end asked the thread to end; what it sends until then is still delivered
 *   ended    the thread's last act released the thread-safe function, whose finaliser runs after the last call, joins
 * the thread and resolves close()
 *
 * When the environment ends first (process.exit, a worker terminated), a cleanup hook stops and joins the thread before
 * Node tears the function down, while everything the thread uses still lives.
 *
 * Of T, a class derived from this one: kName; Deliver(env, function, message), on the JavaScript thread, may throw
 * Napi::Error; Undelivered(message), on any thread: nobody will see it; Ended(env), after the last Deliver, not when
 * the environment goes. Of Worker: RequestStop() from any thread, Join() from one.
 */
template <typename T, typename Worker, typename Message> class ThreadWrap : public Wrap<T>
{
      public:
	/* Promises the end of the thread. Idempotent. */
	Napi::Value Close(const Napi::CallbackInfo &info)
	{
		auto deferred = Napi::Promise::Deferred::New(info.Env());
		if (ended_) {
			deferred.Resolve(info.Env().Undefined());
			return deferred.Promise();
		}
		if (closing_)
			return closing_->Promise();
		closing_ = std::make_unique<Napi::Promise::Deferred>(deferred);
		stopping_ = true;
		worker_->RequestStop();
		return deferred.Promise();
	}

      protected:
	explicit ThreadWrap(const Napi::CallbackInfo &info)
	    : Wrap<T>(info), worker_(Wrap<T>::template Take<std::unique_ptr<Worker>>(info))
	{
	}

	/*
	 * Starts the thread by start(send, ended): send(message) is for the thread, ended() its last act. Throws a
	 * fault of this code when there is no thread-safe function, and what start throws.
	 */
	template <typename Start>
	void Begin(Napi::Env env, Napi::Function on_message, const char *resource, const char *code, Start start)
	{
		napi_threadsafe_function function;
		/* A queue without limit: what bounds it are the worker's own slots. */
		napi_status status =
			napi_create_threadsafe_function(env, on_message, nullptr, Napi::String::New(env, resource), 0,
							1, nullptr, Finalize, this, CallJs, &function);
		if (status != napi_ok)
			throw Fault(code, std::string("Cannot start the ") + T::kName +
						  ": found no thread-safe function, wanted one");
		auto send = [this, function](const Message &message) {
			auto copy = std::make_unique<Message>(message);
			if (!gone_ &&
			    napi_call_threadsafe_function(function, copy.get(), napi_tsfn_nonblocking) == napi_ok) {
				copy.release();
				return;
			}
			gone_ = true;
			Self().Undelivered(message);
		};
		auto ended = [this, function] {
			if (!gone_)
				napi_release_threadsafe_function(function, napi_tsfn_release);
		};
		this->Ref();
		try {
			start(send, ended);
		} catch (...) {
			stopping_ = true;
			napi_release_threadsafe_function(function, napi_tsfn_abort);
			throw;
		}
		napi_add_env_cleanup_hook(env, EnvEnds, this);
	}

	Worker &worker() const
	{
		return *worker_;
	}

	/* Throws RF_CLOSED once it stops. */
	void UseRunning() const
	{
		if (stopping_)
			throw ClosedFault(T::kName);
	}

      private:
	T &Self()
	{
		return static_cast<T &>(*this);
	}

	static void CallJs(napi_env raw_env, napi_value on_message, void *context, void *data)
	{
		std::unique_ptr<Message> message(static_cast<Message *>(data));
		T &self = static_cast<ThreadWrap *>(context)->Self();
		/* No environment: the queue is being emptied at its end. */
		if (!raw_env) {
			self.Undelivered(*message);
			return;
		}
		Napi::Env env(raw_env);
		Napi::HandleScope scope(env);
		try {
			self.Deliver(env, Napi::Function(env, on_message), *message);
		} catch (const Napi::Error &error) {
			/* As from an event handler: the process decides. */
			napi_fatal_exception(raw_env, error.Value());
		}
	}

	/* Hooks run last added first: the thread is gone before Node closes the thread-safe function, made earlier. */
	static void EnvEnds(void *data)
	{
		auto *wrap = static_cast<ThreadWrap *>(data);
		wrap->stopping_ = true;
		wrap->env_ends_ = true;
		wrap->worker_->RequestStop();
		wrap->worker_->Join();
	}

	static void Finalize(napi_env raw_env, void *, void *context)
	{
		auto *wrap = static_cast<ThreadWrap *>(context);
		wrap->worker_->Join();
		if (wrap->ended_)
			return;
		wrap->ended_ = true;
		/* No promise can be resolved any more, and references go with the environment. */
		if (wrap->env_ends_)
			return;
		Napi::Env env(raw_env);
		napi_remove_env_cleanup_hook(env, EnvEnds, wrap);
		Napi::HandleScope scope(env);
		wrap->Self().Ended(env);
		if (wrap->closing_)
			wrap->closing_->Resolve(env.Undefined());
		wrap->Unref();
	}

	std::unique_ptr<Worker> worker_;
	std::unique_ptr<Napi::Promise::Deferred> closing_;
	bool gone_ = false; /* the thread's: the function refused a message and must not be touched again */
	bool stopping_ = false;
	bool ended_ = false;
	bool env_ends_ = false;
};

} // namespace rf
