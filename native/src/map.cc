// SPDX-License-Identifier: Apache-2.0
#include "map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <vector>

#include "pin.h"

namespace rf
{

namespace
{

bool IsPerCpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

bool NoRoom(int err)
{
	return err == E2BIG || err == ENOMEM || err == ENOSPC;
}

} // namespace

uint32_t PossibleCpus()
{
	int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		throw Fault::Sys("RF_KERNEL", "count possible CPUs", -cpus, "read(/sys/devices/system/cpu/possible)");
	return static_cast<uint32_t>(cpus);
}

Napi::Function Map::Define(Napi::Env env)
{
	return DefineClass(env, "NativeMap",
			   {
				   Method<&Map::GetFd>("fd"),
				   Method<&Map::Close>("close"),
				   Method<&Map::Closed>("closed"),
				   Method<&Map::Info>("info"),
				   Method<&Map::Lookup>("lookup"),
				   Method<&Map::Update>("update"),
				   Method<&Map::Delete>("delete"),
				   Method<&Map::SetInner>("setInner"),
				   Method<&Map::UpdateBatch>("updateBatch"),
				   Method<&Map::DeleteBatch>("deleteBatch"),
				   Method<&Map::Dump>("dump"),
				   Method<&Map::PinAt>("pin"),
				   Method<&Map::Freeze>("freeze"),
			   });
}

Map::Map(const Napi::CallbackInfo &info) : FdWrap(info, Take<Fd>(info))
{
	Guard(info.Env(), [&] {
		uint32_t size = sizeof(info_);
		if (bpf_obj_get_info_by_fd(Use(), &info_, &size) < 0)
			throw Fault::Sys("RF_MAP_ACCESS", "read what map it is", errno, "bpf(BPF_OBJ_GET_INFO_BY_FD)");
		stride_ = info_.value_size;
		if (IsPerCpu(info_.type))
			stride_ = (stride_ + 7) / 8 * 8 * PossibleCpus();
	});
}

Napi::Value Map::Create(const Napi::CallbackInfo &info)
{
	auto type = static_cast<bpf_map_type>(ArgU32(info, 0, "type"));
	std::string name = ArgString(info, 1, "name").substr(0, BPF_OBJ_NAME_LEN - 1);
	uint32_t key_size = ArgU32(info, 2, "keySize");
	uint32_t value_size = ArgU32(info, 3, "valueSize");
	uint32_t max_entries = ArgU32(info, 4, "maxEntries");
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	opts.map_flags = ArgU32(info, 5, "flags");
	int32_t inner = ArgI32(info, 6, "innerFd");
	if (inner >= 0)
		opts.inner_map_fd = static_cast<uint32_t>(inner);
	Fd fd(bpf_map_create(type, name.empty() ? nullptr : name.c_str(), key_size, value_size, max_entries, &opts));
	if (!fd.valid())
		throw Fault::Sys("RF_MAP_CREATE", "create map " + name, errno, "bpf(BPF_MAP_CREATE)")
			.With("name", name)
			.With("type", type)
			.With("keySize", key_size)
			.With("valueSize", value_size)
			.With("maxEntries", max_entries);
	return Make(State(info.Env()).map_class, std::move(fd));
}

Napi::Value Map::FromPin(const Napi::CallbackInfo &info)
{
	return Make(State(info.Env()).map_class, OpenPin(ArgString(info, 0, "path"), Kind::kMap));
}

Napi::Value Map::FromId(const Napi::CallbackInfo &info)
{
	return Make(State(info.Env()).map_class, OpenId(ArgU32(info, 0, "id"), Kind::kMap));
}

std::string Map::Name() const
{
	return info_.name[0] ? info_.name : "id " + std::to_string(info_.id);
}

bool Map::IsMapOfMaps() const
{
	return info_.type == BPF_MAP_TYPE_ARRAY_OF_MAPS || info_.type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

size_t Map::CountKeys(Bytes keys) const
{
	if (info_.key_size == 0)
		throw Fault("RF_ARGUMENT",
			    "Cannot use keys with map " + Name() + ": found a map without keys, wanted one with");
	if (keys.size % info_.key_size != 0)
		throw Fault("RF_ARGUMENT", "Cannot use argument keys with map " + Name() + ": found " +
						   std::to_string(keys.size) + " bytes, wanted a multiple of " +
						   std::to_string(info_.key_size));
	return keys.size / info_.key_size;
}

Napi::Value Map::Info(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	Use();
	auto out = Napi::Object::New(env);
	out.Set("id", Num(env, info_.id));
	out.Set("type", Num(env, info_.type));
	out.Set("name", info_.name);
	out.Set("keySize", Num(env, info_.key_size));
	out.Set("valueSize", Num(env, info_.value_size));
	out.Set("valueStride", Num(env, static_cast<double>(stride_)));
	out.Set("maxEntries", Num(env, info_.max_entries));
	out.Set("flags", Num(env, info_.map_flags));
	return out;
}

Napi::Value Map::Lookup(const Napi::CallbackInfo &info)
{
	int fd = Use();
	Bytes key = ArgBytes(info, 0, "key", info_.key_size);
	auto value = Napi::Uint8Array::New(info.Env(), stride_);
	if (bpf_map_lookup_elem(fd, key.data, value.Data()) == 0)
		return value;
	if (errno == ENOENT)
		return info.Env().Undefined();
	throw Fault::Sys("RF_MAP_ACCESS", "look up in map " + Name(), errno, "bpf(BPF_MAP_LOOKUP_ELEM)")
		.With("map", Name());
}

Napi::Value Map::Update(const Napi::CallbackInfo &info)
{
	int fd = Use();
	Bytes key = ArgBytes(info, 0, "key", info_.key_size);
	Bytes value = ArgBytes(info, 1, "value", stride_);
	uint32_t flags = ArgU32(info, 2, "flags");
	if (bpf_map_update_elem(fd, key.data, value.data, flags) == 0)
		return info.Env().Undefined();
	throw Fault::Sys(NoRoom(errno) ? "RF_MAP_FULL" : "RF_MAP_ACCESS", "update map " + Name(), errno,
			 "bpf(BPF_MAP_UPDATE_ELEM)")
		.With("map", Name())
		.With("maxEntries", info_.max_entries);
}

Napi::Value Map::Delete(const Napi::CallbackInfo &info)
{
	int fd = Use();
	Bytes key = ArgBytes(info, 0, "key", info_.key_size);
	if (bpf_map_delete_elem(fd, key.data) == 0)
		return Napi::Boolean::New(info.Env(), true);
	if (errno == ENOENT)
		return Napi::Boolean::New(info.Env(), false);
	throw Fault::Sys("RF_MAP_ACCESS", "delete from map " + Name(), errno, "bpf(BPF_MAP_DELETE_ELEM)")
		.With("map", Name());
}

Napi::Value Map::SetInner(const Napi::CallbackInfo &info)
{
	int fd = Use();
	Bytes key = ArgBytes(info, 0, "key", info_.key_size);
	int32_t inner = ArgI32(info, 1, "fd");
	if (!IsMapOfMaps())
		throw Fault("RF_ARGUMENT",
			    "Cannot set an inner map of " + Name() + ": found an ordinary map, wanted a map of maps");
	if (bpf_map_update_elem(fd, key.data, &inner, BPF_ANY) < 0)
		throw Fault::Sys(NoRoom(errno) ? "RF_MAP_FULL" : "RF_MAP_ACCESS", "set an inner map of " + Name(),
				 errno, "bpf(BPF_MAP_UPDATE_ELEM)")
			.With("map", Name());
	return info.Env().Undefined();
}

Napi::Value Map::PinAt(const Napi::CallbackInfo &info)
{
	Pin(Use(), ArgString(info, 0, "path"));
	return info.Env().Undefined();
}

Napi::Value Map::Freeze(const Napi::CallbackInfo &info)
{
	if (bpf_map_freeze(Use()) < 0)
		throw Fault::Sys("RF_MAP_ACCESS", "freeze map " + Name(), errno, "bpf(BPF_MAP_FREEZE)");
	return info.Env().Undefined();
}

} // namespace rf
