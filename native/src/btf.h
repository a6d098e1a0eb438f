// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace rf
{

/* Structs, unions and enums of an object file or of the running kernel, as plain objects. */
Napi::Value ReadBtf(const Napi::CallbackInfo &info);

} // namespace rf
