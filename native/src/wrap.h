// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

#include <memory>
#include <new>
#include <utility>

#include "env.h"
#include "fd.h"

namespace rf
{

/* Runs fn, turning what it throws into the NativeError of env. Every entry from JavaScript goes through here. */
template <typename Fn> auto Guard(Napi::Env env, Fn fn)
{
	try {
		return fn();
	} catch (const Fault &fault) {
		throw fault.ToJs(env);
	} catch (const std::bad_alloc &) {
		throw Fault("RF_KERNEL", "Cannot allocate memory: found none, wanted more").ToJs(env);
	}
}

template <Napi::Value (*Fn)(const Napi::CallbackInfo &)> Napi::Value GuardedFunction(const Napi::CallbackInfo &info)
{
	return Guard(info.Env(), [&] { return Fn(info); });
}

template <Napi::Value (*Fn)(const Napi::CallbackInfo &)>
void Export(Napi::Env env, Napi::Object exports, const char *name)
{
	exports.Set(name, Napi::Function::New<GuardedFunction<Fn>>(env, name));
}

/*
 * Base of every class that JavaScript sees. Instances are made by C++ only: the constructor takes an External with what
 * the object is to own, and refuses everything else, so that `new handle.constructor()` cannot make a half object.
 */
template <typename T> class Wrap : public Napi::ObjectWrap<T>
{
      public:
	explicit Wrap(const Napi::CallbackInfo &info) : Napi::ObjectWrap<T>(info)
	{
	}

	template <auto Fn> Napi::Value Guarded(const Napi::CallbackInfo &info)
	{
		return Guard(info.Env(), [&] { return (static_cast<T *>(this)->*Fn)(info); });
	}

	template <auto Fn> static Napi::ClassPropertyDescriptor<T> Method(const char *name)
	{
		typename Napi::ObjectWrap<T>::InstanceMethodCallback method = &Wrap<T>::template Guarded<Fn>;
		return Napi::ObjectWrap<T>::InstanceMethod(name, method);
	}

	template <typename Init> static Init Take(const Napi::CallbackInfo &info)
	{
		if (info.Length() != 1 || !info[0].IsExternal())
			throw Fault("RF_ARGUMENT", "Cannot construct a native handle: found a call from JavaScript, "
						   "wanted one of the functions that return it")
				.ToJs(info.Env());
		return std::move(*info[0].As<Napi::External<Init>>().Data());
	}

	template <typename Init> static Napi::Object Make(const Napi::FunctionReference &type, Init init)
	{
		return type.New({Napi::External<Init>::New(type.Env(), &init)});
	}
};

/* A kernel object held by one descriptor. Closing is idempotent; garbage collection closes what was forgotten. */
template <typename T> class FdWrap : public Wrap<T>
{
      public:
	FdWrap(const Napi::CallbackInfo &info, Fd fd) : Wrap<T>(info), fd_(std::move(fd))
	{
	}

	int Use() const
	{
		if (!fd_.valid())
			throw ClosedFault(T::kName);
		return fd_.get();
	}

	Napi::Value GetFd(const Napi::CallbackInfo &info)
	{
		return Napi::Number::New(info.Env(), Use());
	}

	Napi::Value Close(const Napi::CallbackInfo &info)
	{
		fd_.Reset();
		return info.Env().Undefined();
	}

	Napi::Value Closed(const Napi::CallbackInfo &info)
	{
		return Napi::Boolean::New(info.Env(), !fd_.valid());
	}

      private:
	Fd fd_;
};

} // namespace rf
