// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "uapi.h"
#include "wrap.h"

namespace rf
{

/* A bpf_link by descriptor. */
class Link : public FdWrap<Link>
{
      public:
	static constexpr const char *kName = "link";
	static Napi::Function Define(Napi::Env env);
	static Napi::Value AttachTcx(const Napi::CallbackInfo &info);
	static Napi::Value AttachCgroup(const Napi::CallbackInfo &info);
	static Napi::Value FromPin(const Napi::CallbackInfo &info);
	static Napi::Value FromId(const Napi::CallbackInfo &info);
	explicit Link(const Napi::CallbackInfo &info);

      private:
	Napi::Value Info(const Napi::CallbackInfo &info);
	Napi::Value PinAt(const Napi::CallbackInfo &info);
	Napi::Value Update(const Napi::CallbackInfo &info);
	Napi::Value Detach(const Napi::CallbackInfo &info);
};

/* Opens a cgroup v2 directory; throws RF_NOT_FOUND, RF_ARGUMENT when it is something else. */
Fd OpenCgroup(const std::string &path);

/* link_query.cc: what is attached at an interface or a cgroup. */
Napi::Value QueryTcx(const Napi::CallbackInfo &info);
Napi::Value QueryCgroup(const Napi::CallbackInfo &info);

} // namespace rf
