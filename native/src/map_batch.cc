// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>

#include <algorithm>
#include <functional>

#include "map.h"

namespace rf
{

namespace
{

/* Entries of one system call: long enough to be cheap, short enough that the caller's thread is not gone for long. */
constexpr size_t kChunk = 32768;

struct Progress {
	size_t applied = 0;
	size_t missing = 0;
	int err = 0;

	size_t done() const
	{
		return applied + missing;
	}
};

/*
 * Whether the error may mean "this type or kernel has no such batch command" (ENOTSUPP, or EINVAL before 5.6). Trying
 * one by one then gives either success or the entry's own error, so a wrong guess costs time only.
 */
bool MaybeNoBatch(int err)
{
	return err == 524 || err == EINVAL || err == EOPNOTSUPP;
}

using BatchCall = std::function<int(size_t from, uint32_t *count)>;
using SingleCall = std::function<int(size_t at)>;

/* Works through total entries in order until one is refused. With missing_ok an ENOENT is counted and passed over. */
Progress Run(size_t total, bool missing_ok, const BatchCall &batch, const SingleCall &single)
{
	Progress progress;
	bool batched = true;
	while (progress.done() < total) {
		if (batched) {
			uint32_t asked = static_cast<uint32_t>(std::min(total - progress.done(), kChunk));
			uint32_t count = asked;
			int err = batch(progress.done(), &count) == 0 ? 0 : errno;
			/* The kernel leaves count alone when it fails before the first entry. */
			progress.applied += err == 0 ? asked : count < asked ? count : 0;
			if (err == 0)
				continue;
			if (MaybeNoBatch(err)) {
				batched = false;
				continue;
			}
			if (err == ENOENT && missing_ok) {
				progress.missing++;
				continue;
			}
			progress.err = err;
			return progress;
		}
		if (single(progress.done()) == 0) {
			progress.applied++;
		} else if (errno == ENOENT && missing_ok) {
			progress.missing++;
		} else {
			progress.err = errno;
			return progress;
		}
	}
	return progress;
}

Napi::Value Result(Napi::Env env, const Progress &progress)
{
	auto out = Napi::Object::New(env);
	out.Set("applied", Num(env, static_cast<double>(progress.applied)));
	out.Set("missing", Num(env, static_cast<double>(progress.missing)));
	out.Set("errno", Num(env, progress.err));
	out.Set("errnoName", ErrnoName(progress.err));
	return out;
}

} // namespace

Napi::Value Map::UpdateBatch(const Napi::CallbackInfo &info)
{
	int fd = Use();
	Bytes keys = ArgBytes(info, 0, "keys");
	size_t total = CountKeys(keys);
	Bytes values = ArgBytes(info, 1, "values", total * stride_);
	uint32_t flags = ArgU32(info, 2, "flags");
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	opts.elem_flags = flags;
	return Result(info.Env(), Run(
					  total, false,
					  [&](size_t from, uint32_t *count) {
						  return bpf_map_update_batch(fd, keys.data + from * info_.key_size,
									      values.data + from * stride_, count,
									      &opts);
					  },
					  [&](size_t at) {
						  return bpf_map_update_elem(fd, keys.data + at * info_.key_size,
									     values.data + at * stride_, flags);
					  }));
}

Napi::Value Map::DeleteBatch(const Napi::CallbackInfo &info)
{
	int fd = Use();
	Bytes keys = ArgBytes(info, 0, "keys");
	size_t total = CountKeys(keys);
	bool missing_ok = ArgBool(info, 1, "missingOk");
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	return Result(info.Env(),
		      Run(
			      total, missing_ok,
			      [&](size_t from, uint32_t *count) {
				      return bpf_map_delete_batch(fd, keys.data + from * info_.key_size, count, &opts);
			      },
			      [&](size_t at) { return bpf_map_delete_elem(fd, keys.data + at * info_.key_size); }));
}

} // namespace rf
