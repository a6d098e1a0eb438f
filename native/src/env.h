// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace rf
{

/* All state of one environment (main thread or worker). Freed by Node when the environment ends. There is no other
 * global. */
struct EnvState {
	Napi::FunctionReference error_class;
	Napi::FunctionReference object_class;
	Napi::FunctionReference map_class;
	Napi::FunctionReference program_class;
	Napi::FunctionReference link_class;
	Napi::FunctionReference ring_class;
	Napi::FunctionReference conntrack_class;
};

inline EnvState &State(Napi::Env env)
{
	return *env.GetInstanceData<EnvState>();
}

} // namespace rf
