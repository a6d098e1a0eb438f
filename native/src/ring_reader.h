// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fd.h"

namespace rf
{

/*
 * The consumer's side of one BPF ring buffer. The kernel writes records and the producer position; we read them through
 * shared memory and publish the consumer position, which frees the room. One reader per ring: two would both take every
 * record.
 */
class RingReader
{
      public:
	/* Duplicates the descriptor of a ring buffer map. Throws RF_RING, RF_ARGUMENT. */
	explicit RingReader(int map_fd);
	RingReader(RingReader &&other) noexcept;
	RingReader &operator=(RingReader &&) = delete;
	~RingReader();

	int fd() const
	{
		return fd_.get();
	}

	/* Where the producers are now: what was reserved before this call lies below it. */
	uint64_t ProducerPosition() const;

	/*
	 * Hands every committed record below until to sink(data, size), oldest first. Stops at a record that is
	 * reserved but not yet committed: those behind it come next time. The memory is the kernel's: copy before
	 * returning from sink. Room is given back every few records, so a long drain does not hold up producers.
	 */
	template <typename Sink> void Drain(uint64_t until, Sink sink)
	{
		uint64_t position = consumer_;
		int since_publish = 0;
		while (position < until) {
			const uint8_t *header = data_ + (position & mask_);
			/* Acquire: the record's bytes were written before its header lost the busy bit. */
			uint32_t length = __atomic_load_n(reinterpret_cast<const uint32_t *>(header), __ATOMIC_ACQUIRE);
			if (length & kBusy)
				break;
			uint32_t size = length & ~(kBusy | kDiscard);
			uint64_t from = (position + kHeader) & mask_;
			if (!(length & kDiscard))
				sink(from + size <= mask_ + 1 ? data_ + from : Joined(from, size), size);
			position += (size + kHeader + 7) / 8 * 8;
			if (++since_publish == kPublishEvery) {
				Publish(position);
				since_publish = 0;
			}
		}
		Publish(position);
	}

      private:
	static constexpr uint32_t kBusy = 1u << 31;
	static constexpr uint32_t kDiscard = 1u << 30;
	static constexpr uint32_t kHeader = 8;
	static constexpr int kPublishEvery = 256;

	const uint8_t *Joined(uint64_t from, uint32_t size);
	void Publish(uint64_t position);
	void Unmap();

	Fd fd_;
	size_t page_ = 0;
	size_t read_only_size_ = 0;
	uint64_t mask_ = 0;
	uint64_t consumer_ = 0;
	void *consumer_page_ = nullptr; /* writable */
	/* Producer position, then the data. The kernel offers it twice in a row, so that no record wraps; mapped once,
	 * every page of it counts once as ours. */
	void *producer_pages_ = nullptr;
	const uint8_t *data_ = nullptr;
	std::vector<uint8_t> joined_;
};

} // namespace rf
