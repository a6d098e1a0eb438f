// SPDX-License-Identifier: Apache-2.0
/*
 * Capabilities belong to threads, and Node has several before the first line of a program runs: taken from one, the
 * others keep them. So the process replaces itself. What uid 0 may have after an exec is the bounding set and what is
 * inheritable; both are narrowed first, and no_new_privs keeps it so for everything that is run from then on.
 */
#include "privilege.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "args.h"

namespace rf
{

namespace
{

std::vector<std::string> Texts(const Napi::CallbackInfo &info, size_t index, const char *name)
{
	if (info.Length() <= index || !info[index].IsArray())
		throw Fault("RF_ARGUMENT", std::string("Cannot use argument ") + name + ": found no list, wanted texts")
			.With("argument", name);
	auto list = info[index].As<Napi::Array>();
	std::vector<std::string> out;
	for (uint32_t i = 0; i < list.Length(); ++i) {
		Napi::Value item = list.Get(i);
		if (!item.IsString())
			throw Fault("RF_ARGUMENT",
				    std::string("Cannot use argument ") + name + ": found another type, wanted texts")
				.With("argument", name);
		out.push_back(item.As<Napi::String>().Utf8Value());
	}
	return out;
}

std::vector<char *> Pointers(std::vector<std::string> &texts)
{
	std::vector<char *> out;
	for (std::string &text : texts)
		out.push_back(text.data());
	out.push_back(nullptr);
	return out;
}

Fault Refused(const char *what, int error)
{
	return Fault::Sys("RF_KERNEL", "give up capabilities", error, what);
}

void Narrow(uint64_t keep)
{
	for (int bit = 0; bit < 64; ++bit) {
		int held = prctl(PR_CAPBSET_READ, bit, 0, 0, 0);
		if (held < 0) /* beyond the last one that this kernel knows */
			break;
		if (held > 0 && !(keep >> bit & 1) && prctl(PR_CAPBSET_DROP, bit, 0, 0, 0) < 0)
			throw Refused("prctl(PR_CAPBSET_DROP)", errno);
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		throw Refused("prctl(PR_CAP_AMBIENT)", errno);
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
	if (syscall(SYS_capget, &header, data) < 0)
		throw Refused("capget", errno);
	data[0].inheritable = data[1].inheritable = 0;
	if (syscall(SYS_capset, &header, data) < 0)
		throw Refused("capset", errno);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		throw Refused("prctl(PR_SET_NO_NEW_PRIVS)", errno);
}

} // namespace

/* (keepLow, keepHigh, path, argv, environment): returns only by throwing. */
Napi::Value ExecBounded(const Napi::CallbackInfo &info)
{
	uint64_t keep = ArgU32(info, 0, "keepLow") | static_cast<uint64_t>(ArgU32(info, 1, "keepHigh")) << 32;
	std::string path = ArgString(info, 2, "path");
	std::vector<std::string> argv = Texts(info, 3, "argv");
	std::vector<std::string> environment = Texts(info, 4, "environment");
	if (access(path.c_str(), X_OK) < 0)
		throw Fault::Sys("RF_KERNEL", "run " + path, errno, "access").With("path", path);
	Narrow(keep);
	/* libuv closes these at an exec like everything else. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
		fcntl(fd, F_SETFD, 0);
	execve(path.c_str(), Pointers(argv).data(), Pointers(environment).data());
	throw Fault::Sys("RF_KERNEL", "run " + path, errno, "execve").With("path", path);
}

} // namespace rf
