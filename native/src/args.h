// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "fault.h"

namespace rf
{

/* Memory of a JavaScript Uint8Array: valid only until the call returns. */
struct Bytes {
	uint8_t *data;
	size_t size;
};

/* Arguments of the call. Each throws RF_ARGUMENT, naming the argument, when the type or range is wrong: nothing is
 * coerced. */
std::string ArgString(const Napi::CallbackInfo &info, size_t index, const char *name);
bool ArgBool(const Napi::CallbackInfo &info, size_t index, const char *name);
uint32_t ArgU32(const Napi::CallbackInfo &info, size_t index, const char *name);
int32_t ArgI32(const Napi::CallbackInfo &info, size_t index, const char *name);
Bytes ArgBytes(const Napi::CallbackInfo &info, size_t index, const char *name);
/* Of exactly size bytes. */
Bytes ArgBytes(const Napi::CallbackInfo &info, size_t index, const char *name, size_t size);

uint32_t ToU32(Napi::Value value, const char *name);

/* A Uint8Array over fresh memory holding a copy. */
Napi::Uint8Array CopyOut(Napi::Env env, const void *data, size_t size);

inline Napi::Value Num(Napi::Env env, double value)
{
	return Napi::Number::New(env, value);
}

inline Napi::Value U64(Napi::Env env, uint64_t value)
{
	return Napi::BigInt::New(env, value);
}

} // namespace rf
