// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace rf
{

/* Interfaces of this process's network namespace and where their other ends are. */
Napi::Value ListInterfaces(const Napi::CallbackInfo &info);
Napi::Value NetnsIdOfProcess(const Napi::CallbackInfo &info);

} // namespace rf
