// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/bpf.h>

#include <cstdint>

#include "args.h"
#include "wrap.h"

namespace rf
{

/* A map by descriptor. Sizes are read once: they cannot change. */
class Map : public FdWrap<Map>
{
      public:
	static constexpr const char *kName = "map";
	static Napi::Function Define(Napi::Env env);
	static Napi::Value Create(const Napi::CallbackInfo &info);
	static Napi::Value FromPin(const Napi::CallbackInfo &info);
	static Napi::Value FromId(const Napi::CallbackInfo &info);
	explicit Map(const Napi::CallbackInfo &info);

      private:
	Napi::Value Info(const Napi::CallbackInfo &info);
	Napi::Value Lookup(const Napi::CallbackInfo &info);
	Napi::Value Update(const Napi::CallbackInfo &info);
	Napi::Value Delete(const Napi::CallbackInfo &info);
	Napi::Value SetInner(const Napi::CallbackInfo &info);
	Napi::Value PinAt(const Napi::CallbackInfo &info);
	Napi::Value Freeze(const Napi::CallbackInfo &info);

	/* map_batch.cc */
	Napi::Value UpdateBatch(const Napi::CallbackInfo &info);
	Napi::Value DeleteBatch(const Napi::CallbackInfo &info);

	/* map_dump.cc */
	Napi::Value Dump(const Napi::CallbackInfo &info);

	std::string Name() const;
	/* Packed keys: a whole number of them. Returns how many. */
	size_t CountKeys(Bytes keys) const;
	bool IsMapOfMaps() const;

	struct bpf_map_info info_ = {};
	size_t stride_ = 0; /* bytes of one value in user space, all CPUs */
};

/* CPUs the kernel may have; throws RF_KERNEL. */
uint32_t PossibleCpus();

} // namespace rf
