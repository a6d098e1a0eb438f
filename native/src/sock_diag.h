// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace rf
{

/* Closes the local socket of one connection through sock_diag. */
Napi::Value DestroySocket(const Napi::CallbackInfo &info);

/* The same for many of one network namespace; one that cannot be closed does not keep the others open. */
Napi::Value DestroySockets(const Napi::CallbackInfo &info);

} // namespace rf
