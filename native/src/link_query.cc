// SPDX-License-Identifier: Apache-2.0
#include <linux/bpf.h>
#include <sys/syscall.h>

#include <cstddef>
#include <vector>

#include "args.h"
#include "link.h"
#include "netns.h"

namespace rf
{

namespace
{

constexpr uint32_t kFirstRoom = 64;
constexpr uint32_t kMostRoom = 1 << 16;

struct Attached {
	std::vector<uint32_t> programs;
	std::vector<uint32_t> links;
	uint64_t revision = 0;
};

/* with_links asks for what came with 6.6; older kernels refuse the longer struct. */
int Ask(uint32_t target, uint32_t type, uint32_t flags, bool with_links, Attached &out)
{
	for (uint32_t room = kFirstRoom; room <= kMostRoom; room *= 4) {
		out.programs.assign(room, 0);
		out.links.assign(room, 0);
		uapi::ProgQuery query = {};
		query.target = target;
		query.attach_type = type;
		query.query_flags = flags;
		query.prog_ids = reinterpret_cast<uint64_t>(out.programs.data());
		query.count = room;
		if (with_links)
			query.link_ids = reinterpret_cast<uint64_t>(out.links.data());
		size_t size = with_links ? sizeof(query) : offsetof(uapi::ProgQuery, link_ids);
		if (syscall(__NR_bpf, uapi::kProgQuery, &query, size) == 0) {
			out.programs.resize(query.count);
			out.revision = query.revision;
			return 0;
		}
		if (errno != ENOSPC)
			return errno;
	}
	return ENOSPC;
}

Napi::Value Result(Napi::Env env, const Attached &found)
{
	auto programs = Napi::Array::New(env, found.programs.size());
	for (uint32_t i = 0; i < found.programs.size(); i++) {
		auto item = Napi::Object::New(env);
		item.Set("progId", Num(env, found.programs[i]));
		item.Set("linkId", Num(env, found.links[i]));
		programs.Set(i, item);
	}
	auto out = Napi::Object::New(env);
	out.Set("programs", programs);
	/* A place that counts starts at 1. */
	out.Set("revision", found.revision ? U64(env, found.revision) : env.Undefined());
	return out;
}

} // namespace

Napi::Value QueryTcx(const Napi::CallbackInfo &info)
{
	uint32_t ifindex = ArgU32(info, 0, "ifindex");
	uint32_t type = ArgU32(info, 1, "attachType");
	std::string netns = ArgString(info, 2, "netns");
	Attached found;
	InNetns(netns, [&] {
		int err = Ask(ifindex, type, 0, true, found);
		/* The kernel answers ENOENT where nothing was ever attached. */
		if (err == ENOENT)
			found = {};
		else if (err)
			throw Fault::Sys(err == ENODEV ? "RF_NOT_FOUND" : "RF_QUERY",
					 "query interface " + std::to_string(ifindex), err, "bpf(BPF_PROG_QUERY)")
				.With("ifindex", ifindex)
				.With("netns", netns);
	});
	return Result(info.Env(), found);
}

Napi::Value QueryCgroup(const Napi::CallbackInfo &info)
{
	std::string path = ArgString(info, 0, "path");
	uint32_t type = ArgU32(info, 1, "attachType");
	uint32_t flags = ArgBool(info, 2, "effective") ? BPF_F_QUERY_EFFECTIVE : 0;
	Fd cgroup = OpenCgroup(path);
	Attached found;
	int err = Ask(static_cast<uint32_t>(cgroup.get()), type, flags, true, found);
	if (err == E2BIG || err == EINVAL)
		err = Ask(static_cast<uint32_t>(cgroup.get()), type, flags, false, found);
	if (err)
		throw Fault::Sys("RF_QUERY", "query cgroup " + path, err, "bpf(BPF_PROG_QUERY)").With("cgroup", path);
	return Result(info.Env(), found);
}

} // namespace rf
