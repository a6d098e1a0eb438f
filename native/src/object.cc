// SPDX-License-Identifier: Apache-2.0
#include "object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include <cstring>

#include "args.h"
#include "libbpf_log.h"
#include "map.h"
#include "pin.h"
#include "program.h"

namespace rf
{

namespace
{

constexpr int kTailLines = 6;

Fault OpenFault(const std::string &what, int err, const LibbpfLog &log)
{
	Fault fault = Fault::Sys(err == ENOENT ? "RF_NOT_FOUND" : "RF_BPF_OPEN", "open BPF object " + what, err,
				 "bpf_object__open");
	std::string tail = LogTail(log.text(), kTailLines);
	if (!tail.empty())
		fault.Hint(":\n" + tail);
	fault.With("object", what).Log(log.text());
	return fault;
}

/* The text between two markers of libbpf's report; the last such block. */
std::string Between(const std::string &text, const char *begin, const char *end)
{
	size_t start = text.rfind(begin);
	if (start == std::string::npos)
		return "";
	start += strlen(begin);
	size_t stop = text.find(end, start);
	return text.substr(start, stop == std::string::npos ? stop : stop - start);
}

/*
 * libbpf tells which program failed only in words: "prog 'name': BPF program load failed: ..." and the verifier's log
 * between two marker lines (the same in 1.1 to 1.5). Should the words change, the whole report still is in the log.
 */
Fault LoadFault(const std::string &object, int err, const std::string &report)
{
	std::string verifier = Between(report, "-- BEGIN PROG LOAD LOG --\n", "-- END PROG LOAD LOG --");
	std::string program;
	size_t failed = report.find("': BPF program load failed");
	if (failed != std::string::npos) {
		size_t quote = report.rfind('\'', failed - 1);
		if (quote != std::string::npos)
			program = report.substr(quote + 1, failed - quote - 1);
	}
	bool by_verifier = !verifier.empty();
	std::string what = by_verifier || !program.empty() ? "load program " + program + " of object " + object
							   : "load object " + object;
	Fault fault = Fault::Sys(by_verifier ? "RF_BPF_VERIFIER" : "RF_BPF_LOAD", what, err,
				 by_verifier ? "bpf(BPF_PROG_LOAD)" : "bpf_object__load");
	std::string tail = LogTail(by_verifier ? verifier : report, kTailLines);
	if (!tail.empty())
		fault.Hint(", the end of the log is:\n" + tail);
	fault.With("object", object).Log(by_verifier ? verifier : report);
	if (!program.empty())
		fault.With("program", program);
	return fault;
}

} // namespace

Napi::Function Object::Define(Napi::Env env)
{
	return DefineClass(env, "NativeObject",
			   {
				   Method<&Object::Programs>("programs"),
				   Method<&Object::Maps>("maps"),
				   Method<&Object::Variables>("variables"),
				   Method<&Object::InitialValue>("initialValue"),
				   Method<&Object::SetInitialValue>("setInitialValue"),
				   Method<&Object::SetMaxEntries>("setMaxEntries"),
				   Method<&Object::SetInnerMap>("setInnerMap"),
				   Method<&Object::ReuseMap>("reuseMap"),
				   Method<&Object::SetAutoload>("setAutoload"),
				   Method<&Object::SetProgramType>("setProgramType"),
				   Method<&Object::Load>("load"),
				   Method<&Object::GetMap>("map"),
				   Method<&Object::GetProgram>("program"),
				   Method<&Object::Close>("close"),
				   Method<&Object::Closed>("closed"),
			   });
}

Object::Object(const Napi::CallbackInfo &info) : Wrap(info), init_(Take<ObjectInit>(info))
{
}

Napi::Value Object::OpenFile(const Napi::CallbackInfo &info)
{
	std::string path = ArgString(info, 0, "path");
	std::string name = ArgString(info, 1, "name");
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	if (!name.empty())
		opts.object_name = name.c_str();
	LibbpfLog log;
	ObjectInit init;
	init.object.reset(bpf_object__open_file(path.c_str(), &opts));
	if (!init.object)
		throw OpenFault(path, errno, log);
	return Make(rf::State(info.Env()).object_class, std::move(init));
}

Napi::Value Object::OpenBuffer(const Napi::CallbackInfo &info)
{
	Bytes bytes = ArgBytes(info, 0, "bytes");
	std::string name = ArgString(info, 1, "name");
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	opts.object_name = name.c_str();
	LibbpfLog log;
	ObjectInit init;
	init.bytes.assign(bytes.data, bytes.data + bytes.size);
	init.object.reset(bpf_object__open_mem(init.bytes.data(), init.bytes.size(), &opts));
	if (!init.object)
		throw OpenFault("buffer " + name, errno, log);
	return Make(rf::State(info.Env()).object_class, std::move(init));
}

bpf_object *Object::Use() const
{
	if (!init_.object)
		throw ClosedFault(kName);
	return init_.object.get();
}

bpf_object *Object::UseBefore(const char *action) const
{
	bpf_object *object = Use();
	if (state_ != State::kOpen)
		throw Fault("RF_STATE", std::string("Cannot ") + action + " of object " + bpf_object__name(object) +
						": found it " +
						(state_ == State::kLoaded ? "loaded" : "after a failed load") +
						", wanted it before load()");
	return object;
}

bpf_object *Object::UseLoaded(const char *action) const
{
	bpf_object *object = Use();
	if (state_ != State::kLoaded)
		throw Fault("RF_STATE", std::string("Cannot ") + action + " of object " + bpf_object__name(object) +
						": found it not loaded, wanted it after load()");
	return object;
}

bpf_map *Object::FindMap(const std::string &name) const
{
	bpf_map *map = bpf_object__find_map_by_name(Use(), name.c_str());
	if (!map)
		throw Fault("RF_NOT_FOUND", "Cannot find map " + name + ": found none of that name in object " +
						    bpf_object__name(Use()) + ", wanted one")
			.With("map", name);
	return map;
}

bpf_program *Object::FindProgram(const std::string &name) const
{
	bpf_program *program = bpf_object__find_program_by_name(Use(), name.c_str());
	if (!program)
		throw Fault("RF_NOT_FOUND", "Cannot find program " + name + ": found none of that name in object " +
						    bpf_object__name(Use()) + ", wanted one")
			.With("program", name);
	return program;
}

Napi::Value Object::Programs(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	bpf_object *object = Use();
	auto list = Napi::Array::New(env);
	bpf_program *program;
	bpf_object__for_each_program(program, object)
	{
		auto item = Napi::Object::New(env);
		item.Set("name", bpf_program__name(program));
		item.Set("section", bpf_program__section_name(program));
		item.Set("type", Num(env, bpf_program__type(program)));
		item.Set("expectedAttachType", Num(env, bpf_program__expected_attach_type(program)));
		item.Set("autoload", Napi::Boolean::New(env, bpf_program__autoload(program)));
		list.Set(list.Length(), item);
	}
	return list;
}

Napi::Value Object::Maps(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	bpf_object *object = Use();
	auto list = Napi::Array::New(env);
	bpf_map *map;
	bpf_object__for_each_map(map, object)
	{
		auto item = Napi::Object::New(env);
		item.Set("name", bpf_map__name(map));
		item.Set("type", Num(env, bpf_map__type(map)));
		item.Set("keySize", Num(env, bpf_map__key_size(map)));
		item.Set("valueSize", Num(env, bpf_map__value_size(map)));
		item.Set("maxEntries", Num(env, bpf_map__max_entries(map)));
		item.Set("flags", Num(env, bpf_map__map_flags(map)));
		item.Set("internal", Napi::Boolean::New(env, bpf_map__is_internal(map)));
		list.Set(list.Length(), item);
	}
	return list;
}

Napi::Value Object::Variables(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	auto list = Napi::Array::New(env);
	struct btf *btf = bpf_object__btf(Use());
	if (!btf)
		return list;
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *section = btf__type_by_id(btf, id);
		if (!btf_is_datasec(section))
			continue;
		const char *section_name = btf__name_by_offset(btf, section->name_off);
		/* .maps, .kconfig and .ksyms are descriptions, not memory that can be set. */
		bool data = strncmp(section_name, ".rodata", 7) == 0 || strncmp(section_name, ".data", 5) == 0 ||
			    strncmp(section_name, ".bss", 4) == 0;
		if (!data)
			continue;
		const struct btf_var_secinfo *var = btf_var_secinfos(section);
		for (int i = 0; i < btf_vlen(section); i++, var++) {
			const struct btf_type *type = btf__type_by_id(btf, var->type);
			auto item = Napi::Object::New(env);
			item.Set("name", btf__name_by_offset(btf, type->name_off));
			item.Set("section", section_name);
			item.Set("offset", Num(env, var->offset));
			item.Set("size", Num(env, var->size));
			list.Set(list.Length(), item);
		}
	}
	return list;
}

