// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <vector>

#include "args.h"
#include "netns.h"
#include "program.h"

namespace rf
{

namespace
{

constexpr size_t kRead = 64 << 10;

Fd Attach(int prog_fd, int map_fd)
{
	union bpf_iter_link_info target = {};
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	if (map_fd >= 0) {
		target.map.map_fd = static_cast<uint32_t>(map_fd);
		opts.iter_info = &target;
		opts.iter_info_len = sizeof(target);
	}
	Fd link(bpf_link_create(prog_fd, 0, BPF_TRACE_ITER, &opts));
	if (!link.valid())
		throw Fault::Sys("RF_ITER", "attach an iterator", errno, "bpf(BPF_LINK_CREATE)");
	return link;
}

void ReadAll(int fd, size_t most, std::vector<char> &out)
{
	for (;;) {
		size_t had = out.size();
		out.resize(had + kRead);
		ssize_t got = read(fd, out.data() + had, kRead);
		int err = errno;
		out.resize(had + (got > 0 ? static_cast<size_t>(got) : 0));
		if (got == 0)
			return;
		if (got < 0 && err != EINTR && err != EAGAIN)
			throw Fault::Sys("RF_ITER", "read an iterator", err, "read");
		if (out.size() > most)
			throw Fault("RF_ITER", "Cannot read an iterator: found more than " + std::to_string(most) +
						       " bytes, wanted at most those");
	}
}

} // namespace

Napi::Value Program::Iterate(const Napi::CallbackInfo &info)
{
	int prog_fd = Use();
	int map_fd = ArgI32(info, 0, "mapFd");
	std::string netns = ArgString(info, 1, "netns");
	size_t most = ArgU32(info, 2, "maxBytes");
	std::vector<char> out;
	/* Socket iterators walk the namespace of the thread that opens them. */
	InNetns(netns, [&] {
		Fd link = Attach(prog_fd, map_fd);
		Fd reader(bpf_iter_create(link.get()));
		if (!reader.valid())
			throw Fault::Sys("RF_ITER", "open an iterator", errno, "bpf(BPF_ITER_CREATE)");
		ReadAll(reader.get(), most, out);
	});
	return Napi::Buffer<char>::Copy(info.Env(), out.data(), out.size());
}

} // namespace rf
