// SPDX-License-Identifier: Apache-2.0
#include "ring_reader.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>

#include <cstring>

namespace rf
{

RingReader::RingReader(int map_fd) : fd_(Fd::Duplicate(map_fd, "a ring buffer")), page_(sysconf(_SC_PAGESIZE))
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	if (bpf_obj_get_info_by_fd(fd_.get(), &info, &size) < 0)
		throw Fault::Sys("RF_RING", "read what map a ring is", errno, "bpf(BPF_OBJ_GET_INFO_BY_FD)");
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		throw Fault("RF_ARGUMENT", std::string("Cannot consume map ") + info.name + ": found map type " +
						   std::to_string(info.type) + ", wanted a ring buffer (27)");
	mask_ = info.max_entries - 1;
	read_only_size_ = page_ + static_cast<size_t>(info.max_entries);
	void *writable = mmap(nullptr, page_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
	if (writable == MAP_FAILED)
		throw Fault::Sys("RF_RING", std::string("map the consumer page of ring ") + info.name, errno, "mmap");
	consumer_page_ = writable;
	void *read_only = mmap(nullptr, read_only_size_, PROT_READ, MAP_SHARED, fd_.get(), static_cast<off_t>(page_));
	if (read_only == MAP_FAILED) {
		int err = errno;
		Unmap();
		throw Fault::Sys("RF_RING", std::string("map the data of ring ") + info.name, err, "mmap");
	}
	producer_pages_ = read_only;
	data_ = static_cast<const uint8_t *>(read_only) + page_;
	/* Goes on where an earlier consumer of the same ring stopped. */
	consumer_ = __atomic_load_n(static_cast<const uint64_t *>(consumer_page_), __ATOMIC_ACQUIRE);
}

RingReader::RingReader(RingReader &&other) noexcept
    : fd_(std::move(other.fd_)), page_(other.page_), read_only_size_(other.read_only_size_), mask_(other.mask_),
      consumer_(other.consumer_), consumer_page_(std::exchange(other.consumer_page_, nullptr)),
      producer_pages_(std::exchange(other.producer_pages_, nullptr)), data_(other.data_),
      joined_(std::move(other.joined_))
{
}

RingReader::~RingReader()
{
	Unmap();
}

void RingReader::Unmap()
{
	if (consumer_page_)
		munmap(consumer_page_, page_);
	if (producer_pages_)
		munmap(producer_pages_, read_only_size_);
	consumer_page_ = producer_pages_ = nullptr;
}

uint64_t RingReader::ProducerPosition() const
{
	return __atomic_load_n(static_cast<const uint64_t *>(producer_pages_), __ATOMIC_ACQUIRE);
}

/* The record goes on at the beginning of the ring. */
const uint8_t *RingReader::Joined(uint64_t from, uint32_t size)
{
	size_t first = static_cast<size_t>(mask_ + 1 - from);
	joined_.resize(size);
	memcpy(joined_.data(), data_ + from, first);
	memcpy(joined_.data() + first, data_, size - first);
	return joined_.data();
}

void RingReader::Publish(uint64_t position)
{
	if (position == consumer_)
		return;
	consumer_ = position;
	/* Release: the bytes were copied before the kernel may overwrite them. */
	__atomic_store_n(static_cast<uint64_t *>(consumer_page_), position, __ATOMIC_RELEASE);
}

} // namespace rf
