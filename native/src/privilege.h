// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace rf
{

/* Giving up privileges for good. */
Napi::Value ExecBounded(const Napi::CallbackInfo &info);

} // namespace rf