Napi::Value Object::InitialValue(const Napi::CallbackInfo &info)
{
	size_t size = 0;
	std::string section = ArgString(info, 0, "section");
	/* After load the memory is the kernel's (or frozen): reading it would not show what was set. */
	UseBefore("read initial data");
	const void *data = bpf_map__initial_value(FindMap(section), &size);
	if (!data)
		throw Fault("RF_ARGUMENT",
			    "Cannot read section " + section + ": found an ordinary map, wanted a data section");
	return CopyOut(info.Env(), data, size);
}

Napi::Value Object::SetInitialValue(const Napi::CallbackInfo &info)
{
	std::string section = ArgString(info, 0, "section");
	UseBefore("set initial data");
	bpf_map *map = FindMap(section);
	size_t size = 0;
	if (!bpf_map__initial_value(map, &size))
		throw Fault("RF_ARGUMENT",
			    "Cannot set section " + section + ": found an ordinary map, wanted a data section");
	Bytes bytes = ArgBytes(info, 1, "bytes", size);
	int err = bpf_map__set_initial_value(map, bytes.data, bytes.size);
	if (err)
		throw Fault::Sys("RF_BPF_OPEN", "set section " + section, -err, "bpf_map__set_initial_value");
	return info.Env().Undefined();
}

Napi::Value Object::SetMaxEntries(const Napi::CallbackInfo &info)
{
	std::string name = ArgString(info, 0, "map");
	uint32_t entries = ArgU32(info, 1, "maxEntries");
	UseBefore("size a map");
	int err = bpf_map__set_max_entries(FindMap(name), entries);
	if (err)
		throw Fault::Sys("RF_STATE", "size map " + name, -err, "bpf_map__set_max_entries");
	return info.Env().Undefined();
}

