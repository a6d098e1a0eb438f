// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace rf
{

/* Small questions to the kernel that Node has no call for. */
Napi::Value GetPossibleCpus(const Napi::CallbackInfo &info);
Napi::Value CgroupId(const Napi::CallbackInfo &info);
Napi::Value NetnsCookie(const Napi::CallbackInfo &info);
Napi::Value InterfaceIndex(const Napi::CallbackInfo &info);
Napi::Value EnsureBpffs(const Napi::CallbackInfo &info);
Napi::Value Unpin(const Napi::CallbackInfo &info);
Napi::Value ReadClocks(const Napi::CallbackInfo &info);
Napi::Value EffectiveCapabilities(const Napi::CallbackInfo &info);

} // namespace rf
