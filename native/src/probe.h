// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace rf
{

/* Tries one feature of the kernel for real and takes everything back. */
Napi::Value ProbeFeature(const Napi::CallbackInfo &info);

} // namespace rf
