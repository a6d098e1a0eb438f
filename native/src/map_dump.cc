// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>
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

/* Steps of a careful walk per entry found, and to begin with: far more than a walk needs, so that one without end has
 * an end. */
constexpr size_t kStepsPerEntry = 16;
constexpr size_t kStepsFree = 1 << 18;

/* Times that a successor is asked for before a walk that gets a different answer each time gives up. */
constexpr int kMostAnswers = 64;

struct Shape {
	int fd;
	size_t key_size;
	size_t stride;
};

struct Entries {
	std::vector<uint8_t> keys;
	std::vector<uint8_t> values;

	void Take(const Shape &shape, const uint8_t *key, const uint8_t *value, size_t count)
	{
		keys.insert(keys.end(), key, key + count * shape.key_size);
		values.insert(values.end(), value, value + count * shape.stride);
	}
};

/* 0, or the errno that ended it; ENOTSUPP and EINVAL: no batch lookup here. */
int ReadBatches(const Shape &shape, Entries &out)
{
	uint32_t chunk = kFirstChunk;
	std::vector<uint8_t> keys(chunk * shape.key_size);
	std::vector<uint8_t> values(chunk * shape.stride);
	/* A position is a bucket number for hash tables and a key for the rest. */
	std::vector<uint8_t> position(std::max<size_t>(shape.key_size, 8));
	std::vector<uint8_t> next(position.size());
	bool first = true;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	for (;;) {
		uint32_t count = chunk;
		int err = 0;
		if (bpf_map_lookup_batch(shape.fd, first ? nullptr : position.data(), next.data(), keys.data(),
					 values.data(), &count, &opts) < 0)
			err = errno;
		/* The next bucket holds more than the buffer: nothing was read, ask again with more room. */
		if (err == ENOSPC && chunk < kLargestChunk) {
			chunk *= 4;
			keys.resize(chunk * shape.key_size);
			values.resize(chunk * shape.stride);
			continue;
		}
		if (err != 0 && err != ENOENT)
			return err;
		/* ENOENT is the end, and count holds the last entries (the kernel sets it to 0 before it starts). */
		out.Take(shape, keys.data(), values.data(), count);
		if (err == ENOENT)
			return 0;
		position.swap(next);
		first = false;
	}
}

/*
 * The key after key (null: the first), 0 or errno. The kernel walks a trie without a lock: while it climbs from the key
 * it compares each node with its parent's children, and where a deletion has just put another node in that place it
 * takes the right half of the parent's subtree for walked, or finds the end. So an answer counts when it is given twice
 * in a row: what was passed over in one is there in the next.
 */
int Successor(const Shape &shape, const uint8_t *key, std::string &next)
{
	std::string again(shape.key_size, 0);
	int err = bpf_map_get_next_key(shape.fd, key, next.data()) < 0 ? errno : 0;
	for (int answers = 1; answers < kMostAnswers; answers++) {
		int second = bpf_map_get_next_key(shape.fd, key, again.data()) < 0 ? errno : 0;
		if (second == err && (err != 0 || again == next))
			return err;
		err = second;
		next.swap(again);
	}
	return ELOOP;
}

/*
 * From key to next key, where others delete meanwhile. Asked for the successor of a key that is gone the kernel answers
 * with the first key of the map; no key has that for a successor otherwise. Then the walk steps back to the key before
 * the lost one, again and again until one is still there, and goes on from it. An answer misread only makes the walk
 * see old keys once more.
 */
int ReadCarefully(const Shape &shape, Entries &out)
{
	std::unordered_set<std::string> seen;
	std::vector<const std::string *> path; /* keys walked over, into seen: its nodes stay where they are */
	auto data = [](const std::string &key) { return reinterpret_cast<const uint8_t *>(key.data()); };
	std::string next(shape.key_size, 0);
	std::string first(shape.key_size, 0);
	std::vector<uint8_t> value(shape.stride);
	for (size_t steps = 0; steps < kStepsFree + kStepsPerEntry * seen.size(); steps++) {
		int err = Successor(shape, path.empty() ? nullptr : data(*path.back()), next);
		if (err != 0)
			return err == ENOENT ? 0 : err;
		auto known = seen.find(next);
		if (known != seen.end()) {
			bool lost = !path.empty() && bpf_map_get_next_key(shape.fd, nullptr, first.data()) == 0 &&
				    first == next;
			if (lost)
				path.pop_back();
			else
				path.push_back(&*known);
			continue;
		}
		if (bpf_map_lookup_elem(shape.fd, next.data(), value.data()) == 0)
			out.Take(shape, data(next), value.data(), 1);
		else if (errno != ENOENT)
			return errno;
		path.push_back(&*seen.insert(next).first);
	}
	return ELOOP;
}

/*
 * Whether a batch walk of the type can start over or pass over keys: not in hash tables, which are read bucket by
 * bucket under a lock, nor in arrays, from which nothing goes.
 */
bool WalksUnlocked(uint32_t type)
{
	switch (type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
		return false;
	default:
		return true;
	}
}

} // namespace

Napi::Value Map::Dump(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	Shape shape = {Use(), info_.key_size, stride_};
	if (shape.key_size == 0)
		throw Fault("RF_ARGUMENT", "Cannot dump map " + Name() + ": found a map without keys, wanted one with");
	Entries entries;
	const char *syscall = "bpf(BPF_MAP_LOOKUP_BATCH)";
	int err = ReadBatches(shape, entries);
	/* EINTR: before 6.15 the kernel gives up when keys vanish under it. */
	bool no_batch = err == 524 || err == EINVAL || err == EOPNOTSUPP || err == EINTR;
	/* A batch walk that others disturb does not tell. Two that read the same were not disturbed. */
	bool doubtful = false;
	if (err == 0 && WalksUnlocked(info_.type)) {
		Entries again;
		doubtful = ReadBatches(shape, again) != 0 || again.keys != entries.keys;
	}
	if (no_batch || doubtful) {
		entries = {};
		syscall = "bpf(BPF_MAP_GET_NEXT_KEY)";
		err = ReadCarefully(shape, entries);
	}
	if (err == ELOOP)
		throw Fault("RF_MAP_ACCESS",
			    "Cannot dump map " + Name() +
				    ": found keys deleted faster than it can be walked, wanted a quieter map")
			.With("map", Name());
	if (err)
		throw Fault::Sys("RF_MAP_ACCESS", "dump map " + Name(), err, syscall).With("map", Name());
	auto result = Napi::Object::New(env);
	result.Set("count", Num(env, static_cast<double>(entries.keys.size() / shape.key_size)));
	result.Set("keys", CopyOut(env, entries.keys.data(), entries.keys.size()));
	result.Set("values", CopyOut(env, entries.values.data(), entries.values.size()));
	return result;
}

} // namespace rf
