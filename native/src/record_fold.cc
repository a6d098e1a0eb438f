// SPDX-License-Identifier: Apache-2.0
#include "record_fold.h"

#include <map>
#include <random>
#include <utility>

namespace rf
{

namespace
{

constexpr uint64_t kMix = 0x9e3779b97f4a7c15;

uint64_t Mixed(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * kMix;
	return hash ^ hash >> 32;
}

/* At least twice as many slots as rows: chains stay short. */
uint32_t SlotsFor(uint32_t entries)
{
	uint32_t slots = 16;
	while (slots < 2 * entries)
		slots *= 2;
	return slots;
}

/* What senders choose (ports, addresses) must not let them choose where it goes. */
uint64_t RandomSeed()
{
	std::random_device source;
	return static_cast<uint64_t>(source()) << 32 | source();
}

} // namespace

RecordFold::RecordFold(const FoldConfig &config)
    : config_(config), key_(WordsOf(config.key)), same_(WordsOf(config.same)), seed_(RandomSeed()),
      mask_(SlotsFor(config.entries) - 1),
      rows_(new uint8_t[static_cast<size_t>(config.entries) * config.record_bytes]),
      hashes_(new uint32_t[config.entries]), index_(mask_ + 1), taken_(config.record_bytes)
{
}

std::vector<RecordFold::Word> RecordFold::WordsOf(const std::vector<FieldRange> &fields)
{
	std::map<uint32_t, uint64_t> masks;
	for (const FieldRange &field : fields) {
		for (uint32_t at = field.offset; at < field.offset + field.bytes; at++) {
			uint8_t bytes[sizeof(uint64_t)] = {};
			bytes[at % sizeof(uint64_t)] = 0xff;
			masks[at - at % sizeof(uint64_t)] |= Load(bytes);
		}
	}
	std::vector<Word> words;
	for (const auto &[offset, mask] : masks)
		words.push_back({offset, mask});
	return words;
}

uint32_t RecordFold::HashOf(const uint8_t *record) const
{
	uint64_t hash = seed_;
	for (const Word &word : key_)
		hash = Mixed(hash, Load(record + word.offset) & word.mask);
	return static_cast<uint32_t>(hash);
}

uint32_t RecordFold::Find(const uint8_t *record, uint32_t hash)
{
	uint32_t slot = hash & mask_;
	for (; index_[slot].row != 0; slot = (slot + 1) & mask_) {
		if (index_[slot].hash == hash && Equal(key_, record, RowAt(index_[slot].row - 1)))
			break;
	}
	return slot;
}

void RecordFold::Insert(const uint8_t *record, uint32_t hash, uint32_t slot)
{
	memcpy(RowAt(count_), record, config_.record_bytes);
	hashes_[count_] = hash;
	index_[slot] = {++count_, hash};
}

uint32_t RecordFold::SlotOf(uint32_t row) const
{
	uint32_t slot = hashes_[row] & mask_;
	while (index_[slot].row != row + 1)
		slot = (slot + 1) & mask_;
	return slot;
}

/* Later rows of the chain that do not stand at or after their home move up: no tombstones. */
void RecordFold::EmptySlot(uint32_t hole)
{
	for (uint32_t slot = (hole + 1) & mask_; index_[slot].row != 0; slot = (slot + 1) & mask_) {
		uint32_t home = index_[slot].hash & mask_;
		if (((slot - home) & mask_) < ((slot - hole) & mask_))
			continue;
		index_[hole] = index_[slot];
		hole = slot;
	}
	index_[hole] = {};
}

void RecordFold::Remove(uint32_t row, uint32_t slot)
{
	EmptySlot(slot);
	uint32_t last = --count_;
	if (row != last) {
		/* Into the place of a marked row it is marked too: handed over a little early. */
		index_[SlotOf(last)].row = row + 1;
		memcpy(RowAt(row), RowAt(last), config_.record_bytes);
		hashes_[row] = hashes_[last];
	}
	if (due_ > count_)
		due_ = count_;
}

/* From the last marked one down: what fills its place is unmarked, or lies above and was marked before. */
const uint8_t *RecordFold::Next()
{
	uint32_t row = --due_;
	memcpy(taken_.data(), RowAt(row), config_.record_bytes);
	Remove(row, SlotOf(row));
	return taken_.data();
}

} // namespace rf
