// SPDX-License-Identifier: Apache-2.0
#include "clsact.h"

#include <bpf/libbpf.h>

#include "args.h"
#include "libbpf_log.h"
#include "netns.h"

namespace rf
{

namespace
{

struct Place {
	uint32_t ifindex;
	bool ingress;
	std::string netns;
	uint32_t priority;
	uint32_t handle;

	/* ifindex, ingress, netns, priority, handle from argument first on. */
	Place(const Napi::CallbackInfo &info, size_t first)
	    : ifindex(ArgU32(info, first, "ifindex")), ingress(ArgBool(info, first + 1, "ingress")),
	      netns(ArgString(info, first + 2, "netns")), priority(ArgU32(info, first + 3, "priority")),
	      handle(ArgU32(info, first + 4, "handle"))
	{
		if (priority < 1 || priority > 65535 || handle < 1)
			throw Fault("RF_ARGUMENT", "Cannot name a TC filter: found priority " +
							   std::to_string(priority) + " and handle " +
							   std::to_string(handle) +
							   ", wanted a priority from 1 to 65535 and a handle above 0");
	}
};

Fault TcFault(const char *action, uint32_t ifindex, int err, const char *call, const LibbpfLog &log)
{
	Fault fault = Fault::Sys(err == ENODEV ? "RF_NOT_FOUND" : "RF_ATTACH",
				 std::string(action) + " at interface " + std::to_string(ifindex), err, call);
	fault.With("ifindex", ifindex).Log(log.text());
	return fault;
}

/* No filter, or no qdisc that could hold one: the kernel says EINVAL for the latter. */
bool Absent(int err)
{
	return err == ENOENT || err == EINVAL;
}

} // namespace

Napi::Value ClsactAttach(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	int prog_fd = ArgI32(info, 0, "progFd");
	Place place(info, 1);
	bool created = false;
	uint32_t prog_id = 0;
	InNetns(place.netns, [&] {
		LibbpfLog log;
		LIBBPF_OPTS(bpf_tc_hook, hook);
		hook.ifindex = static_cast<int>(place.ifindex);
		hook.attach_point = place.ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
		int err = bpf_tc_hook_create(&hook);
		if (err && err != -EEXIST)
			throw TcFault("create the clsact qdisc", place.ifindex, -err, "bpf_tc_hook_create", log);
		created = err == 0;
		LIBBPF_OPTS(bpf_tc_opts, opts);
		opts.prog_fd = prog_fd;
		opts.flags = BPF_TC_F_REPLACE;
		opts.priority = place.priority;
		opts.handle = place.handle;
		err = bpf_tc_attach(&hook, &opts);
		if (err)
			throw TcFault("attach a filter", place.ifindex, -err, "bpf_tc_attach", log);
		prog_id = opts.prog_id;
	});
	auto out = Napi::Object::New(env);
	out.Set("progId", Num(env, prog_id));
	out.Set("qdiscCreated", Napi::Boolean::New(env, created));
	return out;
}

Napi::Value ClsactDetach(const Napi::CallbackInfo &info)
{
	Place place(info, 0);
	bool there = true;
	InNetns(place.netns, [&] {
		LibbpfLog log;
		LIBBPF_OPTS(bpf_tc_hook, hook);
		hook.ifindex = static_cast<int>(place.ifindex);
		hook.attach_point = place.ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
		LIBBPF_OPTS(bpf_tc_opts, opts);
		opts.priority = place.priority;
		opts.handle = place.handle;
		int err = bpf_tc_detach(&hook, &opts);
		if (err && !Absent(-err))
			throw TcFault("detach a filter", place.ifindex, -err, "bpf_tc_detach", log);
		there = err == 0;
	});
	return Napi::Boolean::New(info.Env(), there);
}

Napi::Value ClsactQuery(const Napi::CallbackInfo &info)
{
	Place place(info, 0);
	uint32_t prog_id = 0;
	InNetns(place.netns, [&] {
		LibbpfLog log;
		LIBBPF_OPTS(bpf_tc_hook, hook);
		hook.ifindex = static_cast<int>(place.ifindex);
		hook.attach_point = place.ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
		LIBBPF_OPTS(bpf_tc_opts, opts);
		opts.priority = place.priority;
		opts.handle = place.handle;
		int err = bpf_tc_query(&hook, &opts);
		if (err && !Absent(-err))
			throw TcFault("query a filter", place.ifindex, -err, "bpf_tc_query", log);
		prog_id = err ? 0 : opts.prog_id;
	});
	return prog_id ? Num(info.Env(), prog_id) : info.Env().Undefined();
}

Napi::Value ClsactRemoveQdisc(const Napi::CallbackInfo &info)
{
	uint32_t ifindex = ArgU32(info, 0, "ifindex");
	std::string netns = ArgString(info, 1, "netns");
	bool there = true;
	InNetns(netns, [&] {
		LibbpfLog log;
		LIBBPF_OPTS(bpf_tc_hook, hook);
		hook.ifindex = static_cast<int>(ifindex);
		hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
		int err = bpf_tc_hook_destroy(&hook);
		if (err && !Absent(-err))
			throw TcFault("remove the clsact qdisc", ifindex, -err, "bpf_tc_hook_destroy", log);
		there = err == 0;
	});
	return Napi::Boolean::New(info.Env(), there);
}

} // namespace rf
