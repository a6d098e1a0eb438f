// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace rf
{

/* Some bytes of a record. */
struct FieldRange {
	uint32_t offset;
	uint32_t bytes;
};

struct FoldConfig {
	uint32_t entries;      /* things told of at once; at most 2^24 */
	uint32_t record_bytes; /* a multiple of 8 */
	uint32_t max_held_ms;
	uint32_t time_offset; /* u64, grows: of two records of one thing the later one says all that the earlier one
				 said */
	uint32_t kind_offset; /* one byte */
	uint8_t kind;	      /* the kind of record that may be folded; every other kind is handed over as it is */
	std::vector<FieldRange> key;  /* what the record is about */
	std::vector<FieldRange> same; /* records that differ here are not folded into one */
};

/*
 * Holds the latest foldable record of each thing that records are about, so that a receiver gets one of them now and
 * then instead of all. Nothing is lost by it: records are cumulative, and what is replaced was repeated by what
 * replaced it. Records of one thing keep their order. No lock: it belongs to one thread.
 *
 *   foldable, nothing held         held
 *   foldable, held                 replaces it; differing in `same`: the held one is handed over and the new one held
 *   another kind, held             handed over; the held one is forgotten, or, differing in `same`, handed over before
 *   older than what is held        forgotten when foldable and not differing, else handed over: rings of two processors
 * are read in turn no room                        handed over
 *
 * Held records are handed over in rounds: Begin() marks those there are, Next() takes one of the marked.
 */
class RecordFold
{
      public:
	explicit RecordFold(const FoldConfig &config);

	/* Takes a record; calls pass(record) for each that is to be handed over now, in order. How many were folded
	 * away. */
	template <typename Pass> uint32_t Take(const uint8_t *record, Pass pass)
	{
		uint32_t hash = HashOf(record);
		uint32_t slot = Find(record, hash);
		bool foldable = record[config_.kind_offset] == config_.kind;
		if (index_[slot].row == 0) {
			if (!foldable || count_ == config_.entries)
				pass(record);
			else
				Insert(record, hash, slot);
			return 0;
		}
		uint32_t row = index_[slot].row - 1;
		uint8_t *held = RowAt(row);
		bool differs = !Equal(same_, record, held);
		if (TimeOf(record) < TimeOf(held)) {
			if (foldable && !differs)
				return 1;
			pass(record);
			return 0;
		}
		if (differs)
			pass(static_cast<const uint8_t *>(held));
		if (foldable) {
			memcpy(held, record, config_.record_bytes);
		} else {
			Remove(row, slot);
			pass(record);
		}
		return differs ? 0 : 1;
	}

	uint32_t held() const
	{
		return count_;
	}
	/* Marked and not taken yet. */
	uint32_t due() const
	{
		return due_;
	}
	void Begin()
	{
		due_ = count_;
	}
	/* One of the marked, valid until the next call; only while due() is not 0. */
	const uint8_t *Next();

      private:
	/* Eight bytes of a record, and which of their bits count. */
	struct Word {
		uint32_t offset;
		uint64_t mask;
	};
	static std::vector<Word> WordsOf(const std::vector<FieldRange> &fields);
	static uint64_t Load(const uint8_t *at)
	{
		uint64_t word;
		memcpy(&word, at, sizeof(word));
		return word;
	}
	/* All of it at once: this runs for every record, and most are equal. */
	static bool Equal(const std::vector<Word> &words, const uint8_t *a, const uint8_t *b)
	{
		uint64_t differing = 0;
		for (const Word &word : words)
			differing |= (Load(a + word.offset) ^ Load(b + word.offset)) & word.mask;
		return differing == 0;
	}
	uint64_t TimeOf(const uint8_t *record) const
	{
		return Load(record + config_.time_offset);
	}
	uint8_t *RowAt(uint32_t row)
	{
		return rows_.get() + static_cast<size_t>(row) * config_.record_bytes;
	}
	uint32_t HashOf(const uint8_t *record) const;
	/* The slot of the record's key, or the empty one where it would go. */
	uint32_t Find(const uint8_t *record, uint32_t hash);
	void Insert(const uint8_t *record, uint32_t hash, uint32_t slot);
	/* The last row takes its place. */
	void Remove(uint32_t row, uint32_t slot);
	uint32_t SlotOf(uint32_t row) const;
	void EmptySlot(uint32_t slot);

	/* A row's number + 1 beside its hash: most slots that are not the right one are told without a look at the row.
	 */
	struct Slot {
		uint32_t row;
		uint32_t hash;
	};

	FoldConfig config_;
	std::vector<Word> key_;
	std::vector<Word> same_;
	uint64_t seed_;
	uint32_t mask_;
	uint32_t count_ = 0;
	uint32_t due_ = 0; /* rows below this one are marked */
	/* Memory that is not used is not touched. */
	std::unique_ptr<uint8_t[]> rows_;
	std::unique_ptr<uint32_t[]> hashes_; /* by row */
	std::vector<Slot> index_;	     /* open addressing; row 0 is empty */
	std::vector<uint8_t> taken_;
};

} // namespace rf