Napi::Value Object::SetInnerMap(const Napi::CallbackInfo &info)
{
	std::string name = ArgString(info, 0, "map");
	int fd = ArgI32(info, 1, "fd");
	UseBefore("set an inner map");
	bpf_map *map = FindMap(name);
	Fd copy = Fd::Duplicate(fd, "inner map template of " + name);
	CheckKind(copy.get(), Kind::kMap, "inner map template of " + name);
	int err = bpf_map__set_inner_map_fd(map, copy.get());
	if (err)
		throw Fault::Sys("RF_ARGUMENT", "set the inner map of " + name, -err, "bpf_map__set_inner_map_fd")
			.Hint("; wanted a map of maps without a template from earlier");
	templates_.push_back(std::move(copy));
	return info.Env().Undefined();
}

Napi::Value Object::ReuseMap(const Napi::CallbackInfo &info)
{
	std::string name = ArgString(info, 0, "map");
	int fd = ArgI32(info, 1, "fd");
	UseBefore("reuse a map");
	bpf_map *map = FindMap(name);
	struct bpf_map_info found = {};
	uint32_t size = sizeof(found);
	if (bpf_obj_get_info_by_fd(fd, &found, &size) < 0)
		throw Fault::Sys("RF_ARGUMENT", "reuse a map for " + name, errno, "bpf(BPF_OBJ_GET_INFO_BY_FD)");
	if (found.type != bpf_map__type(map) || found.key_size != bpf_map__key_size(map) ||
	    found.value_size != bpf_map__value_size(map)) {
		auto shape = [](uint32_t type, uint32_t key, uint32_t value) {
			return "type " + std::to_string(type) + ", key " + std::to_string(key) + ", value " +
			       std::to_string(value);
		};
		throw Fault("RF_ARGUMENT",
			    "Cannot reuse a map for " + name + ": found " +
				    shape(found.type, found.key_size, found.value_size) + ", wanted " +
				    shape(bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map)))
			.With("map", name);
	}
	int err = bpf_map__reuse_fd(map, fd);
	if (err)
		throw Fault::Sys("RF_BPF_LOAD", "reuse a map for " + name, -err, "bpf_map__reuse_fd");
	return info.Env().Undefined();
}

