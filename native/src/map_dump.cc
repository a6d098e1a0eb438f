// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>

#include <algorithm>
#include <string>
#include <unordered_set>
#include <vector>

#include "map.h"

namespace rf
{

namespace
{

constexpr uint32_t kFirstChunk = 4096;
constexpr uint32_t kLargestChunk = 1 << 22;

/*
 * Hash tables are read bucket by bucket under the bucket's lock, so each entry shows at most once whatever happens
 * meanwhile. Every other walk goes from key to next key, and starts over when its key was deleted under it (hash tables
 * before 5.6, LPM tries always): then what was seen is seen again. Seen keys are skipped; so many new starts mean the
 * map is too busy to read.
 */
constexpr int kMostRestarts = 64;

class Collector
{
      public:
	Collector(size_t key_size, size_t stride, bool restarts)
	    : key_size_(key_size), stride_(stride), restarts_(restarts)
	{
	}

	/* Takes count packed entries. */
	void Take(const uint8_t *keys, const uint8_t *values, size_t count)
	{
		if (!restarts_) {
			keys_.insert(keys_.end(), keys, keys + count * key_size_);
			values_.insert(values_.end(), values, values + count * stride_);
			return;
		}
		for (size_t i = 0; i < count; i++) {
			const uint8_t *key = keys + i * key_size_;
			if (!seen_.emplace(reinterpret_cast<const char *>(key), key_size_).second) {
				/* One restart shows as a run of old keys. */
				if (!in_old_)
					restart_count_++;
				in_old_ = true;
				continue;
			}
			in_old_ = false;
			keys_.insert(keys_.end(), key, key + key_size_);
			values_.insert(values_.end(), values + i * stride_, values + (i + 1) * stride_);
		}
	}

	bool Unstable() const
	{
		return restart_count_ > kMostRestarts;
	}
	const std::vector<uint8_t> &keys() const
	{
		return keys_;
	}
	const std::vector<uint8_t> &values() const
	{
		return values_;
	}

      private:
	size_t key_size_;
	size_t stride_;
	bool restarts_;
	bool in_old_ = false;
	int restart_count_ = 0;
	std::vector<uint8_t> keys_;
	std::vector<uint8_t> values_;
	std::unordered_set<std::string> seen_;
};

/* 0, or the errno that ended it; ENOTSUPP and EINVAL: no batch lookup here. */
int ReadBatches(int fd, size_t key_size, size_t stride, Collector &out)
{
	uint32_t chunk = kFirstChunk;
	std::vector<uint8_t> keys(chunk * key_size);
	std::vector<uint8_t> values(chunk * stride);
	/* A position is a bucket number for hash tables and a key for the rest. */
	std::vector<uint8_t> position(std::max<size_t>(key_size, 8));
	std::vector<uint8_t> next(position.size());
	bool first = true;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	for (;;) {
		uint32_t count = chunk;
		int err = bpf_map_lookup_batch(fd, first ? nullptr : position.data(), next.data(), keys.data(),
					       values.data(), &count, &opts) == 0
				  ? 0
				  : errno;
		/* The next bucket holds more than the buffer: nothing was read, ask again with more room. */
		if (err == ENOSPC && chunk < kLargestChunk) {
			chunk *= 4;
			keys.resize(chunk * key_size);
			values.resize(chunk * stride);
			continue;
		}
		if (err != 0 && err != ENOENT)
			return err;
		/* ENOENT is the end, and count holds the last entries (the kernel sets it to 0 before it starts). */
		out.Take(keys.data(), values.data(), count);
		if (err == ENOENT || out.Unstable())
			return 0;
		position.swap(next);
		first = false;
	}
}

int ReadOneByOne(int fd, size_t key_size, size_t stride, Collector &out)
{
	std::vector<uint8_t> key(key_size);
	std::vector<uint8_t> next(key_size);
	std::vector<uint8_t> value(stride);
	bool first = true;
	while (!out.Unstable()) {
		if (bpf_map_get_next_key(fd, first ? nullptr : key.data(), next.data()) < 0)
			return errno == ENOENT ? 0 : errno;
		first = false;
		if (bpf_map_lookup_elem(fd, next.data(), value.data()) == 0)
			out.Take(next.data(), value.data(), 1);
		else if (errno != ENOENT)
			return errno;
		key.swap(next);
	}
	return 0;
}

bool IsHash(uint32_t type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_HASH ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

} // namespace

Napi::Value Map::Dump(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	int fd = Use();
	if (info_.key_size == 0)
		throw Fault("RF_ARGUMENT", "Cannot dump map " + Name() + ": found a map without keys, wanted one with");
	Collector batched(info_.key_size, stride_, !IsHash(info_.type));
	Collector single(info_.key_size, stride_, true);
	Collector *out = &batched;
	const char *syscall = "bpf(BPF_MAP_LOOKUP_BATCH)";
	int err = ReadBatches(fd, info_.key_size, stride_, batched);
	/* EINTR: before 6.15 the kernel gives up when keys vanish under it (tries). */
	if (err == 524 || err == EINVAL || err == EOPNOTSUPP || err == EINTR) {
		out = &single;
		syscall = "bpf(BPF_MAP_GET_NEXT_KEY)";
		err = ReadOneByOne(fd, info_.key_size, stride_, single);
	}
	if (err)
		throw Fault::Sys("RF_MAP_ACCESS", "dump map " + Name(), err, syscall).With("map", Name());
	if (out->Unstable())
		throw Fault("RF_MAP_ACCESS",
			    "Cannot dump map " + Name() + ": found keys deleted under every walk, wanted a quiet map")
			.With("map", Name());
	auto result = Napi::Object::New(env);
	result.Set("count", Num(env, static_cast<double>(out->keys().size() / info_.key_size)));
	result.Set("keys", CopyOut(env, out->keys().data(), out->keys().size()));
	result.Set("values", CopyOut(env, out->values().data(), out->values().size()));
	return result;
}

} // namespace rf
