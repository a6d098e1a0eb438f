// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "args.h"
#include "libbpf_log.h"
#include "link.h"
#include "netns.h"

namespace rf
{

namespace
{

using Code = std::vector<struct bpf_insn>;

struct bpf_insn Insn(uint8_t code, uint8_t dst, uint8_t src, int16_t offset, int32_t immediate)
{
	struct bpf_insn insn = {};
	insn.code = code;
	insn.dst_reg = dst & 0xf;
	insn.src_reg = src & 0xf;
	insn.off = offset;
	insn.imm = immediate;
	return insn;
}

struct bpf_insn SetImmediate(uint8_t reg, int32_t value)
{
	return Insn(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, value);
}

struct bpf_insn CallHelper(int32_t helper)
{
	return Insn(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

struct bpf_insn ExitProgram()
{
	return Insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* return value; */
Code Returning(int32_t value)
{
	return {SetImmediate(BPF_REG_0, value), ExitProgram()};
}

/* helper(ctx); return value; */
Code CallingWithContext(int32_t helper, int32_t value)
{
	return {CallHelper(helper), SetImmediate(BPF_REG_0, value), ExitProgram()};
}

[[noreturn]] void Fail(const std::string &what, int err, const char *syscall)
{
	throw Fault::Sys("RF_KERNEL", what, err, syscall);
}

Fd LoadProgram(bpf_prog_type type, int attach_type, const Code &code, uint32_t attach_btf_id = 0)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	opts.expected_attach_type = static_cast<bpf_attach_type>(attach_type);
	opts.attach_btf_id = attach_btf_id;
	Fd fd(bpf_prog_load(type, "rf_probe", "GPL", code.data(), code.size(), &opts));
	if (!fd.valid())
		Fail("load a program", errno, "bpf(BPF_PROG_LOAD)");
	return fd;
}

Fd MakeMap(bpf_map_type type, uint32_t key, uint32_t value, uint32_t entries, const bpf_map_create_opts *opts = nullptr)
{
	Fd fd(bpf_map_create(type, "rf_probe", key, value, entries, opts));
	if (!fd.valid())
		Fail("create a map", errno, "bpf(BPF_MAP_CREATE)");
	return fd;
}

constexpr int kLoopback = 1; /* index of lo in any new network namespace */

void AttachTcx(const Fd &program, int ifindex, int also_good)
{
	Fd link(bpf_link_create(program.get(), ifindex, static_cast<bpf_attach_type>(uapi::kTcxIngress), nullptr));
	if (!link.valid() && errno != also_good)
		Fail("attach at TCX", errno, "bpf(BPF_LINK_CREATE)");
}

/*
 * Making a namespace takes CAP_SYS_ADMIN, which an agent may well not have. Then an index that no interface has: a
 * kernel with TCX looks for the interface (ENODEV), one without does not know the attach type (EINVAL).
 */
void ProbeTcx()
{
	Fd program = LoadProgram(BPF_PROG_TYPE_SCHED_CLS, 0, Returning(-1));
	try {
		InFreshNetns([&] { AttachTcx(program, kLoopback, 0); });
	} catch (const Fault &fault) {
		if (fault.err() != EPERM)
			throw;
		AttachTcx(program, INT32_MAX, ENODEV);
	}
}

void ProbeClsact()
{
	Fd program = LoadProgram(BPF_PROG_TYPE_SCHED_CLS, 0, Returning(-1));
	InFreshNetns([&] {
		LibbpfLog silence;
		LIBBPF_OPTS(bpf_tc_hook, hook);
		hook.ifindex = kLoopback;
		hook.attach_point = BPF_TC_INGRESS;
		int err = bpf_tc_hook_create(&hook);
		if (err)
			Fail("create a clsact qdisc", -err, "bpf_tc_hook_create");
		LIBBPF_OPTS(bpf_tc_opts, opts);
		opts.prog_fd = program.get();
		err = bpf_tc_attach(&hook, &opts);
		if (err)
			Fail("attach a TC filter", -err, "bpf_tc_attach");
	});
}

void ProbeRingbuf()
{
	MakeMap(BPF_MAP_TYPE_RINGBUF, 0, 0, static_cast<uint32_t>(sysconf(_SC_PAGESIZE)));
}

/*
 * Links at cgroups are tried without a cgroup: with a good program and a descriptor that is no cgroup a kernel that has
 * them says EBADF, one that has not EINVAL. No cgroup of this machine is touched, not even for an instant.
 */
void ProbeCgroupLink()
{
	Fd program = LoadProgram(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, Returning(1));
	Fd link(bpf_link_create(program.get(), program.get(), BPF_CGROUP_INET_EGRESS, nullptr));
	if (!link.valid() && errno != EBADF)
		Fail("make a link at a cgroup", errno, "bpf(BPF_LINK_CREATE)");
}

void ProbeNetnsCookie()
{
	LoadProgram(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, CallingWithContext(BPF_FUNC_get_netns_cookie, 1));
}

void ProbeSetRetval()
{
	LoadProgram(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT,
		    {SetImmediate(BPF_REG_1, -ECONNREFUSED), CallHelper(BPF_FUNC_set_retval),
		     SetImmediate(BPF_REG_0, 0), ExitProgram()});
}

void ProbeCoarseClock()
{
	LoadProgram(BPF_PROG_TYPE_SCHED_CLS, 0, CallingWithContext(BPF_FUNC_ktime_get_coarse_ns, 0));
}

/* Socket storage wants BTF for its key and value: int and u64 from a description made here. */
void ProbeSkStorage()
{
	std::unique_ptr<struct btf, decltype(&btf__free)> btf(btf__new_empty(), btf__free);
	if (!btf)
		Fail("make BTF", errno, "btf__new_empty");
	int key = btf__add_int(btf.get(), "int", 4, BTF_INT_SIGNED);
	int value = btf__add_int(btf.get(), "unsigned long", 8, 0);
	uint32_t size = 0;
	const void *raw = btf__raw_data(btf.get(), &size);
	Fd btf_fd(key > 0 && value > 0 && raw ? bpf_btf_load(raw, size, nullptr) : -1);
	if (!btf_fd.valid())
		Fail("load BTF", errno, "bpf(BPF_BTF_LOAD)");
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	opts.map_flags = BPF_F_NO_PREALLOC | BPF_F_CLONE;
	opts.btf_fd = static_cast<uint32_t>(btf_fd.get());
	opts.btf_key_type_id = static_cast<uint32_t>(key);
	opts.btf_value_type_id = static_cast<uint32_t>(value);
	Fd map = MakeMap(BPF_MAP_TYPE_SK_STORAGE, 4, 8, 0, &opts);
	/* sk = ctx->sk; if (sk && (sk = bpf_sk_fullsock(sk))) bpf_sk_storage_get(map, sk, 0, CREATE); return 1; */
	constexpr int16_t kSkOffset = offsetof(struct __sk_buff, sk);
	LoadProgram(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS,
		    {Insn(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_1, kSkOffset, 0),
		     Insn(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 8, 0), CallHelper(BPF_FUNC_sk_fullsock),
		     Insn(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 6, 0),
		     Insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_0, 0, 0),
		     Insn(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map.get()), Insn(0, 0, 0, 0, 0),
		     SetImmediate(BPF_REG_3, 0), SetImmediate(BPF_REG_4, BPF_SK_STORAGE_GET_F_CREATE),
		     CallHelper(BPF_FUNC_sk_storage_get), SetImmediate(BPF_REG_0, 1), ExitProgram()});
}

void ProbeBatchOps()
{
	Fd map = MakeMap(BPF_MAP_TYPE_HASH, 4, 4, 4);
	uint32_t keys[2] = {1, 2};
	uint32_t values[2] = {3, 4};
	uint32_t count = 2;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	if (bpf_map_update_batch(map.get(), keys, values, &count, &opts) < 0)
		Fail("update a map by batch", errno, "bpf(BPF_MAP_UPDATE_BATCH)");
}

void ProbeIterTaskFile()
{
	LibbpfLog silence;
	int target = libbpf_find_vmlinux_btf_id("task_file", BPF_TRACE_ITER);
	if (target < 0)
		Fail("find the iterator over tasks' files", -target, "libbpf_find_vmlinux_btf_id");
	Fd program = LoadProgram(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, Returning(0), static_cast<uint32_t>(target));
	Fd link(bpf_link_create(program.get(), 0, BPF_TRACE_ITER, nullptr));
	if (!link.valid())
		Fail("attach an iterator", errno, "bpf(BPF_LINK_CREATE)");
	Fd reader(bpf_iter_create(link.get()));
	if (!reader.valid())
		Fail("open an iterator", errno, "bpf(BPF_ITER_CREATE)");
}

struct Probe {
	const char *name;
	void (*run)();
};

constexpr Probe kProbes[] = {
	{"tcx", ProbeTcx},
	{"clsact", ProbeClsact},
	{"ringbuf", ProbeRingbuf},
	{"cgroupLink", ProbeCgroupLink},
	{"netnsCookieInCgroupSkb", ProbeNetnsCookie},
	{"skStorage", ProbeSkStorage},
	{"setRetval", ProbeSetRetval},
	{"coarseClock", ProbeCoarseClock},
	{"batchOps", ProbeBatchOps},
	{"iterTaskFile", ProbeIterTaskFile},
};

} // namespace

Napi::Value ProbeFeature(const Napi::CallbackInfo &info)
{
	std::string name = ArgString(info, 0, "name");
	int err = 0;
	std::string reason;
	const Probe *probe = nullptr;
	for (const Probe &known : kProbes)
		if (name == known.name)
			probe = &known;
	if (!probe)
		throw Fault("RF_ARGUMENT", "Cannot probe: found feature " + name + ", wanted a known one");
	try {
		probe->run();
	} catch (const Fault &fault) {
		err = fault.err();
		reason = fault.message();
	}
	auto out = Napi::Object::New(info.Env());
	out.Set("errno", Num(info.Env(), err));
	out.Set("reason", reason);
	return out;
}

} // namespace rf