Napi::Value Object::SetAutoload(const Napi::CallbackInfo &info)
{
	std::string name = ArgString(info, 0, "program");
	bool autoload = ArgBool(info, 1, "autoload");
	UseBefore("set autoload");
	int err = bpf_program__set_autoload(FindProgram(name), autoload);
	if (err)
		throw Fault::Sys("RF_STATE", "set autoload of " + name, -err, "bpf_program__set_autoload");
	return info.Env().Undefined();
}

Napi::Value Object::SetProgramType(const Napi::CallbackInfo &info)
{
	std::string name = ArgString(info, 0, "program");
	uint32_t type = ArgU32(info, 1, "type");
	int32_t attach = ArgI32(info, 2, "expectedAttachType");
	UseBefore("set a program type");
	bpf_program *program = FindProgram(name);
	int err = bpf_program__set_type(program, static_cast<bpf_prog_type>(type));
	if (!err && attach >= 0)
		err = bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(attach));
	if (err)
		throw Fault::Sys("RF_ARGUMENT", "set the type of program " + name, -err, "bpf_program__set_type");
	return info.Env().Undefined();
}

Napi::Value Object::Load(const Napi::CallbackInfo &info)
{
	bpf_object *object = UseBefore("load the programs");
	LibbpfLog log;
	int err = bpf_object__load(object);
	templates_.clear();
	if (err) {
		state_ = State::kFailed;
		throw LoadFault(bpf_object__name(object), -err, log.text());
	}
	state_ = State::kLoaded;
	return info.Env().Undefined();
}

Napi::Value Object::GetMap(const Napi::CallbackInfo &info)
{
	std::string name = ArgString(info, 0, "name");
	UseLoaded("take a map");
	return Make(rf::State(info.Env()).map_class, Fd::Duplicate(bpf_map__fd(FindMap(name)), "map " + name));
}

Napi::Value Object::GetProgram(const Napi::CallbackInfo &info)
{
	std::string name = ArgString(info, 0, "name");
	UseLoaded("take a program");
	int fd = bpf_program__fd(FindProgram(name));
	if (fd < 0)
		throw Fault("RF_STATE", "Cannot take program " + name + ": found it not loaded, wanted autoload on")
			.With("program", name);
	return Make(rf::State(info.Env()).program_class, Fd::Duplicate(fd, "program " + name));
}

Napi::Value Object::Close(const Napi::CallbackInfo &info)
{
	init_.object.reset();
	init_.bytes.clear();
	templates_.clear();
	return info.Env().Undefined();
}

Napi::Value Object::Closed(const Napi::CallbackInfo &info)
{
	return Napi::Boolean::New(info.Env(), !init_.object);
}

} // namespace rf
