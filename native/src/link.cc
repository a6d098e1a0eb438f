// SPDX-License-Identifier: Apache-2.0
#include "link.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/magic.h>

#include "args.h"
#include "netns.h"
#include "pin.h"
#include "program.h"

namespace rf
{

namespace
{

uapi::LinkInfo ReadInfo(int fd)
{
	uapi::LinkInfo info = {};
	uint32_t size = sizeof(info);
	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		throw Fault::Sys("RF_LINK", "read what link it is", errno, "bpf(BPF_OBJ_GET_INFO_BY_FD)");
	return info;
}

} // namespace

Napi::Function Link::Define(Napi::Env env)
{
	return DefineClass(env, "NativeLink",
			   {
				   Method<&Link::GetFd>("fd"),
				   Method<&Link::Close>("close"),
				   Method<&Link::Closed>("closed"),
				   Method<&Link::Info>("info"),
				   Method<&Link::PinAt>("pin"),
				   Method<&Link::Update>("update"),
				   Method<&Link::Detach>("detach"),
			   });
}

Link::Link(const Napi::CallbackInfo &info) : FdWrap(info, Take<Fd>(info))
{
}

Fd OpenCgroup(const std::string &path)
{
	Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!fd.valid()) {
		int err = errno;
		throw Fault::Sys(err == ENOENT ? "RF_NOT_FOUND" : "RF_KERNEL", "open cgroup " + path, err, "open")
			.With("cgroup", path);
	}
	if (!OnFileSystem(path, CGROUP2_SUPER_MAGIC))
		throw Fault("RF_ARGUMENT",
			    "Cannot use cgroup " + path + ": found another file system, wanted cgroup v2")
			.With("cgroup", path);
	return fd;
}

Napi::Value Link::AttachTcx(const Napi::CallbackInfo &info)
{
	int prog_fd = ArgI32(info, 0, "progFd");
	uint32_t ifindex = ArgU32(info, 1, "ifindex");
	uint32_t type = ArgU32(info, 2, "attachType");
	std::string order = ArgString(info, 3, "order");
	std::string netns = ArgString(info, 4, "netns");
	if (order != "head" && order != "tail")
		throw Fault("RF_ARGUMENT", "Cannot attach: found order " + order + ", wanted head or tail");
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	opts.flags = order == "head" ? uapi::kFlagBefore : 0;
	Fd link;
	InNetns(netns, [&] {
		link = Fd(
			bpf_link_create(prog_fd, static_cast<int>(ifindex), static_cast<bpf_attach_type>(type), &opts));
		if (!link.valid()) {
			int err = errno;
			throw Fault::Sys(err == ENODEV ? "RF_NOT_FOUND" : "RF_ATTACH",
					 "attach to interface " + std::to_string(ifindex), err, "bpf(BPF_LINK_CREATE)")
				.With("ifindex", ifindex)
				.With("attachType", type)
				.With("netns", netns);
		}
	});
	return Make(State(info.Env()).link_class, std::move(link));
}

Napi::Value Link::AttachCgroup(const Napi::CallbackInfo &info)
{
	int prog_fd = ArgI32(info, 0, "progFd");
	std::string path = ArgString(info, 1, "path");
	uint32_t type = ArgU32(info, 2, "attachType");
	Fd cgroup = OpenCgroup(path);
	Fd link(bpf_link_create(prog_fd, cgroup.get(), static_cast<bpf_attach_type>(type), nullptr));
	if (!link.valid())
		throw Fault::Sys("RF_ATTACH", "attach to cgroup " + path, errno, "bpf(BPF_LINK_CREATE)")
			.With("cgroup", path)
			.With("attachType", type);
	return Make(State(info.Env()).link_class, std::move(link));
}

Napi::Value Link::FromPin(const Napi::CallbackInfo &info)
{
	return Make(State(info.Env()).link_class, OpenPin(ArgString(info, 0, "path"), Kind::kLink));
}

Napi::Value Link::FromId(const Napi::CallbackInfo &info)
{
	return Make(State(info.Env()).link_class, OpenId(ArgU32(info, 0, "id"), Kind::kLink));
}

Napi::Value Link::Info(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	uapi::LinkInfo found = ReadInfo(Use());
	bool tcx = found.type == uapi::kLinkTcx;
	bool cgroup = found.type == uapi::kLinkCgroup;
	auto out = Napi::Object::New(env);
	out.Set("id", Num(env, found.id));
	out.Set("type", Num(env, found.type));
	out.Set("progId", Num(env, found.prog_id));
	out.Set("ifindex", Num(env, tcx ? found.tcx.ifindex : 0));
	out.Set("attachType", Num(env, tcx ? found.tcx.attach_type : cgroup ? found.cgroup.attach_type : 0));
	out.Set("cgroupId", U64(env, cgroup ? found.cgroup.cgroup_id : 0));
	return out;
}

Napi::Value Link::PinAt(const Napi::CallbackInfo &info)
{
	Pin(Use(), ArgString(info, 0, "path"));
	return info.Env().Undefined();
}

Napi::Value Link::Update(const Napi::CallbackInfo &info)
{
	int fd = Use();
	int new_fd = ArgI32(info, 0, "newFd");
	int expected_fd = ArgI32(info, 1, "expectedFd");
	LIBBPF_OPTS(bpf_link_update_opts, opts);
	if (expected_fd >= 0) {
		opts.flags = BPF_F_REPLACE;
		opts.old_prog_fd = static_cast<uint32_t>(expected_fd);
	}
	if (bpf_link_update(fd, new_fd, &opts) == 0)
		return info.Env().Undefined();
	int err = errno;
	/* EPERM is both "another program is there" and "you may not": only the link itself can tell. */
	if (expected_fd >= 0 && err == EPERM) {
		uint32_t there = ReadInfo(fd).prog_id;
		uint32_t expected = ProgramId(expected_fd);
		if (there != expected)
			throw Fault("RF_LINK_CHANGED", "Cannot update the link: found program " +
							       std::to_string(there) + " attached, wanted program " +
							       std::to_string(expected))
				.With("found", there)
				.With("expected", expected);
	}
	throw Fault::Sys("RF_LINK", "update the link", err, "bpf(BPF_LINK_UPDATE)");
}

Napi::Value Link::Detach(const Napi::CallbackInfo &info)
{
	if (bpf_link_detach(Use()) < 0)
		throw Fault::Sys("RF_LINK", "detach the link", errno, "bpf(BPF_LINK_DETACH)");
	return info.Env().Undefined();
}

} // namespace rf
