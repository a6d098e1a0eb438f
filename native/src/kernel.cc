// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

#include <linux/capability.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <cstring>

#include "args.h"
#include "link.h"
#include "map.h"
#include "netns.h"
#include "pin.h"

namespace rf
{

namespace
{

constexpr int kSoNetnsCookie = 71;

uint64_t ReadClock(clockid_t clock)
{
	struct timespec now;
	if (clock_gettime(clock, &now) < 0)
		throw Fault::Sys("RF_KERNEL", "read a clock", errno, "clock_gettime");
	return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

std::string Parent(const std::string &path)
{
	size_t slash = path.find_last_of('/');
	return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

} // namespace

Napi::Value GetPossibleCpus(const Napi::CallbackInfo &info)
{
	return Num(info.Env(), PossibleCpus());
}

Napi::Value CgroupId(const Napi::CallbackInfo &info)
{
	std::string path = ArgString(info, 0, "path");
	Fd cgroup = OpenCgroup(path);
	/* The handle of a cgroup v2 directory is its 64-bit id. */
	union {
		struct file_handle handle;
		unsigned char room[sizeof(struct file_handle) + sizeof(uint64_t)];
	} buffer = {};
	buffer.handle.handle_bytes = sizeof(uint64_t);
	int mount_id;
	if (name_to_handle_at(cgroup.get(), "", &buffer.handle, &mount_id, AT_EMPTY_PATH) < 0)
		throw Fault::Sys("RF_KERNEL", "read the id of cgroup " + path, errno, "name_to_handle_at")
			.With("cgroup", path);
	uint64_t id;
	memcpy(&id, buffer.room + sizeof(struct file_handle), sizeof(id));
	return U64(info.Env(), id);
}

Napi::Value NetnsCookie(const Napi::CallbackInfo &info)
{
	std::string netns = ArgString(info, 0, "netns");
	uint64_t cookie = 0;
	InNetns(netns, [&] {
		Fd sock(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
		if (!sock.valid())
			throw Fault::Sys("RF_KERNEL", "make a socket", errno, "socket");
		socklen_t size = sizeof(cookie);
		if (getsockopt(sock.get(), SOL_SOCKET, kSoNetnsCookie, &cookie, &size) < 0)
			throw Fault::Sys("RF_KERNEL", "read the cookie of the network namespace", errno,
					 "getsockopt(SO_NETNS_COOKIE)");
	});
	return U64(info.Env(), cookie);
}

Napi::Value InterfaceIndex(const Napi::CallbackInfo &info)
{
	std::string name = ArgString(info, 0, "name");
	std::string netns = ArgString(info, 1, "netns");
	unsigned int index = 0;
	InNetns(netns, [&] { index = if_nametoindex(name.c_str()); });
	return index ? Num(info.Env(), index) : info.Env().Undefined();
}

Napi::Value EnsureBpffs(const Napi::CallbackInfo &info)
{
	std::string path = ArgString(info, 0, "path");
	if (mkdir(path.c_str(), 0700) < 0 && errno != EEXIST)
		throw Fault::Sys("RF_KERNEL", "make directory " + path, errno, "mkdir").With("path", path);
	if (OnFileSystem(path, BPF_FS_MAGIC))
		return Napi::Boolean::New(info.Env(), false);
	if (mount("bpf", path.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		throw Fault::Sys("RF_KERNEL", "mount bpffs at " + path, errno, "mount").With("path", path);
	return Napi::Boolean::New(info.Env(), true);
}

Napi::Value Unpin(const Napi::CallbackInfo &info)
{
	std::string path = ArgString(info, 0, "path");
	struct stat found;
	if (lstat(path.c_str(), &found) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return Napi::Boolean::New(info.Env(), false);
		throw Fault::Sys("RF_PIN", "unpin " + path, errno, "lstat").With("path", path);
	}
	if (!OnFileSystem(Parent(path), BPF_FS_MAGIC))
		throw Fault("RF_ARGUMENT",
			    "Cannot unpin " + path + ": found a file of another file system, wanted one on bpffs")
			.With("path", path);
	if (unlink(path.c_str()) < 0) {
		if (errno == ENOENT)
			return Napi::Boolean::New(info.Env(), false);
		throw Fault::Sys("RF_PIN", "unpin " + path, errno, "unlink").With("path", path);
	}
	return Napi::Boolean::New(info.Env(), true);
}

Napi::Value ReadClocks(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	uint64_t monotonic = ReadClock(CLOCK_MONOTONIC);
	uint64_t realtime = ReadClock(CLOCK_REALTIME);
	uint64_t boottime = ReadClock(CLOCK_BOOTTIME);
	auto out = Napi::Object::New(env);
	out.Set("monotonicNs", U64(env, monotonic));
	out.Set("realtimeNs", U64(env, realtime));
	out.Set("boottimeNs", U64(env, boottime));
	return out;
}

Napi::Value EffectiveCapabilities(const Napi::CallbackInfo &info)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
	if (syscall(SYS_capget, &header, data) < 0)
		throw Fault::Sys("RF_KERNEL", "read capabilities", errno, "capget");
	return U64(info.Env(), static_cast<uint64_t>(data[1].effective) << 32 | data[0].effective);
}

} // namespace rf
