// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wrap.h"

namespace rf
{

/* A program by descriptor. */
class Program : public FdWrap<Program>
{
      public:
	static constexpr const char *kName = "program";
	static Napi::Function Define(Napi::Env env);
	static Napi::Value FromPin(const Napi::CallbackInfo &info);
	static Napi::Value FromId(const Napi::CallbackInfo &info);
	explicit Program(const Napi::CallbackInfo &info);

      private:
	Napi::Value Info(const Napi::CallbackInfo &info);
	Napi::Value PinAt(const Napi::CallbackInfo &info);
	Napi::Value TestRun(const Napi::CallbackInfo &info);

	/* iter.cc */
	Napi::Value Iterate(const Napi::CallbackInfo &info);
};

/* Kernel id of a program descriptor; throws RF_QUERY. */
uint32_t ProgramId(int fd);

} // namespace rf
