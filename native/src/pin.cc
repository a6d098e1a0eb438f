// SPDX-License-Identifier: Apache-2.0
#include "pin.h"

#include <bpf/bpf.h>
#include <sys/vfs.h>

#include <string_view>

namespace rf
{

namespace
{

const char *KindName(Kind kind)
{
	switch (kind) {
	case Kind::kMap:
		return "map";
	case Kind::kProgram:
		return "program";
	default:
		return "link";
	}
}

/* Whether the name in /proc/self/fd says so. Later kernels may go on with more detail after these words. */
bool IsKind(std::string_view inode, Kind kind)
{
	auto starts = [inode](std::string_view prefix) { return inode.substr(0, prefix.size()) == prefix; };
	switch (kind) {
	case Kind::kMap:
		return starts("anon_inode:bpf-map");
	case Kind::kProgram:
		return starts("anon_inode:bpf-prog");
	default:
		/* The kernel spells it one way when it makes a link and the other when it opens one. */
		return starts("anon_inode:bpf_link") || starts("anon_inode:bpf-link");
	}
}

} // namespace

void CheckKind(int fd, Kind kind, const std::string &what)
{
	char target[128];
	std::string proc = "/proc/self/fd/" + std::to_string(fd);
	ssize_t size = readlink(proc.c_str(), target, sizeof(target));
	if (size < 0)
		throw Fault::Sys("RF_KERNEL", "tell what " + what + " is", errno, "readlink");
	std::string_view found(target, static_cast<size_t>(size));
	if (IsKind(found, kind))
		return;
	throw Fault("RF_ARGUMENT",
		    "Cannot use " + what + ": found " + std::string(found) + ", wanted a BPF " + KindName(kind));
}

void Pin(int fd, const std::string &path)
{
	if (bpf_obj_pin(fd, path.c_str()) < 0)
		throw Fault::Sys("RF_PIN", "pin at " + path, errno, "bpf(BPF_OBJ_PIN)").With("path", path);
}

Fd OpenPin(const std::string &path, Kind kind)
{
	Fd fd(bpf_obj_get(path.c_str()));
	if (!fd.valid()) {
		int err = errno;
		throw Fault::Sys(err == ENOENT ? "RF_NOT_FOUND" : "RF_PIN",
				 std::string("open pinned ") + KindName(kind) + " " + path, err, "bpf(BPF_OBJ_GET)")
			.With("path", path);
	}
	CheckKind(fd.get(), kind, "pin " + path);
	return fd;
}

Fd OpenId(uint32_t id, Kind kind)
{
	int fd = kind == Kind::kMap	  ? bpf_map_get_fd_by_id(id)
		 : kind == Kind::kProgram ? bpf_prog_get_fd_by_id(id)
					  : bpf_link_get_fd_by_id(id);
	if (fd < 0) {
		int err = errno;
		throw Fault::Sys(err == ENOENT ? "RF_NOT_FOUND" : "RF_KERNEL",
				 std::string("open ") + KindName(kind) + " by id " + std::to_string(id), err,
				 "bpf(GET_FD_BY_ID)")
			.With("id", id);
	}
	return Fd(fd);
}

bool OnFileSystem(const std::string &path, unsigned long magic)
{
	struct statfs info;
	if (statfs(path.c_str(), &info) < 0) {
		int err = errno;
		throw Fault::Sys(err == ENOENT ? "RF_NOT_FOUND" : "RF_KERNEL", "find the file system of " + path, err,
				 "statfs")
			.With("path", path);
	}
	return static_cast<unsigned long>(info.f_type) == magic;
}

} // namespace rf
