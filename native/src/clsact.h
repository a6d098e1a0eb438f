// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace rf
{

/* Legacy TC: the clsact qdisc and BPF filters in it, through libbpf's netlink. */
Napi::Value ClsactAttach(const Napi::CallbackInfo &info);
Napi::Value ClsactDetach(const Napi::CallbackInfo &info);
Napi::Value ClsactQuery(const Napi::CallbackInfo &info);
Napi::Value ClsactRemoveQdisc(const Napi::CallbackInfo &info);

} // namespace rf
