// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cstdio>
#include <vector>

#include "args.h"
#include "netns.h"
#include "pin.h"

namespace rf
{

namespace
{

/* Largest packet or context that the kernel takes in or gives back is far below this. */
constexpr uint32_t kMostOutput = 16 << 20;

struct bpf_prog_info ReadInfo(int fd, std::vector<uint32_t> *map_ids)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &size);
	if (err == 0 && map_ids) {
		map_ids->resize(info.nr_map_ids);
		struct bpf_prog_info again = {};
		again.nr_map_ids = static_cast<uint32_t>(map_ids->size());
		again.map_ids = reinterpret_cast<uint64_t>(map_ids->data());
		size = sizeof(again);
		err = bpf_obj_get_info_by_fd(fd, &again, &size);
		info = again;
	}
	if (err < 0)
		throw Fault::Sys("RF_QUERY", "read what program it is", errno, "bpf(BPF_OBJ_GET_INFO_BY_FD)");
	return info;
}

} // namespace

uint32_t ProgramId(int fd)
{
	return ReadInfo(fd, nullptr).id;
}

Napi::Function Program::Define(Napi::Env env)
{
	return DefineClass(env, "NativeProgram",
			   {
				   Method<&Program::GetFd>("fd"),
				   Method<&Program::Close>("close"),
				   Method<&Program::Closed>("closed"),
				   Method<&Program::Info>("info"),
				   Method<&Program::PinAt>("pin"),
				   Method<&Program::TestRun>("testRun"),
				   Method<&Program::Iterate>("iterate"),
			   });
}

Program::Program(const Napi::CallbackInfo &info) : FdWrap(info, Take<Fd>(info))
{
}

Napi::Value Program::FromPin(const Napi::CallbackInfo &info)
{
	return Make(State(info.Env()).program_class, OpenPin(ArgString(info, 0, "path"), Kind::kProgram));
}

Napi::Value Program::FromId(const Napi::CallbackInfo &info)
{
	return Make(State(info.Env()).program_class, OpenId(ArgU32(info, 0, "id"), Kind::kProgram));
}

Napi::Value Program::Info(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	std::vector<uint32_t> map_ids;
	struct bpf_prog_info found = ReadInfo(Use(), &map_ids);
	char tag[2 * BPF_TAG_SIZE + 1];
	for (int i = 0; i < BPF_TAG_SIZE; i++)
		snprintf(tag + 2 * i, 3, "%02x", found.tag[i]);
	auto ids = Napi::Array::New(env, map_ids.size());
	for (uint32_t i = 0; i < map_ids.size(); i++)
		ids.Set(i, Num(env, map_ids[i]));
	auto out = Napi::Object::New(env);
	out.Set("id", Num(env, found.id));
	out.Set("type", Num(env, found.type));
	out.Set("name", found.name);
	out.Set("tag", tag);
	out.Set("mapIds", ids);
	out.Set("loadedAtNs", U64(env, found.load_time));
	out.Set("runTimeNs", U64(env, found.run_time_ns));
	out.Set("runCount", U64(env, found.run_cnt));
	out.Set("recursionMisses", U64(env, found.recursion_misses));
	return out;
}

Napi::Value Program::PinAt(const Napi::CallbackInfo &info)
{
	Pin(Use(), ArgString(info, 0, "path"));
	return info.Env().Undefined();
}

Napi::Value Program::TestRun(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	int fd = Use();
	Bytes data = ArgBytes(info, 0, "data");
	uint32_t data_out_size = ArgU32(info, 1, "dataOutBytes");
	Bytes context = ArgBytes(info, 2, "context");
	uint32_t repeat = ArgU32(info, 3, "repeat");
	uint32_t flags = ArgU32(info, 4, "flags");
	std::string netns = ArgString(info, 5, "netns");
	if (data_out_size > kMostOutput || data.size > kMostOutput || context.size > kMostOutput || repeat > INT32_MAX)
		throw Fault("RF_ARGUMENT",
			    "Cannot run a program: found a size or repeat count beyond reason, wanted buffers up to "
			    "16 MiB and repeat up to 2147483647");
	std::vector<uint8_t> data_out(data_out_size);
	std::vector<uint8_t> context_out(context.size);
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	/* Null where there is nothing: an empty vector or array may have any pointer, which the kernel would refuse. */
	opts.data_in = data.size ? data.data : nullptr;
	opts.data_size_in = static_cast<uint32_t>(data.size);
	opts.data_out = data_out.empty() ? nullptr : data_out.data();
	opts.data_size_out = data_out_size;
	opts.ctx_in = context.size ? context.data : nullptr;
	opts.ctx_size_in = static_cast<uint32_t>(context.size);
	opts.ctx_out = context.size ? context_out.data() : nullptr;
	opts.ctx_size_out = static_cast<uint32_t>(context.size);
	opts.repeat = static_cast<int>(repeat);
	opts.flags = flags;
	InNetns(netns, [&] {
		if (bpf_prog_test_run_opts(fd, &opts) < 0)
			throw Fault::Sys("RF_BPF_TEST_RUN", "test-run a program", errno, "bpf(BPF_PROG_TEST_RUN)")
				.With("dataBytes", static_cast<double>(data.size))
				.With("dataOutBytes", data_out_size)
				.With("contextBytes", static_cast<double>(context.size));
	});
	auto out = Napi::Object::New(env);
	out.Set("retval", Num(env, opts.retval));
	out.Set("durationNs", Num(env, opts.duration));
	out.Set("data", CopyOut(env, data_out.data(), std::min<size_t>(opts.data_size_out, data_out.size())));
	out.Set("context", CopyOut(env, context_out.data(), std::min<size_t>(opts.ctx_size_out, context_out.size())));
	return out;
}

} // namespace rf
